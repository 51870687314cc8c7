//! The page of a visitor: it asks, takes what comes, and compares every byte.

use crate::report::{FetchEnd, FetchReport};
use crate::scenario::Playback;
use core::ops::Range;
use core::time::Duration;
use peeredge_node::RangeSpec;
use peeredge_wire::Time;

/// Bytes that a page is ready to take beyond what it has.
const WINDOW_BYTES: u64 = 1 << 20;
/// A page stands still when it waits for longer.
const STALL: Duration = Duration::from_millis(100);

/// One request of a page.
#[derive(Clone, Debug)]
pub(crate) struct Fetch {
    pub(crate) report: FetchReport,
    expected: Range<u64>,
    pulled: u64,
    plays: Option<Playback>,
    /// When the first byte would have been played if it had never stood still.
    clock: Option<Time>,
    /// When it looks again whether it can take more.
    looks: Time,
}

impl Fetch {
    pub(crate) fn new(
        now: Time,
        content: usize,
        length: u64,
        range: RangeSpec,
        plays: Option<Playback>,
    ) -> Self {
        let expected = match range {
            RangeSpec::Whole => 0..length,
            RangeSpec::From { start, end } => {
                start..end.map_or(length, |end| length.min(end.saturating_add(1)))
            }
            RangeSpec::Last(count) => length.saturating_sub(count)..length,
        };
        let report = FetchReport {
            content,
            asked: now,
            first_byte: None,
            end: FetchEnd::Pending,
            bytes: 0,
            played_from: None,
            stalls: (0, 0),
            corrupt: false,
        };
        Fetch { report, expected, pulled: 0, plays, clock: None, looks: Time::ZERO }
    }

    /// Bytes a second that it plays.
    pub(crate) fn pace(&self) -> Option<u64> {
        self.plays.map(|plays| plays.bytes_per_s)
    }

    /// How many bytes more the page can take now.
    pub(crate) fn pull(&mut self, now: Time) -> u64 {
        let ahead_max = self.plays.map_or(u64::MAX, |plays| self.played(now, plays) + plays.ahead_bytes);
        let more = (self.report.bytes + WINDOW_BYTES).min(ahead_max).saturating_sub(self.pulled);
        self.pulled += more;
        more
    }

    pub(crate) fn head(&mut self, start: u64, end: u64, length: u64, content: &[u8]) {
        self.report.corrupt |= self.expected != (start..end) || length != content.len() as u64;
    }

    pub(crate) fn data(&mut self, now: Time, bytes: &[u8], content: &[u8]) {
        self.report.first_byte.get_or_insert(now);
        if let Some(plays) = self.plays {
            self.play(now, plays, bytes.len() as u64);
        }
        let start = self.expected.start + self.report.bytes;
        self.report.bytes += bytes.len() as u64;
        let right = content.get(start as usize..start as usize + bytes.len()) == Some(bytes);
        let asked_for = self.report.bytes <= self.pulled.min(self.expected.end - self.expected.start);
        self.report.corrupt |= !right || !asked_for || self.report.end != FetchEnd::Pending;
    }

    /// Whether it is to look again at this time, because it is as far ahead as it wants to be, and goes on as it plays.
    pub(crate) fn looks_at(&mut self, now: Time, at: Time) -> bool {
        let is_new = self.plays.is_some() && self.looks <= now;
        if is_new {
            self.looks = at;
        }
        is_new
    }

    fn played(&self, now: Time, plays: Playback) -> u64 {
        let micros = self.clock.map_or(0, |clock| now.since(clock).as_micros() as u64);
        (micros * plays.bytes_per_s / 1_000_000).min(self.report.bytes)
    }

    /// So many bytes come now: those before them were played when their time came.
    fn play(&mut self, now: Time, plays: Playback, bytes: u64) {
        let there = self.report.bytes;
        match &mut self.clock {
            None => {
                let start_bytes = plays.start_bytes.min(self.expected.end - self.expected.start);
                if there + bytes >= start_bytes {
                    self.clock = Some(now);
                    self.report.played_from = Some(now);
                }
            }
            Some(clock) => {
                let due = *clock + Duration::from_micros(there * 1_000_000 / plays.bytes_per_s.max(1));
                let late = now.since(due);
                if late > STALL {
                    let (stalls, micros) = self.report.stalls;
                    self.report.stalls = (stalls + 1, micros + late.as_micros() as u64);
                    *clock = *clock + late;
                }
            }
        }
    }

    pub(crate) fn done(&mut self, now: Time) {
        let whole = self.expected.start + self.report.bytes == self.expected.end;
        self.report.corrupt |= !whole || self.report.end != FetchEnd::Pending;
        self.report.end = FetchEnd::Done(now);
    }
}
