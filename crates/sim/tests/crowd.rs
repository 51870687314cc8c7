//! The large world is the small one seen from far: it repeats exactly, and times agree with those of real nodes.

mod support;

use peeredge_sim::crowd::{self, Crowd};
use peeredge_sim::{Link, PeerSpec, Scenario, run};
use support::done;

fn crowd(seed: u64) -> Crowd {
    Crowd {
        seed,
        peers: 2_000,
        contents: 20,
        block_bytes: 250_000,
        blocks: 40,
        ups: vec![250_000, 1_000_000, 2_500_000],
        stays_ms: vec![5_000, 60_000, 300_000, 900_000],
        latency_micros: 10_000,
        origin_bytes_per_s: 1_000_000,
        until_ms: 600_000,
    }
}

#[test]
fn the_same_seed_is_the_same_world() {
    let (first, again, other) = (crowd::run(&crowd(1)), crowd::run(&crowd(1)), crowd::run(&crowd(2)));
    assert_eq!(first, again);
    assert_ne!(first.trace_hash, other.trace_hash);
}

#[test]
fn most_comes_from_peers_and_nothing_is_made_up() {
    let world = crowd(3);
    let report = crowd::run(&world);
    assert!(report.completed > 2_000 && report.left > 100, "{report:?}");
    assert!(report.offload() > 0.8, "{}", report.offload());
    let bytes = report.from_peers_bytes + report.from_origin_bytes;
    assert!(bytes >= report.completed * 10_000_000);
    // Nobody is faster than its downlink and the fastest way to it.
    assert!(report.completion_ms(0.0) >= 10_000_000.0 / 10_000_000.0 * 1000.0);
}

#[test]
fn times_agree_with_those_of_real_nodes_on_the_same_links() {
    // Twelve home connections want ten megabytes that the relay has, too: as nodes, and as a crowd whose visitors stay.
    let mut scenario = Scenario::new(5);
    let content = scenario.content(10_000_000, false, true);
    scenario.relay.link = Link { up_bytes_per_s: 2_500_000, ..Link::HOME };
    for n in 0..12 {
        scenario.peer(PeerSpec::new(Link::HOME).wanting(content).joining_at_ms(4_000 * n));
    }
    let report = run(scenario);
    let mut nodes: Vec<f64> =
        (0..12).map(|n| done(&report, n).as_micros() as f64 / 1000.0 - 4_000.0 * n as f64).collect();
    nodes.sort_by(f64::total_cmp);
    let far = crowd::run(&Crowd {
        peers: 12,
        contents: 1,
        ups: vec![2_500_000],
        stays_ms: vec![48_000],
        origin_bytes_per_s: 2_500_000,
        until_ms: 400_000,
        ..crowd(5)
    });
    let ratio = far.completion_ms(0.5) / nodes[5];
    assert!((0.6..1.6).contains(&ratio), "{ratio}: {} and {nodes:?}", far.completion_ms(0.5));
}
