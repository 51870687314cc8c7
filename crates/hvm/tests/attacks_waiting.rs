//! Workers that keep others waiting, submitters that keep workers busy, and who is blamed for it.

mod world;

use core::time::Duration;
use peeredge_attacks::Attack;
use peeredge_hvm::*;
use world::*;

/// How many of 20 submitters' one-second tasks are done how long after they were handed in, at the latest, beside 64 workers of this kind.
fn latest_beside(kind: Kind, owner: impl Fn(usize) -> u64, assurance: Assurance, seed: u64) -> (usize, u64) {
    let silence = Duration::from_secs(15);
    let mut world = World::new(DispatchSettings { silence, ..DispatchSettings::new(seed) });
    for n in 0..64 {
        world.join_of(kind, owner(n), Duration::from_secs(1));
    }
    (0..4).for_each(|_| {
        world.join(Kind::Honest);
    });
    let mut latest = 0;
    for task in 0..20 {
        let began = world.now;
        world.submit(task, assurance);
        let mut waited = 0;
        while !world.believed.contains_key(&TaskId(task)) && waited < 100 {
            waited += 1;
            world.until(began.as_micros() / 1_000_000 + waited);
        }
        latest = latest.max(waited);
    }
    (world.believed.len(), latest)
}

#[test]
fn attack_silent_workers_of_one_network_cost_a_caller_seconds() {
    for (assurance, name) in [(Assurance::replicas(1), "one vote"), (Assurance::replicas(2), "two votes")] {
        let (done, latest) = latest_beside(Kind::Withholder, |_| 99, assurance, 7);
        Attack::new("tasks", "tasks", "64 keys of one network take runs and answer nothing")
            .spent(format!("64 keys, {name} a task"))
            .lost(format!("{latest} s at most for a task of one second, {done} of 20 done"))
            .end(done == 20 && latest <= 10);
    }
}

#[test]
fn attack_silent_workers_of_64_networks_cost_a_caller_seconds() {
    let kinds = [
        (Kind::Withholder, 15, "answer nothing"),
        (Kind::Beating, 20, "say for ever that they are still at it"),
        (Kind::Unshown, 50, "bind themselves to answers and show none"),
        (Kind::Troubled, 10, "say that they cannot run it"),
        (Kind::Half, 30, "answer every other run"),
    ];
    for (kind, within_s, name) in kinds {
        for votes in [1, 2] {
            let each = (0..20)
                .map(|seed| latest_beside(kind, |n| 1_000 + n as u64, Assurance::replicas(votes), seed));
            let (done, latest) = each.fold((0, 0), |(done, latest), (d, l)| (done + d, latest.max(l)));
            Attack::new("tasks", "tasks", name)
                .spent(format!("64 networks, {votes} votes a task, 20 seeds"))
                .lost(format!("{latest} s at most for a task of one second, {done} of 400 done"))
                .end(done == 400 && latest <= within_s);
        }
    }
}

#[test]
fn attack_one_worker_with_64_places_holds_one_run_until_it_has_returned_one() {
    let mut world = World::new(settings());
    let silent = world.join_of(Kind::Withholder, 99, Duration::from_secs(1));
    let offer = DispatchInput::Offer {
        worker: silent,
        owner: Owner(99),
        slots: 64,
        memory_bytes: 1 << 30,
        for_site: None,
    };
    world.tell(offer);
    (0..50).for_each(|task| world.submit(task, Assurance::replicas(1)));
    let held = world.leases.iter().filter(|(_, worker, ..)| *worker == silent).count();
    Attack::new("tasks", "tasks", "a stranger offers 64 places and answers nothing")
        .spent("1 key")
        .lost(format!("{held} of 50 runs held"))
        .end(held == 1);
}

#[test]
fn attack_a_stranger_that_shows_no_answer_holds_one_run_and_takes_no_more() {
    let mut world = World::new(settings());
    let silent = world.join_of(Kind::Unshown, 99, Duration::ZERO);
    let owner = Owner(99);
    let offer =
        DispatchInput::Offer { worker: silent, owner, slots: 64, memory_bytes: 1 << 30, for_site: None };
    world.tell(offer);
    (0..50).for_each(|task| world.submit(task, Assurance::replicas(1)));
    world.until(4);
    let held = world.leases.len();
    Attack::new("tasks", "tasks", "a stranger binds itself to answers and shows none")
        .spent("1 key")
        .lost(format!("{held} of 50 runs held"))
        .end(held == 1);
}

