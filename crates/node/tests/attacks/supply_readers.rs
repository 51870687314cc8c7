//! A reader that takes a little, pauses and goes on: whatever the order of answers, nothing that has come is fetched again.

use crate::supply_stage::Lone;
use crate::world::{Stored, bytes, publish};
use peeredge_attacks::fuzz::Dice;
use peeredge_node::{Input, Output, RangeSpec, Resource};
use peeredge_wire::{ContentId, RequestId, Token};

const SYMBOL_BYTES: u64 = 16 << 10;
const REQUEST: RequestId = RequestId(1);
/// What a page asks for ahead of what it has read, at least and at most.
const AHEAD_BYTES: (u64, u64) = (256 << 10, 4 << 20);

/// A page's reader, and servers that answer in any order.
#[derive(Default)]
struct Page {
    pulled: u64,
    unread: u64,
    read: u64,
    waiting: Vec<(Token, Resource)>,
    done: bool,
}

impl Page {
    fn hears(&mut self, lone: &mut Lone) {
        for output in std::mem::take(&mut lone.outs) {
            match output {
                Output::HttpGet { token, resource, .. } => self.waiting.push((token, resource)),
                Output::HttpCancel { token } => self.waiting.retain(|(asked, _)| *asked != token),
                Output::Data { bytes, .. } => {
                    self.pulled -= bytes.len() as u64;
                    self.unread += bytes.len() as u64;
                }
                Output::Done { .. } => self.done = true,
                _ => {}
            }
        }
    }

    fn pulls(&mut self, lone: &mut Lone) {
        let ahead = (2 * self.read).clamp(AHEAD_BYTES.0, AHEAD_BYTES.1);
        let bytes = ahead.saturating_sub(self.unread + self.pulled);
        if bytes > 0 {
            self.pulled += bytes;
            lone.input(Input::Pull { request: REQUEST, bytes });
        }
    }

    fn is_answered(&mut self, lone: &mut Lone, stored: &Stored, which: usize) {
        let (token, resource) = self.waiting.swap_remove(which);
        let part = |of: &[u8], start: u64, end: u64| of[start as usize..end as usize].to_vec();
        let bytes = match resource {
            Resource::Manifest => stored.manifest.clone(),
            Resource::Records { start, end } => part(&stored.records, start, end),
            Resource::Bytes { start, end } => part(&stored.data, start, end),
        };
        lone.input(Input::Http { token, result: Ok(bytes) });
    }
}

/// Symbols that a range of 300,000 bytes took by HTTP, and those that it touches.
fn fetched(content: ContentId, stored: &Stored, seed: u64) -> (u64, u64) {
    let mut dice = Dice::new(seed);
    let mut lone = Lone::new(|config| config.http = true);
    let start = 2_000_001 + dice.below(SYMBOL_BYTES as usize) as u64;
    let end = start + 299_999;
    let range = RangeSpec::From { start, end: Some(end) };
    lone.input(Input::Fetch { request: REQUEST, content, range });
    let mut page = Page::default();
    page.pulls(&mut lone);
    for _ in 0..4000 {
        page.hears(&mut lone);
        if page.done && page.waiting.is_empty() {
            break;
        }
        match dice.below(3) {
            0 if !page.waiting.is_empty() => {
                let which = dice.below(page.waiting.len());
                page.is_answered(&mut lone, stored, which);
            }
            1 if page.unread > 0 => {
                let bytes = page.unread.min(1 + dice.below(100_000) as u64);
                page.unread -= bytes;
                page.read += bytes;
                page.pulls(&mut lone);
            }
            _ => lone.pass(1 + dice.below(60) as u64),
        }
    }
    assert!(page.done, "seed {seed}: the range did not come");
    (lone.node.stats().from_http_bytes / SYMBOL_BYTES, end / SYMBOL_BYTES - start / SYMBOL_BYTES + 1)
}

#[test]
fn a_reader_that_pauses_has_nothing_fetched_twice() {
    let (content, stored) = publish(&bytes(4 << 20, 7));
    for seed in 0..300 {
        let (fetched, touched) = fetched(content, &stored, seed);
        assert_eq!(fetched, touched, "seed {seed}");
    }
}
