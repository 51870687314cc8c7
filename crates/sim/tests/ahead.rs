//! Idle peers that agreed hold what will be wanted, and the relay sends less than without them.

mod support;

use peeredge_sim::{AheadSettings, Link, PeerSpec, Report, Scenario, run};
use support::{Summary, done, sane};

/// A visitor every three seconds, who stays for five; an idle peer that lends `prefetch_bytes` or not.
fn visitors(prefetch_bytes: u64) -> Report {
    let mut scenario = Scenario::new(11);
    scenario.relay.ahead =
        AheadSettings { slot_ms: 6_000, day_slots: 10, week_slots: 20, ..AheadSettings::default() };
    let content = scenario.content(2_000_000, false, true);
    let mut idle = PeerSpec::new(Link::HOME);
    idle.config.caps.prefetch_bytes_max = prefetch_bytes;
    scenario.peer(idle);
    for n in 0..30 {
        let peer = scenario.peer(PeerSpec::new(Link::HOME).wanting(content).joining_at_ms(3_000 * n));
        scenario.at_ms(3_000 * n + 5_000, peeredge_sim::Action::Leave(peer));
    }
    let report = run(scenario);
    sane(&report);
    (1..=30).for_each(|peer| _ = done(&report, peer));
    report
}

#[test]
fn an_idle_peer_that_agreed_is_asked_fetches_and_serves() {
    let (with, without) = (visitors(10_000_000), visitors(0));
    let ahead = with.tracker.as_ref().expect("the relay lives").ahead;
    assert!(
        ahead.nodes == 1 && ahead.fills >= 1 && ahead.rented_bytes > 0,
        "{ahead:?}\n{:?}",
        Summary(&with)
    );
    assert!(with.peers[0].stats.sent_bytes > 5_000_000, "{:?}", Summary(&with));
    let relay = |report: &Report| report.relay_node.as_ref().expect("it seeds").stats.sent_bytes;
    // The relay's own node stays within reach beside peers whose shares nobody has borne out yet, so it still gives its part.
    assert!(relay(&with) * 20 < relay(&without) * 17, "{} {}", relay(&with), relay(&without));
    assert_eq!(without.peers[0].stats.from_relay_bytes + without.peers[0].stats.from_peers_bytes, 0);
}
