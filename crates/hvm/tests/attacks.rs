//! Each attack, and the defence that meets it.

mod world;

use core::time::Duration;

use peeredge_attacks::Attack;

use peeredge_hvm::*;

use world::*;

fn batch() -> Assurance {
    Assurance { settle: Duration::from_secs(30), wait: Duration::from_secs(120), ..Assurance::strict() }
}

fn filled(honest: usize, others: &[Kind]) -> (World, Vec<peeredge_wire::PeerId>) {
    let mut world = World::new(settings());
    (0..honest).for_each(|_| {
        world.join(Kind::Honest);
    });
    let others = others.iter().map(|kind| world.join(*kind)).collect();
    (world, others)
}

#[test]
fn honest_workers_finish_everything_right_and_nobody_is_exposed() {
    let (mut world, _) = filled(10, &[]);
    (0..300).for_each(|task| world.submit(task, batch()));
    world.until(2_000);
    assert_eq!((world.believed.len(), world.wrong_results(), world.exposed.len()), (300, 0, 0));
    assert_eq!(world.dispatch.open(), 0);
    assert!(world.refereed <= 12, "{} runs of the referee", world.refereed);
}

#[test]
fn made_up_answers_expose_whoever_gives_them() {
    let (mut world, liars) = filled(10, &[Kind::Liar, Kind::Liar, Kind::Liar]);
    (0..300).for_each(|task| world.submit(task, batch()));
    world.until(2_000);
    assert_eq!((world.believed.len(), world.wrong_results()), (300, 0));
    assert_eq!(world.exposed, liars.iter().copied().collect());
    for liar in liars {
        assert!(world.devices[&liar].runs < 8, "an exposed liar still gets runs");
    }
}

#[test]
fn false_capacity_gains_nothing_because_capacity_is_measured() {
    let (mut world, boasters) = filled(10, &[Kind::Boaster]);
    (0..200).for_each(|task| world.submit(task, batch()));
    world.until(2_000);
    assert_eq!(world.wrong_results(), 0, "gas is part of the answer");
    assert!(world.exposed.contains(&boasters[0]));
    // What is never agreed on is never measured: its claim of ten times the rate moved nothing.
    let pool = world.dispatch.pool();
    let worker = pool.get(pool.id(&boasters[0]).expect("known")).expect("known");
    assert_eq!(worker.meter.rate(), None);
}

#[test]
fn a_copied_answer_does_not_fit_the_commitment_made_before_anything_was_shown() {
    let (mut world, copiers) = filled(6, &[Kind::Copier]);
    (0..100).for_each(|task| world.submit(task, batch()));
    world.until(2_000);
    assert_eq!((world.believed.len(), world.wrong_results()), (100, 0));
    assert_eq!(world.evidence(&copiers[0]), 0.0);
    assert!(world.dispatch.stats().refused > 0);
    let votes = world.believed.values().filter(|b| b.voters.contains(&copiers[0])).count();
    assert_eq!(votes, 0);
}

#[test]
fn with_whom_one_votes_is_drawn_only_when_one_has_shown_ones_answer() {
    let mut world = World::new(settings());
    let slow = world.join_of(Kind::Honest, 1, Duration::from_secs(5));
    world.submit(1, Assurance::replicas(2));
    assert_eq!(world.leases.len(), 1);
    world.join_of(Kind::Honest, 2, Duration::from_secs(1));
    world.until(1);
    assert_eq!(world.leases.len(), 1);
    assert_eq!(world.leases[0].1, slow);
    world.until(200);
    assert_eq!(world.believed.len(), 1);
}

