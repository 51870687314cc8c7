//! A peer that flips bits is named by proof and dropped, nobody else is, and the content arrives.

mod support;

use peeredge_sim::{Link, PeerSpec, Pollution, Report, Scenario, run};
use std::collections::BTreeSet;
use support::{LENGTH, Summary, done, sane};

const POLLUTER: usize = 1;
const RECEIVERS: [usize; 2] = [2, 3];

fn polluted(seed: u64, pollution: Pollution, coded_permille: u16) -> Report {
    let mut scenario = Scenario::new(seed);
    let content = scenario.content(LENGTH, false, false);
    scenario.peer(PeerSpec::new(Link::HOME).publishing(content));
    let mut polluter = PeerSpec::new(Link::HOME).publishing(content);
    polluter.pollutes = Some(pollution);
    scenario.peer(polluter);
    for _ in RECEIVERS {
        let mut receiver = PeerSpec::new(Link::HOME).wanting(content);
        receiver.config.coded_permille = coded_permille;
        scenario.peer(receiver);
    }
    run(scenario)
}

#[track_caller]
fn named_and_harmless(seed: u64, report: &Report) {
    sane(report);
    assert!(report.peers[POLLUTER].falsified > 0, "seed {seed}: it did nothing {:?}", Summary(report));
    for receiver in RECEIVERS {
        done(report, receiver);
    }
    let polluter = BTreeSet::from([report.peers[POLLUTER].id]);
    assert_eq!(report.blamed(), polluter, "seed {seed}: {:?}", Summary(report));
}

#[test]
fn in_source_symbols_at_the_first_one() {
    for seed in 1..=5 {
        let report = polluted(seed, Pollution::Source, 0);
        named_and_harmless(seed, &report);
        for receiver in RECEIVERS {
            assert_eq!(report.peers[receiver].blamed.len(), 1, "seed {seed}: {:?}", Summary(&report));
        }
    }
}

#[test]
fn in_coded_symbols_once_the_block_is_right() {
    for seed in 1..=5 {
        let report = polluted(seed, Pollution::Coded, 400);
        named_and_harmless(seed, &report);
    }
}

#[test]
fn the_tracker_no_longer_introduces_who_was_blamed_by_two() {
    let report = polluted(1, Pollution::Source, 0);
    let tracker = report.tracker.expect("the relay lives");
    assert_eq!((tracker.blames, tracker.barred), (2, 1));
}

#[test]
fn mixed_source_and_coded_symbols_arrive_without_any_polluter_too() {
    for (seed, coded_permille) in [(1, 100), (2, 400), (3, 900), (4, 1000)] {
        let mut scenario = Scenario::new(seed);
        let content = scenario.content(LENGTH, false, false);
        scenario.peer(PeerSpec::new(Link::HOME).publishing(content));
        scenario.peer(PeerSpec::new(Link::HOME).publishing(content));
        let mut receiver = PeerSpec::new(Link::HOME).wanting(content);
        receiver.config.coded_permille = coded_permille;
        scenario.peer(receiver);
        let report = run(scenario);
        sane(&report);
        done(&report, 2);
        assert!(report.blamed().is_empty(), "{:?}", Summary(&report));
    }
}
