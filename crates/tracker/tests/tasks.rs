//! Tasks at a relay: handed in, leased, committed to, shown, believed.

mod support;

use peeredge_hvm::{Answer, Claim};
use peeredge_tracker::TrackerInput;
use peeredge_wire::PeerId;
use peeredge_wire::relay::{
    Blob, FromRelay, TaskAssurance, TaskFromRelay, TaskLimits, TaskMark, TaskOf, TaskRefusal, TaskRequest,
    TaskToRelay, ToRelay,
};
use support::{Place, RELAY_KEY, content, id, key};

const LIMITS: TaskLimits =
    TaskLimits { gas: 1_000_000_000, memory_pages: 16, output_bytes: 1000, checkpoint_steps: 0 };
const NONCE: [u8; 32] = [5; 32];

fn offer(place: &mut Place, n: u8) -> peeredge_tracker::ConnId {
    let conn = place.join(n);
    place
        .say(conn, &ToRelay::Task(TaskToRelay::Offer { slots: 1, memory_pages: 64, whose: TaskOf::Anybody }));
    conn
}

fn submit(place: &mut Place, conn: peeredge_tracker::ConnId, request: u32, assurance: TaskAssurance) {
    let (module, input, value) = (content(9), Blob::Inline(vec![1, 2, 3]), 0);
    place.say(
        conn,
        &ToRelay::Task(TaskToRelay::Submit(TaskRequest {
            request,
            module,
            input,
            limits: LIMITS,
            assurance,
            value,
        })),
    );
}

fn tasks(place: &mut Place, conn: peeredge_tracker::ConnId) -> Vec<TaskFromRelay> {
    let task = |frame| match frame {
        FromRelay::Task(message) => Some(message),
        _ => None,
    };
    place.read(conn).into_iter().filter_map(task).collect()
}

fn lease(place: &mut Place, conn: peeredge_tracker::ConnId) -> Option<u64> {
    tasks(place, conn).into_iter().find_map(|message| match message {
        TaskFromRelay::Lease { lease, .. } => Some(lease),
        _ => None,
    })
}

/// Answers a lease with this output as `n` does; `sign` may sign with another key. Gives the next lease, which can come
/// with the commitment already.
fn answer(
    place: &mut Place,
    conn: peeredge_tracker::ConnId,
    n: u8,
    sign: u8,
    lease: u64,
    output: &[u8],
) -> Option<u64> {
    let answer = Answer::parts(0, output, 77).expect("done");
    let input = *blake3::hash(&[1, 2, 3]).as_bytes();
    let claim = Claim { lease, module: content(9).0, input, worker: id(n), answer };
    let commitment = claim.commitment(&NONCE);
    place.say(conn, &ToRelay::Task(TaskToRelay::Commit { lease, commitment }));
    let said = tasks(place, conn);
    assert!(said.contains(&TaskFromRelay::AskReveal { lease }));
    let signature = claim.sign(&key(sign)).signature;
    let (digest, nonce, gas, end) = (answer.digest, NONCE, 77, 0);
    let output = Blob::Inline(output.to_vec());
    place
        .say(conn, &ToRelay::Task(TaskToRelay::Reveal { lease, end, gas, digest, nonce, signature, output }));
    let next = said.into_iter().find_map(|message| match message {
        TaskFromRelay::Lease { lease, .. } => Some(lease),
        _ => None,
    });
    next.or_else(|| self::lease(place, conn))
}

fn result(place: &mut Place, conn: peeredge_tracker::ConnId) -> Option<(Blob, Vec<PeerId>, bool)> {
    tasks(place, conn).into_iter().find_map(|message| match message {
        TaskFromRelay::Result { output, voters, refereed, .. } => Some((output, voters, refereed)),
        _ => None,
    })
}