#[test]
fn nothing_is_shown_while_somebody_else_still_runs_the_task() {
    // Strangers are hedged within seconds; here they are given the time that known workers have.
    let patient = Duration::from_secs(1000);
    let mut world =
        World::new(DispatchSettings { stranger_hedge: patient, unknown_hedge: patient, ..settings() });
    world.join_of(Kind::Honest, 1, Duration::from_secs(20));
    world.submit(1, Assurance::replicas(2));
    world.join_of(Kind::Withholder, 2, Duration::from_secs(1));
    // The first is slow and hedged; while the hedge runs, the first commits and is not yet asked.
    world.until(15);
    // Nobody is idle meanwhile, or the hedge would be hedged at once.
    world.submit(2, Assurance::replicas(1));
    world.until(21);
    // A stranger that has shown nothing takes nothing else before.
    assert_eq!((world.leases.len(), world.asked.len()), (2, 0));
    world.until(300);
    assert_eq!(world.asked.first(), Some(&world.leases[0].0));
}

#[test]
fn withheld_results_go_to_somebody_else_and_the_withholder_soon_gets_nothing() {
    let (mut world, withholders) = filled(8, &[Kind::Withholder, Kind::Withholder]);
    (0..300).for_each(|task| world.submit(task, batch()));
    world.until(3_000);
    assert_eq!((world.believed.len(), world.wrong_results()), (300, 0));
    assert!(world.dispatch.stats().hedges > 0);
    for withholder in withholders {
        assert!(world.devices[&withholder].runs <= 20, "{}", world.devices[&withholder].runs);
    }
}

#[test]
fn a_replayed_receipt_is_refused_because_it_names_another_lease() {
    let (mut world, replayers) = filled(6, &[Kind::Replayer]);
    (0..100).for_each(|task| world.submit(task, batch()));
    world.until(2_000);
    assert_eq!((world.believed.len(), world.wrong_results()), (100, 0));
    let votes = world.believed.values().filter(|b| b.voters.contains(&replayers[0])).count();
    assert!(votes <= 1, "its first receipt is its own; {votes} were taken");
    assert!(world.dispatch.stats().refused > 0);
}

#[test]
fn two_keys_of_one_owner_never_vote_on_one_task() {
    let mut world = World::new(settings());
    (0..3).for_each(|_| {
        world.join(Kind::Honest);
    });
    let sybils: Vec<_> =
        (0..20).map(|_| world.join_of(Kind::Ring(1), 99, Duration::from_millis(500))).collect();
    (0..200).for_each(|task| world.submit(task, batch()));
    world.until(5_000);
    assert_eq!((world.believed.len(), world.wrong_results()), (200, 0));
    for believed in world.believed.values() {
        assert!(believed.voters.iter().filter(|voter| sybils.contains(voter)).count() <= 1);
    }
    let mut seen = std::collections::BTreeSet::new();
    for (_, worker, task, _) in &world.leases {
        let owner = world.devices[worker].owner;
        assert!(owner != Owner(99) || seen.insert(*task), "an owner was given {task:?} twice");
    }
}

#[test]
fn what_a_sleeper_had_touched_is_judged_without_it_once_it_is_exposed() {
    let sleepers = [Kind::Sleeper(1, 12); 3];
    let (mut world, sleepers) = filled(9, &sleepers);
    let patient = Assurance { settle: Duration::from_secs(60), trusted_after: f64::INFINITY, ..batch() };
    (0..600).for_each(|task| world.submit(task, patient));
    world.until(5_000);
    assert_eq!(world.believed.len(), 600);
    assert_eq!(world.exposed, sleepers.iter().copied().collect());
    assert_eq!(world.wrong_results(), 0);
}

#[test]
fn two_that_agree_on_a_lie_are_asked_for_by_a_third_when_they_are_strangers() {
    let (mut world, ring) = filled(6, &[Kind::Ring(1), Kind::Ring(1)]);
    (0..60).for_each(|task| world.submit(task, batch()));
    world.until(3_000);
    assert_eq!((world.believed.len(), world.wrong_results()), (60, 0));
    assert_eq!(world.exposed, ring.iter().copied().collect());
}

