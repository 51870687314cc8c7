//! Leases, moves, fairness and giving up.

mod world;

use core::time::Duration;
use peeredge_hvm::*;
use peeredge_wire::PeerId;
use world::*;

#[test]
fn a_worker_that_leaves_changes_only_who_did_the_work() {
    let mut world = World::new(settings());
    let leaves = world.join_of(Kind::Honest, 1, Duration::from_secs(10));
    world.submit(1, Assurance::replicas(1));
    world.until(5);
    world.join(Kind::Honest);
    world.tell(DispatchInput::Gone { worker: leaves });
    world.until(60);
    let believed = &world.believed[&TaskId(1)];
    assert_eq!(believed.answer, truth(TaskId(1)));
    assert!(!believed.voters.contains(&leaves));
    assert_eq!(believed.runs, 2);
}

#[test]
fn a_task_in_steps_goes_on_elsewhere_from_its_mark_and_both_share_the_doubt() {
    let mut world = World::new(settings());
    let first = world.join_of(Kind::Honest, 1, Duration::from_secs(100));
    world.submit(1, Assurance::replicas(1));
    let mark = Mark { checkpoint: [9; 32], gas: GAS / 2 };
    let lease = world.leases[0].0;
    world.tell(DispatchInput::Kept { lease, mark });
    let second = world.join(Kind::Honest);
    world.tell(DispatchInput::Gone { worker: first });
    let (_, worker, task, resume) = world.leases[1];
    assert_eq!((worker, task, resume), (second, TaskId(1), Some(mark)));
    world.until(60);
    assert_eq!(world.believed[&TaskId(1)].answer, truth(TaskId(1)));
}

#[test]
fn who_leaves_before_a_checkpoint_of_its_own_takes_nothing_away_and_who_cannot_go_on_from_one_begins_anew() {
    let mut world = World::new(settings());
    let first = world.join_of(Kind::Honest, 1, Duration::from_secs(100));
    world.submit(1, Assurance::replicas(1));
    let mark = Mark { checkpoint: [9; 32], gas: GAS / 2 };
    world.tell(DispatchInput::Kept { lease: world.leases[0].0, mark });
    world.tell(DispatchInput::Kept {
        lease: world.leases[0].0,
        mark: Mark { checkpoint: [8; 32], gas: GAS / 4 },
    });
    let second = world.join_of(Kind::Honest, 2, Duration::from_secs(100));
    world.tell(DispatchInput::Gone { worker: first });
    world.join_of(Kind::Honest, 3, Duration::from_secs(100));
    world.tell(DispatchInput::Gone { worker: second });
    assert_eq!(world.leases[2].3, Some(mark));
    world.join(Kind::Honest);
    world.tell(DispatchInput::Trouble { lease: world.leases[2].0 });
    assert_eq!(world.leases[3].3, None);
    world.until(60);
    assert_eq!(world.believed[&TaskId(1)].answer, truth(TaskId(1)));
    let stats = world.dispatch.stats();
    assert_eq!((stats.kept, stats.resumed), (1, 2));
}

#[test]
fn a_silent_worker_loses_its_lease_and_one_that_beats_keeps_it() {
    let mut world = World::new(DispatchSettings { silence: Duration::from_secs(15), ..settings() });
    let slow = world.join_of(Kind::Honest, 1, Duration::from_secs(40));
    world.submit(1, Assurance::replicas(1));
    let lease = world.leases[0].0;
    for s in [5, 10] {
        world.until(s);
        world.tell(DispatchInput::Beat { lease });
    }
    world.until(20);
    assert_eq!(world.dispatch.lease(lease), Some((slow, TaskId(1))));
    world.until(26);
    assert_eq!(world.dispatch.lease(lease), None);
    assert_eq!(world.dispatch.stats().lost, 1);
}

#[test]
fn a_straggler_is_hedged_and_is_the_second_vote_when_it_comes() {
    let mut world = World::new(settings());
    let slow = world.join_of(Kind::Honest, 1, Duration::from_secs(25));
    world.submit(1, Assurance::replicas(2));
    let fast = world.join_of(Kind::Honest, 2, Duration::from_secs(1));
    world.until(60);
    let believed = &world.believed[&TaskId(1)];
    assert_eq!(world.dispatch.stats().hedges, 1);
    assert_eq!(believed.runs, 2, "the hedge was the second vote");
    assert!(believed.voters.contains(&slow) && believed.voters.contains(&fast));
}

#[test]
fn a_pausing_worker_finishes_what_it_has_and_gets_no_more() {
    let mut world = World::new(settings());
    let worker = world.join(Kind::Honest);
    world.submit(1, Assurance::replicas(1));
    world.submit(2, Assurance::replicas(1));
    world.tell(DispatchInput::Offer {
        worker,
        owner: Owner(1),
        slots: 0,
        memory_bytes: 1 << 30,
        for_site: None,
    });
    world.until(30);
    assert_eq!(world.believed.len(), 1);
    world.tell(DispatchInput::Offer {
        worker,
        owner: Owner(1),
        slots: 1,
        memory_bytes: 1 << 30,
        for_site: None,
    });
    world.until(60);
    assert_eq!(world.believed.len(), 2);
}

