//! Many small contents of one holder with a slow uplink: one pipe for all of them, or they would wait in its queue beyond their deadlines.

mod support;

use peeredge_sim::{FetchEnd, Link, PeerSpec, Scenario, run};
use peeredge_wire::Time;
use support::{Summary, sane};

#[test]
fn three_hundred_small_contents_of_a_slow_holder_all_come_once() {
    const CONTENTS: u64 = 300;
    const LENGTH: u64 = 93_000;
    const UP_BYTES_PER_S: u64 = 200_000;
    let mut scenario = Scenario::new(1);
    scenario.until = Time::from_millis(400_000);
    let slow = Link {
        up_bytes_per_s: UP_BYTES_PER_S,
        down_bytes_per_s: 4_000_000,
        latency_micros: 10_000,
        loss_ppm: 0,
    };
    let mut holder = PeerSpec::new(slow);
    let mut reader = PeerSpec::new(Link::HOME).joining_at_ms(1_000);
    reader.config.http = false;
    for _ in 0..CONTENTS {
        let content = scenario.content(LENGTH, false, false);
        holder = holder.publishing(content);
        reader = reader.wanting(content);
    }
    scenario.peer(holder);
    scenario.peer(reader);
    let report = run(scenario);
    sane(&report);
    let ends: Vec<Time> = report.peers[1]
        .fetches
        .iter()
        .filter_map(|fetch| if let FetchEnd::Done(at) = fetch.end { Some(at) } else { None })
        .collect();
    assert_eq!(ends.len() as u64, CONTENTS, "{:?}", Summary(&report));
    let last_s = ends.iter().max().expect("there are some").as_micros() as f64 / 1e6;
    let bound_s = (CONTENTS * LENGTH) as f64 / UP_BYTES_PER_S as f64;
    assert!(last_s < 1.25 * bound_s, "{last_s} s where the uplink needs {bound_s}");
    assert_eq!(report.peers[1].stats.duplicate_bytes, 0);
}