#[test]
fn hidden_checks_find_a_ring_that_would_always_agree_with_itself() {
    let mut world = World::new(DispatchSettings { spots_permille: 100, ..settings() });
    (0..12).for_each(|_| {
        world.join(Kind::Ring(1));
    });
    (0..300).for_each(|task| world.submit(task, batch()));
    world.until(60);
    assert!(world.dispatch.stats().spots > 0 || world.exposed.len() == 12);
    world.until(10_000);
    assert_eq!(world.exposed.len(), 12);
    (0..4).for_each(|_| {
        world.join(Kind::Honest);
    });
    world.until(20_000);
    assert_eq!((world.believed.len(), world.wrong_results()), (300, 0));
}

/// Evidence of the worker with the most, after an hour of these tasks.
fn bought(honest: usize, liars: &[u64], memory_bytes: u64, tasks: impl Iterator<Item = Submission>) -> f64 {
    let mut world = World::new(settings());
    (0..honest).for_each(|_| {
        world.join(Kind::Honest);
    });
    let liars: Vec<_> =
        liars.iter().map(|owner| world.join_of(Kind::Honest, *owner, Duration::from_millis(500))).collect();
    for (liar, owner) in
        liars.iter().zip(liars.iter().map(|liar| world.devices[liar].owner).collect::<Vec<_>>())
    {
        world.tell(DispatchInput::Offer { worker: *liar, owner, slots: 64, memory_bytes, for_site: None });
    }
    tasks.for_each(|task| world.tell(DispatchInput::Submit(task)));
    world.until(3600);
    liars.iter().map(|liar| world.evidence(liar)).fold(0.0, f64::max)
}

#[test]
fn attack_tasks_that_one_hands_in_oneself_buy_no_record() {
    let best = bought(10, &[50, 51], 1 << 30, (0..2000).map(|n| submission(n, 50 + n % 2, 1 << 20)));
    Attack::new("tasks", "tasks", "two networks hand in tasks and run them")
        .spent("2 networks, 2,000 tasks")
        .lost(format!("evidence {best:.1} for a liar"))
        // The other network's tasks count, as anybody's would, up to a bound a day.
        .end(best <= 100.0);
}

#[test]
fn attack_tasks_that_only_ones_own_memory_fits_buy_no_record() {
    let best = bought(10, &[50, 51, 52], 8 << 30, (0..2000).map(|n| submission(n, 60, 4 << 30)));
    Attack::new("tasks", "tasks", "a friend hands in tasks that only the liars' claimed memory fits")
        .spent("3 networks, 2,000 tasks")
        .lost(format!("evidence {best:.1} for a liar"))
        .end(best == 0.0);
}

#[test]
fn attack_a_crowd_of_small_tasks_buys_little() {
    let mut world = World::new(settings());
    (0..6).for_each(|_| {
        world.join(Kind::Honest);
    });
    let liar = world.join_of(Kind::Honest, 50, Duration::from_micros(50));
    for n in 0..3000 {
        world.tell(DispatchInput::Submit(submission(n, 1000 + n % 5, 1 << 20)));
    }
    world.until(10);
    let best = world.evidence(&liar);
    Attack::new("tasks", "tasks", "answers within microseconds count by their time")
        .spent("1 network, ten seconds")
        .lost(format!("evidence {best:.2}"))
        .end(best < 5.0);
}

#[test]
fn attack_submitters_that_leave_stop_no_hidden_checks() {
    let mut world = World::new(DispatchSettings { spots_permille: 100, ..settings() });
    (0..6).for_each(|_| {
        world.join(Kind::Honest);
    });
    // While the referee runs tasks ahead, their submitter takes all back; again and again.
    for round in 0..20 {
        let tasks = round * 200..round * 200 + 200;
        tasks.clone().for_each(|task| world.submit(task, batch()));
        tasks.for_each(|task| world.tell(DispatchInput::Cancel { task: TaskId(task) }));
        world.until(world.now.as_micros() / 1_000_000 + 5);
    }
    let before = world.dispatch.stats().spots;
    (10_000..10_600).for_each(|task| world.submit(task, batch()));
    world.until(20_000);
    let spots = world.dispatch.stats().spots - before;
    Attack::new("tasks", "tasks", "tasks are taken back while the referee runs them ahead")
        .spent("4,000 tasks handed in and taken back")
        .lost(format!("{spots} hidden checks afterwards"))
        .end(spots > 0 && world.believed.len() >= 600);
}