#[test]
fn a_lone_worker_is_no_quorum_and_the_referee_steps_in_after_a_while() {
    let mut world = World::new(DispatchSettings { patience: Duration::from_secs(60), ..settings() });
    world.join(Kind::Honest);
    world.submit(1, Assurance::replicas(2));
    world.until(30);
    assert!(world.believed.is_empty());
    world.until(120);
    assert!(world.believed[&TaskId(1)].refereed);
}

#[test]
fn a_dispute_of_the_only_two_is_soon_decided_by_the_referee() {
    let dispute_patience = Duration::from_secs(5);
    let mut world = World::new(DispatchSettings { dispute_patience, ..settings() });
    world.join(Kind::Honest);
    world.join(Kind::Liar);
    world.submit(1, Assurance::replicas(2));
    world.until(20);
    assert!(world.believed.get(&TaskId(1)).is_some_and(|believed| believed.refereed));
    assert_eq!((world.wrong_results(), world.exposed.len()), (0, 1));
}

#[test]
fn without_workers_or_a_referee_a_task_is_given_up_in_time() {
    let patience = Duration::from_secs(60);
    let mut world = World::new(DispatchSettings { patience, referee: false, ..settings() });
    world.submit(1, Assurance::replicas(2));
    world.until(120);
    assert_eq!(world.given_up.get(&TaskId(1)), Some(&GivenUp::NoWorker));
    assert!(world.forgotten.contains(&TaskId(1)));
    assert_eq!(world.dispatch.deadline(), None);
}

#[test]
fn without_a_referee_the_larger_side_needs_a_lead_of_two() {
    let mut world = World::new(DispatchSettings { referee: false, ..settings() });
    world.join(Kind::Liar);
    (0..4).for_each(|_| {
        world.join(Kind::Honest);
    });
    (0..20).for_each(|task| world.submit(task, Assurance::replicas(2)));
    world.until(2_000);
    assert_eq!((world.believed.len(), world.wrong_results()), (20, 0));
    assert!(world.exposed.is_empty(), "nothing is proved by votes alone");
}

#[test]
fn trouble_of_workers_gives_a_task_up_in_the_end() {
    let mut world = World::new(settings());
    (0..6).for_each(|_| {
        world.join_of(Kind::Honest, 1, Duration::from_secs(50));
    });
    world.submit(1, Assurance::replicas(1));
    for _ in 0..4 {
        let lease = world.leases.last().expect("it was leased").0;
        world.tell(DispatchInput::Trouble { lease });
    }
    assert_eq!(world.given_up.get(&TaskId(1)), Some(&GivenUp::Trouble));
}

#[test]
fn what_needs_more_memory_than_anyone_has_does_not_stop_the_rest() {
    let mut world = World::new(settings());
    world.join(Kind::Honest);
    for task in 0..40 {
        let memory_bytes = if task % 2 == 0 { 1 << 40 } else { 1 };
        world.tell(DispatchInput::Submit(Submission {
            task: TaskId(task),
            submitter: PeerId([1; 32]),
            owner: Owner(1),
            site: None,
            module: [7; 32],
            input: [0; 32],
            need: Need { gas: GAS, memory_bytes },
            assurance: Assurance::replicas(1),
            value: 0,
        }));
    }
    world.until(10);
    assert!(world.leases.len() >= 2, "{}", world.leases.len());
    assert!(world.leases.iter().all(|(_, _, task, _)| task.0 % 2 == 1));
}

#[test]
fn a_cancelled_task_takes_its_leases_along() {
    let mut world = World::new(settings());
    world.join_of(Kind::Honest, 1, Duration::from_secs(50));
    world.submit(1, Assurance::replicas(1));
    world.tell(DispatchInput::Cancel { task: TaskId(1) });
    assert_eq!(world.dispatch.open(), 0);
    assert!(world.forgotten.contains(&TaskId(1)));
    world.submit(2, Assurance::replicas(1));
    assert_eq!(world.leases.len(), 2, "its worker is free again");
}

#[test]
fn the_same_seed_gives_the_same_run() {
    let run = || {
        let mut world = World::new(settings());
        for kind in [Kind::Honest, Kind::Honest, Kind::Ring(1), Kind::Honest, Kind::Liar] {
            world.join(kind);
        }
        (0..100).for_each(|task| world.submit(task, Assurance::cheap()));
        world.until(3_000);
        (world.leases.clone(), world.dispatch.stats())
    };
    assert_eq!(run(), run());
}

#[test]
fn a_long_line_is_not_given_up_while_it_moves() {
    let patience = Duration::from_secs(30);
    let mut world = World::new(DispatchSettings { patience, spots_permille: 0, ..settings() });
    world.join_of(Kind::Honest, 1, Duration::from_secs(5));
    (0..40).for_each(|task| world.submit(task, Assurance::replicas(1)));
    world.until(400);
    assert_eq!((world.believed.len(), world.refereed), (40, 0));
}
