//! Worlds drawn at random: whatever happens, bytes are right, only polluters are blamed, and nobody waits for ever. A seed that
//! fails is named, and `SEEDS=seed..seed+1` replays exactly that one.

mod support;

use peeredge_node::{Caps, RangeSpec};
use peeredge_sim::{Action, FetchEnd, Link, PeerSpec, Pollution, Report, Scenario, run};
use peeredge_wire::Time;
use std::collections::BTreeSet;
use support::{Summary, sane};

struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }

    fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }
}

struct World {
    scenario: Scenario,
    /// Whether an honest seeder of everything is there from beginning to end, with a relay that lives.
    certain: bool,
}

fn link(dice: &mut Dice) -> Link {
    let up = [100_000, 500_000, 2_500_000, 12_500_000][dice.below(4) as usize];
    Link {
        up_bytes_per_s: up,
        down_bytes_per_s: (up * [1, 4, 10][dice.below(3) as usize]).max(1_000_000),
        latency_micros: [500, 10_000, 40_000, 150_000][dice.below(4) as usize],
        loss_ppm: [0, 0, 100, 5_000, 20_000][dice.below(5) as usize],
    }
}

fn range(dice: &mut Dice, length: u64) -> RangeSpec {
    match dice.below(5) {
        0 => RangeSpec::Last(dice.below(length.max(1)) + 1),
        1 => RangeSpec::From { start: dice.below(length.max(1)), end: None },
        2 => {
            let start = dice.below(length.max(1));
            RangeSpec::From { start, end: Some(start + dice.below(300_000)) }
        }
        _ => RangeSpec::Whole,
    }
}

/// One joiner of so many holds the first content from the beginning, and may cheat.
fn draw(seed: u64, holders_one_in: u64) -> World {
    let mut dice = Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0xdead);
    (0..10).for_each(|_| _ = dice.below(2));
    let mut scenario = Scenario::new(seed);
    scenario.until = Time::from_millis(900_000);
    let lengths = [1, 16_385, 300_000, 1_048_576, 3_000_001, 6_000_000];
    let contents = 1 + dice.below(2) as usize;
    for _ in 0..contents {
        let length = lengths[dice.below(lengths.len() as u64) as usize];
        scenario.content(length, dice.one_in(4), dice.one_in(5));
    }
    let certain = dice.one_in(2);
    let seeder = (0..contents).fold(PeerSpec::new(Link::HOME), PeerSpec::publishing);
    scenario.peer(seeder);
    for _ in 0..1 + dice.below(9) {
        let mut peer = PeerSpec::new(link(&mut dice)).joining_at_ms(dice.below(4_000));
        peer.config.coded_permille = [0, 0, 0, 100, 600, 1000][dice.below(6) as usize];
        peer.config.http = !dice.one_in(3);
        peer.config.cache_bytes_max = [64 << 20, 4 << 20][dice.below(2) as usize];
        if dice.one_in(holders_one_in) {
            peer.publishes.push(0);
            peer.pollutes = [Some(Pollution::Source), Some(Pollution::Coded), None][dice.below(3) as usize];
        }
        if dice.one_in(6) {
            let rate = [0, 50_000, 1_000_000][dice.below(3) as usize];
            peer.config.caps = Caps { upload_bytes_per_s_max: rate, connections_max: 3, ..Caps::default() };
        }
        for content in 0..contents {
            if !peer.publishes.contains(&content) && !dice.one_in(5) {
                let range = range(&mut dice, scenario.contents[content].length);
                peer.wants.push((dice.below(2_000), content, range));
            }
        }
        let place = scenario.peer(peer);
        if dice.one_in(4) {
            let at = 1_000 + dice.below(8_000);
            scenario.at_ms(at, if dice.one_in(2) { Action::Leave(place) } else { Action::Vanish(place) });
            if dice.one_in(2) {
                scenario.at_ms(at + dice.below(8_000), Action::Return(place));
            }
        }
        if dice.one_in(6) {
            let link = link(&mut dice);
            scenario.at_ms(dice.below(8_000), Action::Relink(place, link));
        }
    }
    if !certain {
        match dice.below(4) {
            0 => scenario.at_ms(dice.below(3_000), Action::Leave(0)),
            1 => scenario.at_ms(dice.below(3_000), Action::Vanish(0)),
            2 => {
                let at = dice.below(3_000);
                scenario.at_ms(at, Action::RelayDies);
                scenario.at_ms(at + dice.below(20_000), Action::RelayReturns);
            }
            _ => {
                let walled = dice.below(scenario.peers.len() as u64) as usize;
                scenario.walls.push((0, walled));
            }
        }
    }
    World { scenario, certain }
}