#[test]
fn attack_tasks_that_nobody_idle_can_take_keep_no_others_waiting() {
    let (mut world, large) = filled(4, &[Kind::Withholder]);
    // One worker alone has so much memory, and it never returns anything.
    let offer = |worker| DispatchInput::Offer {
        worker,
        owner: world.devices[&large[0]].owner,
        slots: 1,
        memory_bytes: 8 << 30,
        for_site: None,
    };
    let offer = offer(large[0]);
    world.tell(offer);
    for task in 0..500 {
        world.tell(DispatchInput::Submit(submission(task, 60 + task % 3, 4 << 30)));
    }
    (1000..1040).for_each(|task| world.submit(task, Assurance::replicas(1)));
    world.until(30);
    let (all, lent) = (world.believed.keys(), 0..1000);
    let others = all.filter(|task| !lent.contains(&task.0)).count();
    Attack::new("tasks", "tasks", "tasks that only a busy worker has the memory for")
        .spent("3 networks, 500 tasks")
        .lost(format!("{} of 40 tasks of others had no result within 30 s", 40 - others))
        .end(others == 40);
}

#[test]
fn attack_a_site_of_ones_own_makes_no_record_for_others() {
    let mut world = World::new(settings());
    let tabs: Vec<_> =
        (0..3).map(|n| world.join_of(Kind::Honest, 70 + n, Duration::from_millis(500))).collect();
    let offer = |world: &mut World, n: usize, for_site| {
        let (worker, owner) = (tabs[n], Owner(70 + n as u64));
        world.tell(DispatchInput::Offer { worker, owner, slots: 1, memory_bytes: 1 << 30, for_site });
    };
    (0..3).for_each(|n| offer(&mut world, n, Some(5)));
    for n in 0..200 {
        world.tell(DispatchInput::Submit(Submission {
            site: Some(5),
            ..submission(n, 1000 + n % 9, 1 << 20)
        }));
    }
    world.until(3600);
    let own = world.evidence(&tabs[0]);
    (0..3).for_each(|n| offer(&mut world, n, None));
    let elsewhere = world.evidence(&tabs[0]);
    Attack::new("tasks", "tasks", "tabs of a site of one's own get a record there and go elsewhere with it")
        .spent("3 networks, 200 tasks")
        .lost(format!("evidence {own:.1} there, {elsewhere} elsewhere"))
        .end(own > 0.0 && elsewhere == 0.0);
}

#[test]
fn attack_two_hosts_that_agree_on_a_lie_are_found_by_the_referee() {
    let mut world = World::new(settings());
    let ring: Vec<_> = (0..2).map(|_| world.join(Kind::Ring(1))).collect();
    (0..400).for_each(|task| world.submit(task, Assurance::replicas(2)));
    world.until(300);
    (0..4).for_each(|_| {
        world.join(Kind::Honest);
    });
    world.until(5_000);
    let doubt = world.believed.values().filter(|b| !b.refereed).map(|b| b.doubt).fold(1.0, f64::min);
    Attack::new("tasks", "tasks", "two networks agree on every lie where two votes are enough")
        .spent("2 networks")
        .lost(format!("{} wrong of 400, the least doubt stated was {doubt:.3}", world.wrong_results()))
        .end(ring.iter().all(|liar| world.exposed.contains(liar)) && world.wrong_results() < 200);
}