#[test]
fn two_workers_agree_and_the_submitter_gets_the_result_and_who_gave_it() {
    let mut place = Place::new();
    let page = place.join(1);
    let (a, b) = (offer(&mut place, 2), offer(&mut place, 3));
    submit(&mut place, page, 7, TaskAssurance::Replicas(2));
    let (first, second) = match lease(&mut place, a) {
        Some(lease) => ((a, 2, lease), (b, 3)),
        None => ((b, 3, lease(&mut place, b).expect("one of the two has it")), (a, 2)),
    };
    answer(&mut place, first.0, first.1, first.1, first.2, b"out");
    assert_eq!(result(&mut place, page), None, "one vote is not two");
    let second_lease = lease(&mut place, second.0).expect("the other is drawn now");
    answer(&mut place, second.0, second.1, second.1, second_lease, b"out");
    let (output, voters, refereed) = result(&mut place, page).expect("two votes");
    assert_eq!((output, refereed), (Blob::Inline(b"out".to_vec()), false));
    assert_eq!(voters.len(), 2);
    assert_eq!(place.tracker.stats().dispatched.believed, 1);
    assert_eq!((place.tracker.stats().workers, place.tracker.stats().tasks), (2, 0));
}

#[test]
fn a_receipt_that_its_worker_did_not_sign_is_refused_and_the_run_goes_elsewhere() {
    let mut place = Place::new();
    let page = place.join(1);
    let a = offer(&mut place, 2);
    submit(&mut place, page, 7, TaskAssurance::Replicas(1));
    let run = lease(&mut place, a).expect("the only worker");
    let again = answer(&mut place, a, 2, 4, run, b"out");
    assert_eq!(result(&mut place, page), None);
    assert_eq!(place.tracker.stats().dispatched.refused, 1);
    let b = offer(&mut place, 3);
    let run = again.or_else(|| lease(&mut place, b)).expect("somebody has it now");
    assert!(run > 1);
}

#[test]
fn an_output_that_contradicts_its_own_receipt_is_refused() {
    let mut place = Place::new();
    let page = place.join(1);
    let a = offer(&mut place, 2);
    submit(&mut place, page, 7, TaskAssurance::Replicas(1));
    let lease = lease(&mut place, a).expect("the only worker");
    let digest = Answer::parts(0, b"said", 77).expect("done").digest;
    place.say(a, &ToRelay::Task(TaskToRelay::Commit { lease, commitment: [0; 32] }));
    let output = Blob::Inline(b"shown".to_vec());
    let (signature, nonce) = ([0; 64], NONCE);
    place.say(
        a,
        &ToRelay::Task(TaskToRelay::Reveal { lease, end: 0, gas: 77, digest, nonce, signature, output }),
    );
    assert_eq!(result(&mut place, page), None);
    assert_eq!(place.tracker.stats().dispatched.refused, 1);
}

#[test]
fn the_relays_own_node_settles_a_dispute() {
    let mut place = Place::new();
    let page = place.join(1);
    let relay = offer(&mut place, RELAY_KEY);
    let (a, b) = (offer(&mut place, 2), offer(&mut place, 3));
    submit(&mut place, page, 7, TaskAssurance::Replicas(2));
    for (conn, n) in [(a, 2), (b, 3), (a, 2)] {
        if let Some(lease) = lease(&mut place, conn) {
            let output: &[u8] = if n == 2 { b"lie" } else { b"out" };
            answer(&mut place, conn, n, n, lease, output);
        }
    }
    assert_eq!(result(&mut place, page), None);
    let run = lease(&mut place, relay).expect("the referee runs it");
    answer(&mut place, relay, RELAY_KEY, RELAY_KEY, run, b"out");
    let (output, voters, refereed) = result(&mut place, page).expect("it decides");
    assert_eq!((output, voters, refereed), (Blob::Inline(b"out".to_vec()), vec![id(3)], true));
    assert_eq!(place.tracker.stats().dispatched.exposed, 1);
    submit(&mut place, page, 8, TaskAssurance::Replicas(1));
    assert_eq!(lease(&mut place, a), None, "an exposed liar gets nothing");
    assert!(lease(&mut place, b).is_some());
}

#[test]
fn who_leaves_takes_its_own_tasks_along_and_leaves_its_leases_to_others() {
    let mut place = Place::new();
    let (page, other) = (place.join(1), place.join(4));
    let a = offer(&mut place, 2);
    submit(&mut place, page, 7, TaskAssurance::Replicas(1));
    submit(&mut place, other, 7, TaskAssurance::Replicas(1));
    place.leave(a);
    let b = offer(&mut place, 3);
    let run = lease(&mut place, b).expect("what waits");
    let run = answer(&mut place, b, 3, 3, run, b"out").expect("the lease of the one who left");
    answer(&mut place, b, 3, 3, run, b"out");
    assert!(result(&mut place, page).is_some() && result(&mut place, other).is_some());
    submit(&mut place, other, 8, TaskAssurance::Replicas(1));
    assert!(lease(&mut place, b).is_some());
    place.leave(other);
    assert_eq!(place.tracker.stats().tasks, 0);
    assert!(tasks(&mut place, b).iter().any(|message| matches!(message, TaskFromRelay::Revoke { .. })));
}

