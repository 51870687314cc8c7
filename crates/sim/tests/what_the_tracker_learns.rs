//! Real nodes tell a real tracker what came and which introductions opened, and it acts on that.

mod support;

use peeredge_sim::{Link, PeerSpec, Scenario, run};
use peeredge_wire::Time;
use support::{LENGTH, done, sane};

#[test]
fn what_receivers_sign_for_is_what_they_received() {
    let mut scenario = Scenario::new(1);
    let content = scenario.content(LENGTH, false, false);
    // Slow enough for several reports.
    let slow = Link { up_bytes_per_s: LENGTH / 40, ..Link::HOME };
    scenario.peer(PeerSpec::new(slow).publishing(content));
    scenario.peer(PeerSpec::new(slow).wanting(content));
    scenario.peer(PeerSpec::new(slow).wanting(content));
    let report = run(scenario);
    sane(&report);
    done(&report, 1);
    let tracker = report.tracker.as_ref().expect("the relay lives");
    assert!(tracker.receipts >= 4, "{tracker:?}");
    assert_eq!((tracker.receipts_refused, tracker.nothing_came), (0, 0), "{tracker:?}");
    assert_eq!(tracker.receipted_bytes[0], tracker.reported.from_peers_bytes);
    assert!(tracker.receipted_bytes[0] >= LENGTH / 2 && tracker.met[0] >= 2, "{tracker:?}");
}

#[test]
fn a_seeder_whom_nobody_reaches_is_soon_introduced_to_few() {
    let visitors = 48;
    let mut scenario = Scenario::new(2);
    scenario.until = Time::from_millis(1_400_000);
    let content = scenario.content(LENGTH, false, false);
    let walled = scenario.peer(PeerSpec::new(Link::HOME).publishing(content));
    scenario.peer(PeerSpec::new(Link::HOME).publishing(content));
    for n in 0..visitors {
        // By then the attempts of those before have failed.
        let visitor = scenario.peer(PeerSpec::new(Link::HOME).wanting(content).joining_at_ms(n * 25_000));
        scenario.walls.push((walled, visitor));
    }
    let report = run(scenario);
    sane(&report);
    for n in 0..visitors as usize {
        done(&report, n + 2);
    }
    let tracker = report.tracker.as_ref().expect("the relay lives");
    // Without what was learned every visitor would try it.
    assert!((1..=visitors / 2).contains(&tracker.met[1]), "{:?}", tracker.met);
}
