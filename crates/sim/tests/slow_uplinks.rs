//! Many visitors, each with a slow uplink that all others ask: nothing is lost by that, only late, and to ask elsewhere for what is
//! late would fill every uplink with copies.

mod support;

use peeredge_sim::{Link, PeerSpec, Scenario, run};
use support::{Summary, done, sane};

#[test]
fn a_crowd_on_slow_uplinks_exchanges_the_content_and_not_copies_of_it() {
    const LENGTH: u64 = 3_000_000;
    const VISITORS: u64 = 16;
    let link = |up_bytes_per_s| Link {
        up_bytes_per_s,
        down_bytes_per_s: 1_000_000,
        latency_micros: 15_000,
        loss_ppm: 0,
    };
    for seed in 1..=3 {
        let mut scenario = Scenario::new(seed);
        let content = scenario.content(LENGTH, false, false);
        scenario.peer(PeerSpec::new(link(300_000)).publishing(content));
        for visitor in 0..VISITORS {
            let mut spec = PeerSpec::new(link(100_000)).wanting(content).joining_at_ms(250 * visitor);
            spec.config.http = false;
            scenario.peer(spec);
        }
        let report = run(scenario);
        sane(&report);
        // All uplinks together, without a pause and without a header.
        let bound_s = (VISITORS * LENGTH) as f64 / (300_000 + VISITORS * 100_000) as f64;
        let mut copies = 0;
        for visitor in 1..=VISITORS as usize {
            let took_s = (done(&report, visitor) - report.peers[visitor].fetches[0].asked).as_secs_f64();
            assert!(took_s < 2.5 * bound_s, "seed {seed}: {took_s} s\n{:?}", Summary(&report));
            copies += report.peers[visitor].stats.duplicate_bytes;
        }
        let share = copies as f64 / (VISITORS * LENGTH) as f64;
        assert!(share < 0.5, "seed {seed}: {share} of the bytes came twice\n{:?}", Summary(&report));
    }
}