#[test]
fn one_peer_cannot_fill_the_relay_with_tasks_and_a_relay_without_tasks_says_so() {
    let mut place = Place::with(|config| config.tasks_per_peer_max = 2);
    let page = place.join(1);
    (0..3).for_each(|request| submit(&mut place, page, request, TaskAssurance::Cheap));
    let refused = TaskFromRelay::Refused { request: 2, why: TaskRefusal::TooMany };
    assert_eq!(tasks(&mut place, page), [refused]);
    let mut place = Place::with(|config| config.tasks = None);
    let page = place.join(1);
    submit(&mut place, page, 1, TaskAssurance::Cheap);
    assert_eq!(tasks(&mut place, page), [TaskFromRelay::Refused { request: 1, why: TaskRefusal::Off }]);
}

#[test]
fn two_keys_of_one_network_do_not_vote_on_one_task() {
    let mut place = Place::new();
    let page = place.join(1);
    let conns: Vec<_> = [2, 3]
        .into_iter()
        .map(|n| {
            let conn = place.join(n);
            place.input(TrackerInput::Owner { conn, owner: 1 });
            place.say(
                conn,
                &ToRelay::Task(TaskToRelay::Offer { slots: 1, memory_pages: 64, whose: TaskOf::Anybody }),
            );
            (conn, n)
        })
        .collect();
    submit(&mut place, page, 7, TaskAssurance::Replicas(2));
    let leased: Vec<_> =
        conns.iter().filter_map(|(conn, n)| Some((*conn, *n, lease(&mut place, *conn)?))).collect();
    assert_eq!(leased.len(), 1);
    let (conn, n, run) = leased[0];
    answer(&mut place, conn, n, n, run, b"out");
    assert!(conns.iter().all(|(conn, _)| lease(&mut place, *conn).is_none()));
    let third = offer(&mut place, 4);
    assert!(lease(&mut place, third).is_some());
}

#[test]
fn a_worker_of_many_small_tasks_is_not_too_fast() {
    let mut place = Place::new();
    let (asks, works) = (place.join(1), offer(&mut place, 2));
    let output = [7; 16_000];
    // Some hundred KiB of answers within a moment: beyond what anybody may send unasked.
    for request in 0..150 {
        submit(&mut place, asks, request, TaskAssurance::Replicas(1));
        let lease = lease(&mut place, works).expect("nobody else is there");
        answer(&mut place, works, 2, 2, lease, &output);
        place.read(asks);
        place.pass(50);
    }
}

/// A checkpoint is taken twice, and the submitter comes to hold the first; the worker leaves. Gives whence the other goes on.
fn resumed(announce: impl FnOnce(&mut Place, peeredge_tracker::ConnId)) -> Option<TaskMark> {
    let mut place = Place::new();
    let page = place.join(1);
    let (a, b) = (offer(&mut place, 2), offer(&mut place, 3));
    submit(&mut place, page, 7, TaskAssurance::Replicas(1));
    let (worker, other, run) = match lease(&mut place, a) {
        Some(run) => (a, b, run),
        None => (b, a, lease(&mut place, b).expect("one of the two has it")),
    };
    tasks(&mut place, page);
    for n in [1, 2] {
        let mark = TaskMark { checkpoint: content(20 + n), gas: u64::from(n) };
        place.say(worker, &ToRelay::Task(TaskToRelay::Beat { lease: run, mark: Some(mark) }));
        assert_eq!(tasks(&mut place, page), [TaskFromRelay::Marked { request: 7, mark }]);
    }
    announce(&mut place, page);
    place.leave(worker);
    tasks(&mut place, other)
        .into_iter()
        .find_map(|message| match message {
            TaskFromRelay::Lease { resume, .. } => Some(resume),
            _ => None,
        })
        .expect("the other goes on")
}

