//! The plainest flow: one publishes, two receive.

mod support;

use peeredge_sim::{Link, PeerSpec, Scenario, run};
use support::{LENGTH, Summary, done, sane};

fn scenario(seed: u64) -> Scenario {
    let mut scenario = Scenario::new(seed);
    let content = scenario.content(LENGTH, false, false);
    scenario.peer(PeerSpec::new(Link::HOME).publishing(content));
    scenario.peer(PeerSpec::new(Link::HOME).wanting(content));
    scenario.peer(PeerSpec::new(Link::HOME).wanting(content));
    scenario
}

#[test]
fn both_finish_with_every_byte_right_and_exchange_with_each_other() {
    for seed in 1..=5 {
        let report = run(scenario(seed));
        sane(&report);
        done(&report, 1);
        done(&report, 2);
        assert!(report.from_peers_bytes() >= 2 * LENGTH, "seed {seed}: {:?}", Summary(&report));
        let seeder_sent = report.peers[0].stats.sent_bytes;
        assert!(
            seeder_sent < LENGTH * 16 / 10,
            "seed {seed}: the seeder sent {seeder_sent}\n{:?}",
            Summary(&report)
        );
        assert!(report.blamed().is_empty());
    }
}
