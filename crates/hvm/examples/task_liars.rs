//! `task_liars COUNT [SEED]`: the real dispatcher on a virtual clock, one liar in three, by each way to lie; and what workers that answer
//! nothing cost a caller. One line of JSON each; `bench/task-attacks` adds them up.
#![allow(clippy::print_stdout, reason = "a program")]

#[path = "../tests/world/mod.rs"]
mod world;

use core::time::Duration;
use peeredge_hvm::{Assurance, DispatchSettings, TaskId};
use peeredge_wire::PeerId;
use world::{Kind, World, settings};

const HONEST: usize = 16;
const LIARS: usize = 8;
/// A relay's tasks come and go: new workers come to each batch, since liars that were found get nothing any more.
const BATCH: u64 = 250;

/// Who lies, by the number of the liar.
type Who = fn(usize) -> Kind;

/// Each way, and who lies so.
const WAYS: [(&str, Who); 8] = [
    ("wrong output, another each time", |_| Kind::Liar),
    ("wrong output, all liars the same", |_| Kind::Ring(1)),
    ("wrong output, pairs of owners the same", |n| Kind::Ring(n as u8 / 2)),
    ("right at first, then all liars the same", |_| Kind::Sleeper(1, 12)),
    ("wrong gas", |_| Kind::Boaster),
    ("reveals what others found", |_| Kind::Copier),
    ("reveals an old receipt", |_| Kind::Replayer),
    ("answers nothing", |_| Kind::Withholder),
];

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let number = |at: usize| words.get(at).map(|word| word.parse().expect("a number"));
    let (count, seed) = (number(0).expect("usage: task_liars COUNT [SEED]"), number(1).unwrap_or(1));
    for (way, kind) in WAYS {
        for (name, assurance) in [("strict", Assurance::strict()), ("cheap", Assurance::cheap())] {
            let mut sum = [0_usize; 5];
            let mut from = 0;
            while from < count {
                let tasks = BATCH.min(count - from);
                let found = batch(kind, assurance, from, tasks, seed);
                sum.iter_mut().zip(found).for_each(|(sum, found)| *sum += found);
                from += tasks;
            }
            let [believed, forged, liars, honest, runs] = sum;
            println!(
                r#"{{"way":"{way}","assurance":"{name}","tasks":{count},"believed":{believed},"forged":{forged},"liars_exposed":{liars},"honest_exposed":{honest},"runs":{runs}}}"#
            );
        }
    }
    for (name, owner) in [("one network", (|_| 99) as fn(u64) -> u64), ("a network each", |n| 1_000 + n)] {
        for replicas in [1, 2] {
            let (done, worst_s) = silent(owner, replicas, seed);
            println!(r#"{{"silent":"{name}","replicas":{replicas},"done":{done},"cost_s":{worst_s}}}"#);
        }
    }
}

/// Tasks with a result, wrong results, liars and honest workers that were exposed, and runs.
fn batch(kind: fn(usize) -> Kind, assurance: Assurance, from: u64, tasks: u64, seed: u64) -> [usize; 5] {
    let mut world = World::new(DispatchSettings { seed: seed ^ from << 8, ..settings() });
    // They come in turns, so that nothing follows from who was first.
    let mut liars = 0;
    for n in 0..HONEST + LIARS {
        if n % 3 == 2 {
            world.join(kind(liars));
            liars += 1;
        } else {
            world.join(Kind::Honest);
        }
    }
    (from..from + tasks).for_each(|task| world.submit(task, assurance));
    world.until(20_000);
    let honest = |peer: &PeerId| world.devices[peer].kind == Kind::Honest;
    let wronged = world.exposed.iter().filter(|peer| honest(peer)).count();
    let found = world.exposed.len() - wronged;
    [world.believed.len(), world.wrong_results(), found, wronged, world.leases.len()]
}

/// How many of 20 tasks of a second have a result beside 64 silent keys and four honest workers, and how many seconds longer than its
/// second any of them took. What nobody answers within 1,000 s counts as those.
fn silent(owner: fn(u64) -> u64, replicas: u8, seed: u64) -> (usize, f64) {
    let mut world = World::new(DispatchSettings { seed, silence: Duration::from_secs(15), ..settings() });
    for n in 0..64 {
        world.join_of(Kind::Withholder, owner(n), Duration::from_secs(1));
    }
    (0..4).for_each(|_| {
        world.join(Kind::Honest);
    });
    let mut worst = 0.0_f64;
    for task in 0..20 {
        let began = world.now;
        world.submit(task, Assurance::replicas(replicas));
        let mut waited = 0;
        while !world.believed.contains_key(&TaskId(task)) && waited < 1_000 {
            waited += 1;
            world.until(began.as_micros() / 1_000_000 + waited);
        }
        worst = worst.max(waited as f64 - 1.0);
    }
    (world.believed.len(), worst)
}