#[test]
fn a_task_goes_on_from_the_newest_checkpoint_that_outlives_its_worker() {
    assert_eq!(resumed(|_, _| ()), None, "both went with the worker");
    assert_eq!(resumed(|place, page| place.announce(page, content(21), 999, 3)), None, "not whole");
    let first = Some(TaskMark { checkpoint: content(21), gas: 1 });
    assert_eq!(resumed(|place, page| place.announce(page, content(21), 1000, 0)), first);
    let second = Some(TaskMark { checkpoint: content(22), gas: 2 });
    let both = |place: &mut Place, page| {
        for n in [22, 21] {
            place.announce(page, content(n), 1000, 0);
        }
    };
    assert_eq!(resumed(both), second, "in whatever order they come");
}

/// Answers a lease with a large output that lies elsewhere.
fn answer_elsewhere(
    place: &mut Place,
    conn: peeredge_tracker::ConnId,
    n: u8,
    lease: u64,
    output: &[u8],
    at: peeredge_wire::ContentId,
) {
    let answer = Answer::parts(0, output, 77).expect("done");
    let input = *blake3::hash(&[1, 2, 3]).as_bytes();
    let claim = Claim { lease, module: content(9).0, input, worker: id(n), answer };
    place.say(conn, &ToRelay::Task(TaskToRelay::Commit { lease, commitment: claim.commitment(&NONCE) }));
    let signature = claim.sign(&key(n)).signature;
    let (digest, nonce, gas, end) = (answer.digest, NONCE, 77, 0);
    let output = Blob::Content(at);
    place
        .say(conn, &ToRelay::Task(TaskToRelay::Reveal { lease, end, gas, digest, nonce, signature, output }));
}

/// The relay's own node, as referee.
fn referee(place: &mut Place) -> peeredge_tracker::ConnId {
    let (conn, nonce) = place.open();
    place.say(conn, &support::hello(RELAY_KEY, &nonce));
    place.read(conn);
    place
        .say(conn, &ToRelay::Task(TaskToRelay::Offer { slots: 1, memory_pages: 64, whose: TaskOf::Anybody }));
    conn
}

#[test]
fn every_voters_output_is_given_and_who_showed_an_untrue_one_is_exposed() {
    let mut place = Place::new();
    let page = place.join(1);
    let workers = [(offer(&mut place, 2), 2), (offer(&mut place, 3), 3)];
    submit(&mut place, page, 7, TaskAssurance::Replicas(2));
    // The first to show names something else under the right digest.
    let mut liar = 0;
    for round in 0..2 {
        let (conn, n, run) = workers
            .iter()
            .find_map(|(conn, n)| lease(&mut place, *conn).map(|run| (*conn, *n, run)))
            .expect("one of the two has it");
        liar = if round == 0 { n } else { liar };
        answer_elsewhere(&mut place, conn, n, run, b"large", content(50 + round));
    }
    let found = tasks(&mut place, page);
    let Some(TaskFromRelay::Result { output, others, doubt_ppm, .. }) =
        found.iter().find(|message| matches!(message, TaskFromRelay::Result { .. }))
    else {
        panic!("{found:?}")
    };
    let mut shown = vec![output.clone()];
    shown.extend(others.iter().map(|id| Blob::Content(*id)));
    assert_eq!(shown, [Blob::Content(content(50)), Blob::Content(content(51))]);
    assert!(*doubt_ppm > 0, "two strangers are no proof");
    // With a referee the submitter's word sets a run going, whose outcome decides.
    let own = referee(&mut place);
    place.say(page, &ToRelay::Task(TaskToRelay::Untrue { request: 7 }));
    let run = lease(&mut place, own).expect("the referee runs it");
    answer_elsewhere(&mut place, own, RELAY_KEY, run, b"large", content(51));
    let again = tasks(&mut place, page);
    assert!(
        matches!(&again[..], [TaskFromRelay::Result { output, refereed: true, doubt_ppm: 0, .. }]
            if *output == Blob::Content(content(51))),
        "{again:?}"
    );
    assert_eq!(place.tracker.stats().dispatched.exposed, 1);
    // The liar gets nothing any more, the other one goes on.
    submit(&mut place, page, 8, TaskAssurance::Replicas(1));
    for (conn, n) in workers {
        assert_eq!(lease(&mut place, conn).is_some(), n != liar, "worker {n}");
    }
    // Nor can the same be said twice.
    place.say(page, &ToRelay::Task(TaskToRelay::Untrue { request: 7 }));
    assert_eq!(
        tasks(&mut place, page)
            .into_iter()
            .filter(|message| matches!(message, TaskFromRelay::Refused { request: 7, .. }))
            .count(),
        1
    );
}

