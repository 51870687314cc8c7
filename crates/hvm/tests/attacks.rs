//! Each attack, and the defence that meets it.

mod world;

use core::time::Duration;
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
    let mut world = World::new(settings());
    world.join_of(Kind::Honest, 1, Duration::from_secs(30));
    world.submit(1, Assurance::replicas(2));
    world.join_of(Kind::Withholder, 2, Duration::from_secs(1));
    // The first is slow and hedged; while the hedge runs, the first commits and is not yet asked.
    world.until(31);
    assert_eq!((world.leases.len(), world.asked.len()), (2, 0));
    world.until(300);
    assert_eq!(world.asked, [world.leases[0].0]);
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
