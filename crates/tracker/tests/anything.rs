//! Random operations and random bytes: never a panic, never an introduction to the dead, to strangers, or to oneself.

mod support;

use core::time::Duration;
use peeredge_tracker::{ConnId, Tracker, TrackerConfig, TrackerInput, TrackerOutput};
use peeredge_wire::relay::{FromRelay, Report, ToRelay};
use peeredge_wire::{PeerId, Time};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use support::{AUTHORITY, RELAY_KEY, content, hello, id};

const KEYS: [u8; 5] = [1, 2, 3, 4, RELAY_KEY];

#[derive(Clone, Debug)]
enum Step {
    Join(usize),
    Leave(u8),
    Announce(u8, u8, u16, u8),
    Withdraw(u8, u8),
    Signal(u8, usize),
    Blame(u8, usize),
    Report(u8, u64),
    Garbage(u8, Vec<u8>),
    Pass(u32),
}

fn step() -> impl Strategy<Value = Step> {
    let slot = || 0..6u8;
    let peer = || 0..KEYS.len();
    prop_oneof![
        4 => peer().prop_map(Step::Join),
        1 => slot().prop_map(Step::Leave),
        8 => (slot(), 0..3u8, prop_oneof![Just(0u16), Just(1000), 0..=1000u16], 0..5u8)
            .prop_map(|(s, c, h, w)| Step::Announce(s, c, h, w)),
        1 => (slot(), 0..3u8).prop_map(|(s, c)| Step::Withdraw(s, c)),
        2 => (slot(), peer()).prop_map(|(s, p)| Step::Signal(s, p)),
        1 => (slot(), peer()).prop_map(|(s, p)| Step::Blame(s, p)),
        1 => (slot(), any::<u64>()).prop_map(|(s, n)| Step::Report(s, n)),
        1 => (slot(), prop::collection::vec(any::<u8>(), 0..120)).prop_map(|(s, b)| Step::Garbage(s, b)),
        2 => (0..90_000u32).prop_map(Step::Pass),
    ]
}

/// What an onlooker knows: who is connected on what, and when two were last introduced for a content.
#[derive(Default)]
struct Onlooker {
    alive: BTreeMap<ConnId, PeerId>,
    joining: Option<(ConnId, u8)>,
    met: BTreeMap<(ConnId, ConnId, u8), Time>,
}

impl Onlooker {
    /// Who comes back to a content after withdrawing from it has given up its connections, and may meet the same again.
    fn withdrawn(&mut self, conn: ConnId, content_n: u8) {
        self.met.retain(|(a, b, c), _| *c != content_n || (*a != conn && *b != conn));
    }

    fn introduction(
        &mut self,
        now: Time,
        to: ConnId,
        peer: PeerId,
        content_n: u8,
    ) -> Result<(), TestCaseError> {
        let own = self.alive.get(&to).copied();
        prop_assert!(own.is_some(), "an introduction went to a connection that is no peer");
        prop_assert_ne!(own, Some(peer), "introduced to itself");
        let of = self.alive.iter().find(|(_, p)| **p == peer).map(|(c, _)| *c);
        let Some(of) = of else { return Err(TestCaseError::fail("introduced to somebody who is not here")) };
        let pair = (to.min(of), to.max(of), content_n);
        if let Some(before) = self.met.insert(pair, now) {
            prop_assert!(
                now.since(before) > Duration::from_secs(30),
                "the same two again after {:?}",
                now.since(before)
            );
        }
        Ok(())
    }
}