#[test]
fn calling_a_true_output_untrue_exposes_nobody() {
    let mut place = Place::new();
    let own = referee(&mut place);
    let page = place.join(1);
    let a = offer(&mut place, 2);
    submit(&mut place, page, 7, TaskAssurance::Replicas(1));
    let run = lease(&mut place, a).expect("the only worker");
    answer_elsewhere(&mut place, a, 2, run, b"large", content(50));
    place.read(page);
    place.say(page, &ToRelay::Task(TaskToRelay::Untrue { request: 7 }));
    let run = lease(&mut place, own).expect("the referee runs it");
    answer_elsewhere(&mut place, own, RELAY_KEY, run, b"large", content(50));
    assert_eq!(place.tracker.stats().dispatched.exposed, 0);
}

#[test]
fn who_may_not_hand_in_and_what_cannot_hold_is_told_before_any_work() {
    let mut place = Place::with(|config| {
        config.task_quotas.tasks_max = 2;
        config.task_quotas.memory_pages_max = 100;
    });
    let (page, stranger) = (place.join(1), place.join(4));
    place.input(TrackerInput::Site { conn: stranger, site: Some(5), may_submit: false });
    let worker = offer(&mut place, 2);
    let refusal = |place: &mut Place, conn, change: &dyn Fn(&mut TaskLimits)| {
        let mut limits = LIMITS;
        change(&mut limits);
        let (module, input, value) = (content(9), Blob::Inline(vec![0; 1000]), 0);
        let request =
            TaskRequest { request: 1, module, input, limits, assurance: TaskAssurance::Replicas(1), value };
        place.say(conn, &ToRelay::Task(TaskToRelay::Submit(request)));
        tasks(place, conn).into_iter().find_map(|message| match message {
            TaskFromRelay::Refused { why, .. } => Some(why),
            _ => None,
        })
    };
    assert_eq!(refusal(&mut place, stranger, &|_| {}), Some(TaskRefusal::NotAllowed));
    assert_eq!(refusal(&mut place, page, &|limits| limits.memory_pages = 0), Some(TaskRefusal::Limits));
    assert_eq!(refusal(&mut place, page, &|limits| limits.memory_pages = 101), Some(TaskRefusal::Limits));
    assert_eq!(refusal(&mut place, page, &|limits| limits.memory_pages = 65), Some(TaskRefusal::NobodyFits));
    assert_eq!(tasks(&mut place, worker), [], "nobody was bothered");
    // Two keys of one network have one quota.
    let others: Vec<_> = (10..14).map(|n| place.join(n)).collect();
    for conn in &others {
        place.input(TrackerInput::Owner { conn: *conn, owner: 77 });
    }
    let refused: Vec<_> = others.iter().map(|conn| refusal(&mut place, *conn, &|_| {})).collect();
    assert_eq!(refused, [None, None, Some(TaskRefusal::Quota), Some(TaskRefusal::Quota)]);
    place.leave(others[0]);
    assert_eq!(refusal(&mut place, others[3], &|_| {}), None, "what ends gives its place back");
}

#[test]
fn a_tab_runs_tasks_of_its_own_site_unless_its_visitor_agreed_to_more() {
    let mut place = Place::new();
    let (page, native) = (place.join(1), place.join(5));
    place.input(TrackerInput::Site { conn: page, site: Some(1), may_submit: true });
    let tab = |place: &mut Place, n, site, whose| {
        let conn = place.join(n);
        place.input(TrackerInput::Site { conn, site: Some(site), may_submit: true });
        place.say(conn, &ToRelay::Task(TaskToRelay::Offer { slots: 1, memory_pages: 64, whose }));
        conn
    };
    let other_site = tab(&mut place, 2, 2, TaskOf::OwnSite);
    submit(&mut place, page, 1, TaskAssurance::Replicas(1));
    submit(&mut place, native, 1, TaskAssurance::Replicas(1));
    assert_eq!(lease(&mut place, other_site), None);
    let same_site = tab(&mut place, 3, 1, TaskOf::OwnSite);
    assert!(lease(&mut place, same_site).is_some());
    let generous = tab(&mut place, 4, 2, TaskOf::Anybody);
    assert!(lease(&mut place, generous).is_some(), "the native peer's");
}
