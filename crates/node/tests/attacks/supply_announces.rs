//! More contents than the relay's limits let through at once: each is announced that may be, those used last first.

use crate::supply_stage::Lone;
use peeredge_node::{Event, Input, Output, RangeSpec};
use peeredge_wire::relay::{ErrorCode, FromRelay, Holding, ToRelay};
use peeredge_wire::{ContentId, RequestId};
use std::collections::BTreeSet;

const PER_S: u64 = 50;
const BURST: u64 = 400;

/// What a relay would do: counts frames against its limit, takes `places` contents, and refuses others by name.
struct Relay {
    tokens: f64,
    places: usize,
    taken: BTreeSet<ContentId>,
    asked: BTreeSet<ContentId>,
    too_fast: u32,
}

impl Relay {
    fn new(places: usize) -> Relay {
        Relay { tokens: BURST as f64, places, taken: BTreeSet::new(), asked: BTreeSet::new(), too_fast: 0 }
    }

    /// Hears what the node has said, and answers.
    fn hears(&mut self, lone: &mut Lone) {
        for output in std::mem::take(&mut lone.outs) {
            let Output::RelaySend(frame) = output else { continue };
            let said = match ToRelay::decode(&frame).expect("a frame of the node's") {
                ToRelay::Announce { content, have_permille, wants } => {
                    vec![Holding { content, have_permille, wants }]
                }
                ToRelay::Announces(said) => said,
                ToRelay::Withdraw { content } => {
                    self.taken.remove(&content);
                    Vec::new()
                }
                _ => Vec::new(),
            };
            let asking = said.iter().filter(|s| s.wants > 0).count();
            let cost = (asking + (said.len() - asking).div_ceil(16)).max(1) as f64;
            if self.tokens < cost {
                self.too_fast += 1;
                let (code, retry_after_ms) = (ErrorCode::TooFast, 1000);
                lone.relay(FromRelay::Error { code, retry_after_ms, detail: String::new() });
                continue;
            }
            self.tokens -= cost;
            let mut contents = Vec::new();
            for Holding { content, wants, .. } in said {
                if self.taken.len() < self.places || self.taken.contains(&content) {
                    self.taken.insert(content);
                    self.asked.extend((wants > 0).then_some(content));
                } else {
                    contents.push(content);
                }
            }
            if !contents.is_empty() {
                let (code, retry_after_ms) = (ErrorCode::TooMany, 60_000);
                lone.relay(FromRelay::AnnounceRefused { code, retry_after_ms, contents });
            }
        }
    }

    fn passes(&mut self, lone: &mut Lone, seconds: u32) {
        for _ in 0..seconds * 10 {
            self.hears(lone);
            lone.pass(100);
            self.tokens = (self.tokens + PER_S as f64 / 10.0).min(BURST as f64);
        }
        self.hears(lone);
    }
}

/// A node that has these when it comes to its relay.
fn comes_with(contents: u64) -> (Lone, Vec<ContentId>) {
    let mut lone = Lone::new(|_| {});
    lone.input(Input::RelayClosed);
    let held = (0..contents).map(|n| lone.hold(100, n)).collect();
    (lone, held)
}

fn welcomes(lone: &mut Lone) {
    lone.pass(2_000);
    lone.outs.clear();
    lone.input(Input::RelayOpened);
    lone.relay(FromRelay::Challenge { nonce: [8; 32], relay: peeredge_wire::PeerId([0; 32]) });
    lone.relay(crate::world::welcome());
}

#[test]
fn a_thousand_contents_wanted_at_once_are_all_asked_for() {
    let (mut lone, _) = comes_with(0);
    for n in 0..1000u32 {
        let mut content = ContentId([0; 32]);
        content.0[..4].copy_from_slice(&n.to_be_bytes());
        lone.input(Input::Fetch { request: RequestId(n), content, range: RangeSpec::Whole });
    }
    welcomes(&mut lone);
    let mut relay = Relay::new(1024);
    relay.passes(&mut lone, 60);
    assert_eq!((relay.asked.len(), relay.too_fast), (1000, 0));
}

#[test]
fn of_more_contents_than_there_are_places_those_used_last_are_announced() {
    let (mut lone, held) = comes_with(1300);
    welcomes(&mut lone);
    let told = |o: &Output| matches!(o, Output::Event(Event::RelayRefused { code: "too_many", .. }));
    let mut relay = Relay::new(1024);
    relay.hears(&mut lone);
    assert!(lone.outs.iter().any(told), "its owner is told");
    relay.passes(&mut lone, 70);
    assert_eq!(relay.taken, held[276..].iter().copied().collect(), "the latest of what it holds");
    // What is new takes the place of what was used least.
    let new: Vec<_> = (2000..2040).map(|n| lone.hold(100, n)).collect();
    relay.passes(&mut lone, 140);
    let latest = held[316..].iter().chain(&new).copied().collect();
    assert_eq!((relay.taken, relay.too_fast), (latest, 0));
}