#[test]
fn attack_a_known_worker_that_shows_no_answer_holds_twice_its_places() {
    let mut world = World::new(settings());
    let known = world.join(Kind::Honest);
    (0..10).for_each(|task| world.submit(task, Assurance::replicas(1)));
    world.until(60);
    assert_eq!(world.believed.len(), 10);
    let device = world.devices.get_mut(&known).expect("it joined");
    (device.kind, device.takes) = (Kind::Unshown, Duration::ZERO);
    let before = world.leases.len();
    (10..60).for_each(|task| world.submit(task, Assurance::replicas(1)));
    world.until(64);
    let held = world.leases.len() - before;
    Attack::new("tasks", "tasks", "a worker with a record binds itself to answers and shows none")
        .spent("1 key, 10 honest runs")
        .lost(format!("{held} of 50 runs held"))
        .end(held <= 2);
}

#[test]
fn who_waits_for_others_before_it_shows_its_answer_is_not_late() {
    let silence = Duration::from_secs(120);
    let patient = Duration::from_secs(1000);
    let mut world = World::new(DispatchSettings {
        silence,
        stranger_hedge: patient,
        unknown_hedge: patient,
        ..settings()
    });
    let first = world.join_of(Kind::Honest, 1, Duration::from_secs(100));
    let need = Need { gas: 10 * GAS, memory_bytes: 1 << 20 };
    world.tell(DispatchInput::Submit(Submission { need, ..submission(1, 60, 1 << 20) }));
    // Asked while the first takes long, and then the one that it has to wait for.
    world.join_of(Kind::Beating, 2, Duration::from_secs(1));
    world.until(225);
    assert_eq!((world.leases.len(), world.asked.len()), (2, 0));
    world.join_of(Kind::Honest, 3, Duration::from_secs(1));
    world.until(400);
    assert!(world.believed[&TaskId(1)].voters.contains(&first));
}

#[test]
fn attack_a_task_that_the_referee_cannot_run_is_not_given_to_it_again_and_again() {
    let mut world = World::new(DispatchSettings { silence: Duration::from_secs(15), ..settings() });
    world.referee_runs = false;
    (0..30).for_each(|_| {
        world.join(Kind::Liar);
    });
    (0..10).for_each(|task| world.submit(task, Assurance::replicas(2)));
    world.until(4 * 3600);
    let (asked, ended) = (world.refereed, world.believed.len() + world.given_up.len());
    Attack::new("tasks", "tasks", "workers never agree on tasks that the referee cannot run")
        .spent("30 networks, 10 tasks")
        .lost(format!("{asked} runs of the referee, {} of 10 tasks without an end", 10 - ended))
        .end(asked <= 10 && ended == 10);
}

#[test]
fn attack_work_that_is_taken_back_counts_as_used() {
    let mut world = World::new(settings());
    let takes = Duration::from_secs(60);
    (0..8).for_each(|n| {
        world.join_of(Kind::Honest, 10 + n, takes);
    });
    let long = |task| Submission {
        need: Need { gas: 100 * GAS, memory_bytes: 1 << 20 },
        assurance: Assurance::replicas(1),
        ..submission(task, 60, 1 << 20)
    };
    (0..8).for_each(|task| world.tell(DispatchInput::Submit(long(task))));
    world.until(50);
    (0..8).for_each(|task| world.tell(DispatchInput::Cancel { task: TaskId(task) }));
    // By what an unknown device is taken to do, 200 M gas a second.
    let least = 8 * 40 * 200_000_000;
    Attack::new("tasks", "tasks", "tasks are taken back just before they are done")
        .spent("8 tasks of a minute")
        .lost(format!("{} of at least {least} gas counted", world.spent))
        .end(world.spent >= least);
}

