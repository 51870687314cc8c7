//! How much may be under way from one source, and how fast it is to be believed.
//!
//! The pipe opens by doubling, as TCP's slow start does, until the perceived rate says that more would only queue: then it holds what
//! the source gives in a round trip and a margin. What lies in a queue is lost when the source leaves, and in the end of a
//! transfer all wait for it.

use crate::perception::Rate;
use core::time::Duration;
use peeredge_wire::Time;

/// Bytes under way from sources of which nothing is known, from one and from all together. What many receivers ask of a slow uplink
/// at once waits there for all of them, and what is late is asked elsewhere: too much of that and nothing but copies moves.
const WINDOW_BYTES_FIRST: u64 = 64 << 10;
const WINDOWS_BYTES_FIRST: u64 = 768 << 10;
const WINDOW_BYTES_MAX: u64 = 3 << 20;
/// They grow by half in a round trip where others double.
const SLOWNESS_BESIDE_OTHERS: u64 = 2;
/// A pipe holds so many seconds of its rate: more than most round trips, or the window itself would be the limit. Where the shortest round
/// trip is known, it and what the source takes to answer do: more would stand in the path's queue, or not fit into it.
const WINDOW_S: f64 = 0.6;
const ANSWER_S: f64 = 0.05;
/// What a source is supposed to deliver before its rate is known.
const RATE_BYTES_PER_S_FIRST: f64 = 1e6;
/// A source that owes something and is silent for longer is thought to be slower than it was.
const SILENCE: Duration = Duration::from_millis(250);
/// A source that owes something and was silent for so long is asked for no more until something comes.
const STALLED_AFTER: Duration = Duration::from_secs(4);
/// Or for so many times as long as its rate needs for what it owes: a slow source is silent between any two symbols.
const STALLED_TIMES: f64 = 6.0;
const STALLED_MAX: Duration = Duration::from_secs(20);

/// What is under way from one source, over all contents.
#[derive(Clone, Debug)]
pub struct Pipe {
    window_bytes: u64,
    /// Bytes that must arrive for a byte that it opens.
    slowness: u64,
    last: Time,
    /// Nothing was owed at some time since the last arrival: then the pause tells nothing about the channel.
    paused: bool,
    stalled: bool,
}

impl Pipe {
    /// A channel that has just opened.
    pub fn new(now: Time) -> Self {
        Pipe { window_bytes: WINDOW_BYTES_FIRST, slowness: 1, last: now, paused: true, stalled: false }
    }

    /// One of several channels to the same sender that open at once: all of them doubling would overrun the path's queue.
    pub fn beside_others(now: Time) -> Self {
        Pipe { window_bytes: 0, slowness: SLOWNESS_BESIDE_OTHERS, ..Pipe::new(now) }
    }

    /// Something that was asked for arrived. Gives whether the source owed something all the time since the arrival before.
    pub fn arrived(&mut self, now: Time, bytes: u64) -> bool {
        self.window_bytes = self.window_bytes.saturating_add(bytes / self.slowness);
        self.last = now;
        self.stalled = false;
        !core::mem::take(&mut self.paused)
    }

    /// Nothing is owed at this moment.
    pub fn is_idle(&mut self, now: Time) {
        self.last = now;
        self.paused = true;
    }

    /// Bytes that may be under way now. `round_trip_s` is the shortest seen, `unit` the least that can be asked for, `sources` how many
    /// there are to ask.
    pub fn window_bytes(
        &mut self,
        rate: Option<Rate>,
        round_trip_s: Option<f64>,
        unit: u64,
        sources: u64,
    ) -> u64 {
        if self.stalled {
            return unit;
        }
        let least = (WINDOWS_BYTES_FIRST / sources.max(1)).min(WINDOW_BYTES_FIRST).max(unit);
        let seconds = round_trip_s.map_or(WINDOW_S, |s| (s + ANSWER_S).min(WINDOW_S));
        let known = rate.map_or(0, |rate| (rate.bytes_per_s * seconds) as u64);
        self.window_bytes = self.window_bytes.min(known.max(least).min(WINDOW_BYTES_MAX)).max(unit);
        self.window_bytes
    }

    /// The rate to count on, in bytes a second. It is learned from what arrives: of a source that owes something and falls silent it
    /// must not be believed for ever. `others`: what this receiver's other sources give, one with another.
    pub fn believed_bytes_per_s(
        &self,
        now: Time,
        rate: Option<Rate>,
        others: Option<f64>,
        owes: bool,
    ) -> f64 {
        let silence = if owes { now.since(self.last) } else { Duration::ZERO };
        let supposed = rate.map(|rate| rate.bytes_per_s).or(others).unwrap_or(RATE_BYTES_PER_S_FIRST);
        supposed / (silence.as_secs_f64() / SILENCE.as_secs_f64()).max(1.0)
    }

    /// How long ago the last arrival was, or the last moment at which nothing was owed.
    pub fn silence(&self, now: Time) -> Duration {
        now.since(self.last)
    }

    /// Whether the source was silent for too long, and nothing has come since.
    pub fn is_stalled(&self) -> bool {
        self.stalled
    }

