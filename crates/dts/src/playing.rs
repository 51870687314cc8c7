//! Readers that play. Each byte has a time, and so there is no hurry for most of them: of a seeder, whose uplink all share, a receiver
//! asks for its own share, and for the rest it waits until fellows bring it.
//!
//! A symbol that its first receiver does not get falls to the next one by the same rendezvous hashing, when that one would have
//! passed it on, had it got it in time, and so on. So another asks for it, and a crowd that waits for it does not ask all at once.

use crate::source::SourceId;
use crate::transfer::Transfer;
use crate::want::{Pass, Want, mix};
use peeredge_wire::peer::Pick;

/// A reader that plays.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Playing {
    /// Next byte that it needs.
    pub at: u64,
    /// Seconds until it plays that byte; negative while it stands still.
    pub in_s: f64,
    /// First byte that it does not play.
    pub end: u64,
    /// How fast.
    pub bytes_per_s: u64,
}

/// What is played within so many seconds is fetched before what comes later, whoever's share it is.
pub(crate) const SOON_S: f64 = 3.0;

/// What is played within so many seconds is not left to those who owe it.
pub(crate) const DUE_S: f64 = 1.5;

/// A want says that it is needed no later than this: a pipe often holds one symbol, and a share that a busy seeder keeps for later must not
/// keep what becomes urgent from being asked for.
const WANTED_WITHIN_S: f64 = 4.0;

/// Shares are asked for no further ahead than so many seconds, or this many times what there is: while the crowd waits for the next
/// bytes, a seeder is not to send others.
const HORIZON_S: f64 = 16.0;
const HORIZON_TIMES: f64 = 2.0;

/// Seconds between two receivers' turns, and how often the source could answer in that time: to the one, and that one to the others.
const STEP_S: f64 = 0.5;
const STEP_S_MAX: f64 = 4.0;
const STEP_TIMES: f64 = 2.0;

impl Transfer {
    /// All readers play so; empty if any of them takes everything as soon as it comes.
    pub fn set_playing(&mut self, playing: Vec<Playing>) {
        self.playing = playing;
    }

    /// Whether all readers play.
    pub fn is_played(&self) -> bool {
        !self.playing.is_empty()
    }

    /// Seconds until a symbol is played; 0 where readers take everything as soon as it comes.
    // Once in the wasm module, not wherever it is asked.
    #[inline(never)]
    pub(crate) fn due_s(&self, block: u32, index: u32) -> f64 {
        let symbol = self.layout.symbol_range(block, index);
        let mut due_s: Option<f64> = None;
        for reader in &self.playing {
            if symbol.start < reader.end && symbol.end > reader.at {
                let bytes = symbol.start.saturating_sub(reader.at);
                let by_reader_s = reader.in_s + bytes as f64 / reader.bytes_per_s.max(1) as f64;
                due_s = Some(due_s.map_or(by_reader_s, |due_s| due_s.min(by_reader_s)));
            }
        }
        due_s.unwrap_or(0.0)
    }

    /// Seconds until the first of these symbols is needed. Who does not play needs everything soon, and coded symbols stand for whatever is late.
    pub fn want_due_s(&self, want: &Want) -> f64 {
        match want.picks.first() {
            Some(&Pick::Sources { first, .. }) if self.is_played() => {
                self.due_s(want.block, first).clamp(0.0, WANTED_WITHIN_S)
            }
            _ => SOON_S,
        }
    }

    /// How far ahead a pass goes, in seconds.
    pub(crate) fn horizon_s(&self, pass: Pass) -> f64 {
        match pass {
            Pass::Own => {}
            Pass::Turn => return SOON_S,
            Pass::Due => return DUE_S,
            Pass::Rare | Pass::Any => return f64::INFINITY,
        }
        let ahead_s = self.playing.iter().fold(f64::MAX, |least, reader| reader.in_s.min(least));
        HORIZON_S.max(HORIZON_TIMES * ahead_s)
    }

    /// How many fellows are to ask source `id` for a symbol before this receiver does, counted no further than `max`.
    fn before_me(&self, id: SourceId, block: u32, index: u32, max: u32) -> u32 {
        let symbol = mix((u64::from(block) << 32) | u64::from(index));
        let own = mix(self.key ^ symbol);
        let mut before = 0;
        for fellow in self.fellows(id) {
            before += u32::from(mix(fellow.key ^ symbol) >= own);
            if before == max {
                break;
            }
        }
        before
    }

    /// Whether this receiver, and none of its fellows, is to ask seeders for a symbol first, and it is time for that.
    pub(crate) fn is_own(&self, id: SourceId, block: u32, index: u32) -> bool {
        (!self.is_played() || self.due_s(block, index) < self.horizon_s(Pass::Own))
            && self.before_me(id, block, index, 1) == 0
    }

    /// Whether those before this receiver have had the time to get a symbol from `id` and to pass it on, of what is played soon.
    pub(crate) fn has_turn(&self, id: SourceId, block: u32, index: u32) -> bool {
        let left_s = SOON_S - self.due_s(block, index);
        let step_s = (STEP_TIMES * self.seconds_to_give(id)).clamp(STEP_S, STEP_S_MAX);
        left_s > 0.0 && left_s > step_s * f64::from(self.before_me(id, block, index, u32::MAX))
    }

    /// Whether plain HTTP, here source `id`, is to fetch a symbol for readers that play: fellows who hold it or were asked for it are
    /// late, and HTTP `is_fast` enough to be of help; or nobody near holds it, and this receiver has a turn.
    pub(crate) fn is_due_by_http(
        &self,
        id: SourceId,
        block: u32,
        index: u32,
        is_under_way: bool,
        is_fast: bool,
    ) -> bool {
        match is_under_way || self.held_by_fellow(id, block, index) {
            true => is_fast && self.due_s(block, index) < DUE_S,
            false => self.has_turn(id, block, index),
        }
    }
}
