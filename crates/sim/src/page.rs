//! The page of a visitor: it asks, takes what comes, and compares every byte.

use crate::report::{FetchEnd, FetchReport};
use core::ops::Range;
use peeredge_node::RangeSpec;
use peeredge_wire::Time;

/// Bytes that a page is ready to take beyond what it has.
pub(crate) const WINDOW_BYTES: u64 = 1 << 20;

/// One request of a page.
#[derive(Clone, Debug)]
pub(crate) struct Fetch {
    pub(crate) report: FetchReport,
    expected: Range<u64>,
    pulled: u64,
}

impl Fetch {
    pub(crate) fn new(now: Time, content: usize, length: u64, range: RangeSpec) -> Self {
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
            corrupt: false,
        };
        Fetch { report, expected, pulled: 0 }
    }

    /// How many bytes more the page can take now.
    pub(crate) fn pull(&mut self) -> u64 {
        let more = (self.report.bytes + WINDOW_BYTES).saturating_sub(self.pulled);
        self.pulled += more;
        more
    }

    pub(crate) fn head(&mut self, start: u64, end: u64, length: u64, content: &[u8]) {
        self.report.corrupt |= self.expected != (start..end) || length != content.len() as u64;
    }

    pub(crate) fn data(&mut self, now: Time, bytes: &[u8], content: &[u8]) {
        self.report.first_byte.get_or_insert(now);
        let start = self.expected.start + self.report.bytes;
        self.report.bytes += bytes.len() as u64;
        let right = content.get(start as usize..start as usize + bytes.len()) == Some(bytes);
        let asked_for = self.report.bytes <= self.pulled.min(self.expected.end - self.expected.start);
        self.report.corrupt |= !right || !asked_for || self.report.end != FetchEnd::Pending;
    }

    pub(crate) fn done(&mut self, now: Time) {
        let whole = self.expected.start + self.report.bytes == self.expected.end;
        self.report.corrupt |= !whole || self.report.end != FetchEnd::Pending;
        self.report.end = FetchEnd::Done(now);
    }
}