fn run(steps: Vec<Step>) -> Result<(), TestCaseError> {
    let config = TrackerConfig {
        peers_max: 6,
        contents_per_peer_max: 2,
        ..TrackerConfig::new(id(RELAY_KEY), [1; 32])
    };
    let mut tracker = Tracker::new(config);
    let (mut now, mut next) = (Time::from_millis(1), 0u64);
    let mut onlooker = Onlooker::default();
    let mut slots: Vec<ConnId> = Vec::new();
    for step in steps {
        let slot = |s: u8| slots.get(usize::from(s)).copied().unwrap_or(ConnId(u64::MAX));
        let say = |s, message: ToRelay| TrackerInput::Frame { conn: slot(s), frame: message.encode() };
        let input = match step {
            Step::Join(key) => {
                next += 1;
                let conn = ConnId(next);
                onlooker.joining = Some((conn, KEYS[key]));
                slots.insert(0, conn);
                slots.truncate(6);
                TrackerInput::Connected { conn, authorities: vec![AUTHORITY.into()] }
            }
            Step::Leave(s) => {
                onlooker.alive.remove(&slot(s));
                TrackerInput::Closed { conn: slot(s) }
            }
            Step::Announce(s, c, have_permille, wants) => {
                if (have_permille, wants) == (0, 0) {
                    onlooker.withdrawn(slot(s), c);
                }
                say(s, ToRelay::Announce { content: content(c), have_permille, wants })
            }
            Step::Withdraw(s, c) => {
                onlooker.withdrawn(slot(s), c);
                say(s, ToRelay::Withdraw { content: content(c) })
            }
            Step::Signal(s, p) => say(s, ToRelay::Signal { to: id(KEYS[p]), session: 1, signal: vec![5] }),
            Step::Blame(s, p) => {
                say(s, ToRelay::Blame { accused: id(KEYS[p]), content: content(0), block: 0 })
            }
            Step::Report(s, n) => say(s, ToRelay::Report(Report { sent_bytes: n, ..Report::default() })),
            Step::Garbage(s, frame) => TrackerInput::Frame { conn: slot(s), frame },
            Step::Pass(ms) => {
                now = now + Duration::from_millis(u64::from(ms));
                TrackerInput::Wake
            }
        };
        let mut inputs = vec![input];
        while let Some(input) = inputs.pop() {
            tracker.handle(now, input);
            while let Some(output) = tracker.poll() {
                match output {
                    TrackerOutput::Close { conn, .. } => {
                        onlooker.alive.remove(&conn);
                    }
                    TrackerOutput::Send { conn, frame, .. } => match FromRelay::decode(&frame) {
                        Ok(FromRelay::Challenge { nonce, .. }) => {
                            let (_, key) =
                                onlooker.joining.filter(|(c, _)| *c == conn).expect("asked only who joins");
                            inputs.push(TrackerInput::Frame { conn, frame: hello(key, &nonce).encode() });
                        }
                        Ok(FromRelay::Welcome { .. }) => {
                            let (_, key) =
                                onlooker.joining.filter(|(c, _)| *c == conn).expect("welcomes who joins");
                            onlooker.alive.insert(conn, id(key));
                        }
                        Ok(FromRelay::Introduce { content, peer, .. }) => {
                            onlooker.introduction(now, conn, peer, content.0[0])?;
                        }
                        Ok(FromRelay::Signal { from, .. }) => {
                            prop_assert!(onlooker.alive.contains_key(&conn));
                            prop_assert!(onlooker.alive.values().any(|p| *p == from));
                        }
                        Ok(_) => {}
                        Err(error) => {
                            return Err(TestCaseError::fail(format!("sent what cannot be read: {error}")));
                        }
                    },
                }
            }
        }
        let stats = tracker.stats();
        prop_assert_eq!(stats.peers, onlooker.alive.len());
        prop_assert_eq!(
            onlooker.alive.values().collect::<BTreeSet<_>>().len(),
            stats.peers,
            "one connection a key"
        );
        prop_assert!(stats.connections <= 6 && stats.announces <= 2 * (stats.peers.saturating_sub(1)) + 3);
        prop_assert!(tracker.deadline().is_none_or(|at| at > now), "what was due was not done");
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn any_steps_keep_the_rules(steps in prop::collection::vec(step(), 1..120)) {
        run(steps)?;
    }

    #[test]
    fn any_bytes_leave_a_working_tracker(frames in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 1..20)) {
        let mut place = support::Place::new();
        for frame in frames {
            let conn = place.join(1);
            place.input(TrackerInput::Frame { conn, frame });
        }
        let (a, b) = (place.join(2), place.join(3));
        place.announce(a, content(9), 1000, 0);
        place.announce(b, content(9), 0, 1);
        prop_assert_eq!(place.introduced(b), vec![id(2)]);
    }
}