fn check(seed: u64, world: &World, report: &Report) -> Result<(), String> {
    sane(report);
    let pairs = world.scenario.peers.iter().zip(&report.peers);
    let polluters: BTreeSet<_> =
        pairs.filter(|(spec, _)| spec.pollutes.is_some()).map(|(_, peer)| peer.id).collect();
    if !report.blamed().is_subset(&polluters) {
        return Err(format!("seed {seed}: an honest peer was blamed"));
    }
    for (place, peer) in report.peers.iter().enumerate().filter(|(_, peer)| peer.here) {
        for fetch in &peer.fetches {
            match fetch.end {
                FetchEnd::Pending => return Err(format!("seed {seed}: peer {place} waits for ever")),
                // Who was proved to lie is served by nobody any more.
                FetchEnd::Failed(_, error) if world.certain && !report.blamed().contains(&peer.id) => {
                    return Err(format!(
                        "seed {seed}: peer {place} failed with {error} beside a sound seeder"
                    ));
                }
                _ => {}
            }
        }
    }
    Ok(())
}

fn world_of(seed: u64, holders_one_in: u64) -> (World, Report) {
    let world = draw(seed, holders_one_in);
    let report = run(world.scenario.clone());
    (world, report)
}

/// Worlds in which half of the joiners hold something or cheat; `CROWDED=FROM..TO` runs others.
#[test]
#[expect(clippy::disallowed_methods, reason = "only the choice of seeds comes from outside")]
fn an_honest_receiver_beside_a_sound_seeder_gets_what_it_wants_among_many_holders_and_liars() {
    let seeds = std::env::var("CROWDED").ok();
    let seeds = seeds.as_deref().and_then(|s| s.split_once("..")).map_or(5800..5803, |(from, to)| {
        from.parse().expect("CROWDED is FROM..TO")..to.parse().expect("CROWDED is FROM..TO")
    });
    let mut failed = Vec::new();
    for seed in seeds {
        let (world, report) = world_of(seed, 2);
        if let Err(what) = check(seed, &world, &report) {
            println!(
                "{what}\n{:?}\n{:#?}\n{:#?}",
                Summary(&report),
                world.scenario.actions,
                world.scenario.peers
            );
            failed.push(seed);
        }
    }
    assert_eq!(failed, []);
}

#[test]
#[expect(clippy::disallowed_methods, reason = "only the choice of seeds comes from outside")]
fn bytes_are_right_and_nobody_waits_for_ever() {
    let seeds = std::env::var("SEEDS").ok();
    let seeds = seeds.as_deref().and_then(|s| s.split_once("..")).map_or(0..40, |(from, to)| {
        from.parse().expect("SEEDS is FROM..TO")..to.parse().expect("SEEDS is FROM..TO")
    });
    let (many, mut seen) = (seeds.end - seeds.start >= 40, [0u64; 6]);
    for seed in seeds {
        let (world, report) = world_of(seed, 4);
        if let Err(what) = check(seed, &world, &report) {
            panic!("{what}\n{:?}\n{:#?}", Summary(&report), world.scenario.actions);
        }
        let ends: Vec<FetchEnd> = report.peers.iter().flat_map(|p| &p.fetches).map(|f| f.end).collect();
        seen[0] += ends.iter().filter(|end| matches!(end, FetchEnd::Done(_))).count() as u64;
        seen[1] += ends.iter().filter(|end| matches!(end, FetchEnd::Failed(..))).count() as u64;
        seen[2] += report.blamed().len() as u64;
        seen[3] += report.from_peers_bytes();
        seen[4] += report.from_relay_bytes();
        seen[5] += report.from_http_bytes();
    }
    assert!(!many || seen.iter().all(|count| *count > 0), "these worlds are too dull: {seen:?}");
}