    /// Notes whether the source, which owes `owed_bytes`, has been silent for too long. What it owes is not lost by that: a slow
    /// uplink that many ask is silent to each of them for seconds, and asking elsewhere at once would double its load. Says so once
    /// for each such time.
    pub fn stalls(&mut self, now: Time, rate: Option<Rate>, others: Option<f64>, owed_bytes: u64) -> bool {
        let supposed = rate.map(|rate| rate.bytes_per_s).or(others);
        let due_s = supposed.map_or(0.0, |supposed| owed_bytes as f64 / supposed.max(1.0));
        let due = Duration::from_secs_f64((STALLED_TIMES * due_s).min(STALLED_MAX.as_secs_f64()));
        let stalls = !self.stalled && now.since(self.last) > STALLED_AFTER.max(due);
        self.stalled |= stalls;
        stalls
    }

    /// Whether the source owed something and was silent for `whole`, after which it would not send it any more. Says so once for
    /// each such time.
    pub fn runs_out(&mut self, now: Time, whole: Duration) -> bool {
        let runs_out = now.since(self.last) > whole;
        if runs_out {
            self.stalled = true;
            self.last = now;
        }
        runs_out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const UNIT: u64 = 16 << 10;

    fn rate(bytes_per_s: f64) -> Option<Rate> {
        Some(Rate { bytes_per_s, low: bytes_per_s / 2.0, high: bytes_per_s * 2.0 })
    }

    #[test]
    fn a_pipe_doubles_until_it_holds_what_its_rate_fills() {
        let mut pipe = Pipe::new(Time::ZERO);
        assert_eq!(pipe.window_bytes(None, None, UNIT, 1), WINDOW_BYTES_FIRST);
        pipe.arrived(Time::from_millis(10), WINDOW_BYTES_FIRST);
        assert_eq!(pipe.window_bytes(rate(1e6), None, UNIT, 1), 2 * WINDOW_BYTES_FIRST);
        pipe.arrived(Time::from_millis(20), 10 << 20);
        assert_eq!(pipe.window_bytes(rate(1e6), None, UNIT, 1), 600_000);
        assert_eq!(
            pipe.window_bytes(rate(1e9), None, UNIT, 1),
            600_000,
            "a higher rate opens it by what arrives, not at once"
        );
        let mut near = pipe.clone();
        assert_eq!(near.window_bytes(rate(1e6), Some(0.05), UNIT, 1), 100_000, "near sources have less");
        assert_eq!(pipe.window_bytes(rate(1e6), Some(9.0), UNIT, 1), 600_000);
        assert_eq!(pipe.window_bytes(rate(1e3), None, UNIT, 1), WINDOW_BYTES_FIRST);
        assert_eq!(pipe.window_bytes(rate(1e3), None, UNIT, 24), 2 * UNIT, "one of many has less at first");
        assert_eq!(pipe.window_bytes(rate(1e3), None, UNIT, 80), UNIT, "and never less than a unit");
    }

    #[test]
    fn one_of_several_to_the_same_sender_opens_from_a_unit_and_slowly() {
        let mut pipe = Pipe::beside_others(Time::ZERO);
        assert_eq!(pipe.window_bytes(None, None, UNIT, 1), UNIT);
        pipe.arrived(Time::from_millis(10), UNIT);
        assert_eq!(pipe.window_bytes(None, None, UNIT, 1), UNIT + UNIT / 2);
        pipe.arrived(Time::from_millis(20), 1 << 20);
        assert_eq!(pipe.window_bytes(None, None, UNIT, 1), WINDOW_BYTES_FIRST, "as wide as any in the end");
    }

    #[test]
    fn an_idle_pipe_says_nothing_of_its_channel_and_a_silent_one_is_believed_less_and_less() {
        let mut pipe = Pipe::new(Time::ZERO);
        assert!(!pipe.arrived(Time::from_millis(100), UNIT), "when the first was sent is unknown");
        assert!(pipe.arrived(Time::from_millis(200), UNIT));
        pipe.is_idle(Time::from_millis(5_000));
        assert!(!pipe.arrived(Time::from_millis(5_100), UNIT));
        let believed =
            |pipe: &Pipe, ms, owes| pipe.believed_bytes_per_s(Time::from_millis(ms), rate(1e6), None, owes);
        assert_eq!(believed(&pipe, 5_350, true), 1e6);
        assert_eq!(believed(&pipe, 6_100, true), 250_000.0);
        assert_eq!(believed(&pipe, 60_000, false), 1e6, "it owes nothing");
    }

    #[test]
    fn a_silent_source_is_asked_for_one_unit_until_something_comes_and_its_debts_run_out_once() {
        let mut pipe = Pipe::new(Time::ZERO);
        let whole = Duration::from_secs(12);
        pipe.arrived(Time::from_millis(100), UNIT);
        assert!(!pipe.stalls(Time::from_millis(4_100), None, None, UNIT));
        let as_fellows = pipe.stalls(Time::from_millis(4_101), None, Some(5_000.0), UNIT);
        assert!(!as_fellows, "as slow as its fellows, it needs three seconds a unit");
        assert!(pipe.stalls(Time::from_millis(4_101), rate(1e6), None, UNIT));
        assert!(!pipe.stalls(Time::from_millis(4_200), rate(1e6), None, UNIT), "said once");
        assert_eq!((pipe.is_stalled(), pipe.window_bytes(rate(1e6), None, UNIT, 1)), (true, UNIT));
        assert!(!pipe.runs_out(Time::from_millis(12_100), whole));
        assert!(pipe.runs_out(Time::from_millis(12_101), whole));
        assert!(!pipe.runs_out(Time::from_millis(12_200), whole), "said once");
        pipe.arrived(Time::from_millis(13_000), UNIT);
        assert!(!pipe.is_stalled() && pipe.window_bytes(rate(1e6), None, UNIT, 1) > UNIT);
    }
}
