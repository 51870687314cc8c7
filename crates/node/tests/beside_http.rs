//! Not slower than plain HTTP but for one short trial of the peers, whatever they are like; and HTTP is spared when they are good.

mod world;

use peeredge_node::{Input, RangeSpec};
use peeredge_wire::RequestId;
use world::{World, bytes, publish};

const LENGTH: usize = 16 << 20;
const HTTP_BYTES_PER_S: u64 = 2_000_000;

/// Seconds until a receiver has all, and the share that came by HTTP; with a seeder of this uplink, if any, that falls silent
/// after so many milliseconds, if it does.
fn run(seeder: Option<u64>, silent_after_ms: Option<u64>) -> (f64, f64) {
    let data = bytes(LENGTH, 1);
    let (content, stored) = publish(&data);
    let mut world = World::new();
    if let Some(uplink) = seeder {
        let seeder = world.add(|_| {});
        world.peers[seeder].uplink_bytes_per_s = uplink;
        world.hold(seeder, content, &stored);
    }
    let receiver = world.add(|config| config.http = true);
    world.peers[receiver].http_bytes_per_s = HTTP_BYTES_PER_S;
    world.peers[receiver].http.insert(content, stored);
    // The relay's socket, and all introductions, come first.
    world.run_until(1, |_| false);
    let began = world.now;
    world.fetch(receiver, 1, content, RangeSpec::Whole);
    if let Some(ms) = silent_after_ms {
        let until = began + core::time::Duration::from_millis(ms);
        world.run_until(60, |world| world.now >= until);
        world.peers[0].tamper = Some(Box::new(|_| Vec::new()));
    }
    assert!(world.run_until(60, |world| world.finished(receiver, 1)));
    assert!(world.got(receiver, 1) == data);
    let stats = world.peers[receiver].node.stats();
    (world.now.since(began).as_secs_f64(), stats.from_http_bytes as f64 / LENGTH as f64)
}

const ALONE_S: f64 = LENGTH as f64 / HTTP_BYTES_PER_S as f64;
/// What it may cost to try peers that have just been met, once, and what those that fall silent owe.
const TRIAL_S: f64 = 0.42;
const OWED_S: f64 = 1.0;

#[test]
fn without_peers_it_takes_what_http_takes() {
    let (seconds, share) = run(None, None);
    assert!(seconds < 1.02 * ALONE_S, "{seconds}");
    assert_eq!(share, 1.0);
}

#[test]
fn a_peer_with_a_trickle_costs_no_more_than_its_trial() {
    let (seconds, share) = run(Some(20_000), None);
    assert!(seconds < ALONE_S + TRIAL_S, "{seconds}");
    assert!(share > 0.8, "{share}");
}

#[test]
fn a_peer_half_as_fast_as_http_adds_its_half() {
    let (seconds, _) = run(Some(HTTP_BYTES_PER_S / 2), None);
    assert!(seconds < 0.8 * ALONE_S, "{seconds}");
}

#[test]
fn a_peer_that_falls_silent_costs_little() {
    let (seconds, _) = run(Some(1_000_000), Some(500));
    assert!(seconds < ALONE_S + OWED_S, "{seconds}");
}

#[test]
fn with_a_good_peer_http_is_spared() {
    let (seconds, share) = run(Some(6_000_000), None);
    assert!(seconds < ALONE_S / 2.0, "{seconds}");
    assert!(share < 0.05, "{share}");
}

#[test]
fn what_is_played_takes_http_only_when_its_deadline_is_near() {
    const PACE: u64 = 200_000;
    let data = bytes(LENGTH, 1);
    let (content, stored) = publish(&data);
    let mut shares = Vec::new();
    for seeder_bytes_per_s in [2 * PACE, PACE / 2] {
        let mut world = World::new();
        let seeder = world.add(|_| {});
        world.peers[seeder].uplink_bytes_per_s = seeder_bytes_per_s;
        world.hold(seeder, content, &stored);
        let receiver = world.add(|config| config.http = true);
        world.peers[receiver].http_bytes_per_s = HTTP_BYTES_PER_S;
        world.peers[receiver].http.insert(content, stored.clone());
        world.run_until(1, |_| false);
        world.fetch(receiver, 1, content, RangeSpec::Whole);
        world.input(receiver, Input::Pace { request: RequestId(1), bytes_per_s: PACE });
        let began = world.now;
        // Two seconds of it to start with; from then on it must never run out.
        let got = |world: &World| world.peers[receiver].got.get(&RequestId(1)).map_or(0, Vec::len) as u64;
        assert!(world.run_until(10, |world| got(world) >= 2 * PACE));
        let started = world.now;
        while world.now.since(began).as_secs() < 40 {
            let until = world.now + core::time::Duration::from_millis(250);
            world.run_until(1, |world| world.now >= until);
            let played = (world.now.since(started).as_secs_f64() * PACE as f64) as u64;
            assert!(got(&world) > played, "{} of {played} after {:?}", got(&world), world.now.since(started));
        }
        shares.push(world.peers[receiver].node.stats().from_http_bytes as f64 / got(&world) as f64);
    }
    // A peer with twice the pace is enough; beside one with half of it HTTP keeps the picture moving.
    assert!(shares[0] < 0.1 && shares[1] > 0.4, "{shares:?}");
}