#[test]
fn attack_a_claim_of_gas_uses_up_no_more_of_a_submitters_quota_than_the_tasks_limit() {
    let mut world = World::new(settings());
    (0..2).for_each(|_| {
        world.join(Kind::Boaster);
    });
    (0..2).for_each(|_| {
        world.join(Kind::Honest);
    });
    (0..4).for_each(|task| world.submit(task, Assurance::replicas(2)));
    world.until(300);
    let most = 4 * 8 * GAS;
    Attack::new("tasks", "tasks", "workers state ten times the gas")
        .spent("2 networks")
        .lost(format!("{} of at most {most} gas counted for four tasks", world.spent))
        .end(world.believed.len() == 4 && world.spent <= most);
}

#[test]
fn attack_tasks_that_nobody_can_fetch_or_run_cost_workers_neither_standing_nor_rest() {
    let mut world = World::new(DispatchSettings { silence: Duration::from_secs(15), ..settings() });
    let workers: Vec<_> = (0..6).map(|_| world.join(Kind::Honest)).collect();
    (0..40).for_each(|task| world.submit(task, Assurance::replicas(2)));
    world.until(100);
    assert_eq!(world.believed.len(), 40);
    // Its module never comes: some say so, the others are at it until their time is over.
    for (n, worker) in workers.iter().enumerate() {
        let kind = if n % 2 == 0 { Kind::Troubled } else { Kind::Beating };
        world.devices.get_mut(worker).expect("it joined").kind = kind;
    }
    for task in 100..120 {
        world.tell(DispatchInput::Submit(Submission { module: [66; 32], ..submission(task, 60, 1 << 20) }));
    }
    world.until(1_000);
    (100..120).for_each(|task| world.tell(DispatchInput::Cancel { task: TaskId(task) }));
    workers.iter().for_each(|worker| world.devices.get_mut(worker).expect("it joined").kind = Kind::Honest);
    let began = world.believed.len();
    (200..240).for_each(|task| world.submit(task, Assurance::replicas(2)));
    world.until(1_060);
    let done = world.believed.len() - began;
    Attack::new("tasks", "tasks", "a submitter hands in tasks whose module it gives nobody")
        .spent("20 tasks")
        .lost(format!("{} of 40 tasks of others had no result within a minute afterwards", 40 - done))
        .end(done == 40);
}

#[test]
fn attack_a_forged_checkpoint_costs_the_known_worker_that_goes_on_from_it_little() {
    let mut world = World::new(settings());
    let known = world.join(Kind::Honest);
    world.join(Kind::Honest);
    (0..60).for_each(|task| world.submit(task, Assurance::replicas(2)));
    world.until(200);
    let before = world.evidence(&known);
    assert!(before > 20.0, "{before}");
    // What it goes on from is wrong, and so is what comes of that.
    world.devices.get_mut(&known).expect("it joined").kind = Kind::Liar;
    let others: Vec<_> = world.devices.keys().copied().filter(|peer| *peer != known).collect();
    for other in &others {
        world.tell(DispatchInput::Gone { worker: *other });
    }
    world.tell(DispatchInput::Gone { worker: known });
    let forger = world.join_of(Kind::Withholder, 1, Duration::from_secs(1));
    world.submit(100, Assurance::replicas(2));
    let lease = world.leases.last().expect("it was leased").0;
    world.tell(DispatchInput::Kept { lease, mark: Mark { checkpoint: [9; 32], gas: GAS / 2 } });
    let Device { owner, .. } = world.devices[&known];
    world.tell(DispatchInput::Offer {
        worker: known,
        owner,
        slots: 1,
        memory_bytes: 1 << 30,
        for_site: None,
    });
    world.tell(DispatchInput::Gone { worker: forger });
    world.until(204);
    world.join(Kind::Honest);
    world.until(400);
    let after = world.evidence(&known);
    assert_eq!(world.wrong_results(), 0);
    Attack::new("tasks", "tasks", "a stranger hands on a wrong checkpoint and leaves")
        .spent("1 key")
        .lost(format!("evidence {before:.1} of an honest worker became {after:.1}"))
        .end(after > before * 0.9 && !world.exposed.contains(&known));
}
