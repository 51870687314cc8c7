//! One direction of a TCP connection as a kernel of today would send it over the lab's links: CUBIC (RFC 9438) with selective
//! acknowledgements, a probe for a lost tail, and a timeout. A machine without a clock; what differs from the wire is that every
//! transmission has a number of its own, as QUIC's have, so that nothing about what was lost is ambiguous.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::rc::Rc;

use crate::rate::Micros;

/// Payload of a full segment: an Ethernet frame less the headers with time stamps.
pub const SEGMENT_BYTES: usize = 1448;
/// IP and TCP headers of every segment and acknowledgement.
pub const HEADER_BYTES: u64 = 52;
/// Unacknowledged and unsent bytes together: a socket's send buffer.
pub const SEND_BUFFER_BYTES: usize = 4 << 20;

const INITIAL_SEGMENTS: f64 = 10.0;
const BETA: f64 = 0.7;
const CUBIC_C: f64 = 0.4;
/// Transmissions that must be acknowledged after one before it counts as lost.
const REORDERING: u64 = 3;
const RTO_MIN_US: Micros = 200_000;
const RTO_FIRST_US: Micros = 1_000_000;
const RTO_MAX_US: Micros = 60_000_000;
/// Numbers that an acknowledgement repeats, should those before it be lost.
const REPEATED: usize = 32;

/// A piece of the stream under way.
#[derive(Clone, Debug)]
pub struct Segment {
    /// Which transmission this is, from 0.
    pub number: u64,
    /// Where in the stream it begins.
    pub offset: u64,
    /// What it carries.
    pub bytes: Rc<[u8]>,
}

/// What the receiver says: transmissions that have come, the newest last.
#[derive(Clone, Debug)]
pub struct Ack {
    numbers: Vec<u64>,
}

#[derive(Clone, Debug)]
struct Sent {
    offset: u64,
    bytes: Rc<[u8]>,
    at: Micros,
}

/// The sender.
#[derive(Debug)]
pub struct Sender {
    unsent: VecDeque<u8>,
    next_offset: u64,
    next_number: u64,
    in_flight: BTreeMap<u64, Sent>,
    in_flight_bytes: usize,
    again: BTreeMap<u64, Rc<[u8]>>,
    /// Offsets that were acknowledged, above all below which everything was.
    acknowledged: BTreeSet<u64>,
    window: f64,
    threshold: f64,
    window_max: f64,
    decreased_at: Option<Micros>,
    /// Losses among transmissions before this one belong to the decrease that was made.
    recovery_until: u64,
    largest_acknowledged: u64,
    round_trip_us: Option<(f64, f64)>,
    timer_from: Micros,
    probes: u32,
}

impl Default for Sender {
    fn default() -> Self {
        Sender {
            unsent: VecDeque::new(),
            next_offset: 0,
            next_number: 0,
            in_flight: BTreeMap::new(),
            in_flight_bytes: 0,
            again: BTreeMap::new(),
            acknowledged: BTreeSet::new(),
            window: INITIAL_SEGMENTS,
            threshold: f64::INFINITY,
            window_max: 0.0,
            decreased_at: None,
            recovery_until: 0,
            largest_acknowledged: 0,
            round_trip_us: None,
            timer_from: 0,
            probes: 0,
        }
    }
}

impl Sender {
    /// Bytes that [`Sender::write`] takes now.
    pub fn room(&self) -> usize {
        let again: usize = self.again.values().map(|bytes| bytes.len()).sum();
        SEND_BUFFER_BYTES.saturating_sub(self.unsent.len() + self.in_flight_bytes + again)
    }

    /// Whether everything written has been acknowledged.
    pub fn is_done(&self) -> bool {
        self.unsent.is_empty() && self.in_flight.is_empty() && self.again.is_empty()
    }

    /// Appends to the stream.
    pub fn write(&mut self, bytes: &[u8]) {
        self.unsent.extend(bytes);
    }

    /// The next segment that the window lets go.
    pub fn transmit(&mut self, now: Micros) -> Option<Segment> {
        if self.in_flight_bytes as f64 + SEGMENT_BYTES as f64 > self.window * SEGMENT_BYTES as f64 {
            return None;
        }
        let (offset, bytes) = if let Some((offset, bytes)) = self.again.pop_first() {
            (offset, bytes)
        } else if self.unsent.is_empty() {
            return None;
        } else {
            let length = self.unsent.len().min(SEGMENT_BYTES);
            let bytes: Rc<[u8]> = self.unsent.drain(..length).collect::<Vec<u8>>().into();
            let offset = self.next_offset;
            self.next_offset += length as u64;
            (offset, bytes)
        };
        Some(self.sent(now, offset, bytes))
    }

    fn sent(&mut self, now: Micros, offset: u64, bytes: Rc<[u8]>) -> Segment {
        let number = self.next_number;
        self.next_number += 1;
        if self.in_flight.is_empty() {
            self.timer_from = now;
        }
        self.in_flight_bytes += bytes.len();
        self.in_flight.insert(number, Sent { offset, bytes: bytes.clone(), at: now });
        Segment { number, offset, bytes }
    }

    /// An acknowledgement has come.
    pub fn acknowledge(&mut self, now: Micros, ack: &Ack) {
        let limited = self.in_flight_bytes as f64 > 0.7 * self.window * SEGMENT_BYTES as f64;
        let mut newly = 0.0;
        for number in &ack.numbers {
            let Some(sent) = self.in_flight.remove(number) else { continue };
            self.in_flight_bytes -= sent.bytes.len();
            self.acknowledged.insert(sent.offset);
            self.largest_acknowledged = self.largest_acknowledged.max(*number);
            self.measure((now - sent.at) as f64);
            newly += 1.0;
        }
        if newly == 0.0 {
            return;
        }
        self.timer_from = now;
        self.probes = 0;
        let lost: Vec<u64> = self
            .in_flight
            .range(..self.largest_acknowledged.saturating_sub(REORDERING - 1))
            .map(|(n, _)| *n)
            .collect();
        for number in lost {
            self.lose(now, number);
        }
        if limited && self.largest_acknowledged >= self.recovery_until {
            self.grow(now, newly);
        }
    }

    fn lose(&mut self, now: Micros, number: u64) {
        let Some(sent) = self.in_flight.remove(&number) else { return };
        self.in_flight_bytes -= sent.bytes.len();
        if !self.acknowledged.contains(&sent.offset) {
            self.again.insert(sent.offset, sent.bytes);
        }
        if number >= self.recovery_until {
            self.recovery_until = self.next_number;
            // Fast convergence: who was at its most before leaves room for newcomers.
            self.window_max =
                if self.window < self.window_max { self.window * (1.0 + BETA) / 2.0 } else { self.window };
            self.window = (self.window * BETA).max(2.0);
            self.threshold = self.window;
            self.decreased_at = Some(now);
        }
    }

    fn grow(&mut self, now: Micros, newly: f64) {
        if self.window < self.threshold {
            self.window += newly;
            return;
        }
        let since = *self.decreased_at.get_or_insert(now);
        let seconds = (now - since) as f64 / 1e6;
        let round_trip = self.round_trip_us.map_or(0.1, |(smoothed, _)| smoothed / 1e6);
        let k = (self.window_max.max(self.window) * (1.0 - BETA) / CUBIC_C).cbrt();
        let target = CUBIC_C * (seconds + round_trip - k).powi(3) + self.window_max;
        // As Reno would be by now (section 4.3).
        let reno = self.window_max * BETA + 3.0 * (1.0 - BETA) / (1.0 + BETA) * seconds / round_trip;
        let target = target.max(reno).min(self.window * 1.5);
        self.window += ((target - self.window) / self.window * newly).max(0.01 * newly / self.window);
    }

    fn measure(&mut self, sample_us: f64) {
        self.round_trip_us = Some(match self.round_trip_us {
            None => (sample_us, sample_us / 2.0),
            Some((smoothed, variation)) => (
                smoothed + (sample_us - smoothed) / 8.0,
                variation + ((sample_us - smoothed).abs() - variation) / 4.0,
            ),
        });
    }

    /// When [`Sender::wake`] is due.
    pub fn deadline(&self) -> Option<Micros> {
        if self.in_flight.is_empty() {
            return None;
        }
        let rto = self.round_trip_us.map_or(RTO_FIRST_US, |(smoothed, variation)| {
            ((smoothed + 4.0 * variation) as Micros).max(RTO_MIN_US)
        });
        let probe =
            self.round_trip_us.map_or(RTO_FIRST_US, |(smoothed, _)| (2.0 * smoothed) as Micros + 2_000);
        let wait = match self.probes {
            0 => probe.min(rto),
            n => (rto << (n - 1).min(8)).min(RTO_MAX_US),
        };
        Some(self.timer_from + wait)
    }

    /// The deadline has passed: the first time the tail is probed, then all that is under way counts as lost. A probe leaves
    /// whatever the window says.
    pub fn wake(&mut self, now: Micros) -> Option<Segment> {
        if self.deadline().is_none_or(|deadline| deadline > now) {
            return None;
        }
        self.timer_from = now;
        self.probes += 1;
        if self.probes == 1 {
            let (_, sent) = self.in_flight.last_key_value()?;
            let (offset, bytes) = (sent.offset, sent.bytes.clone());
            return Some(self.sent(now, offset, bytes));
        }
        let all: Vec<u64> = self.in_flight.keys().copied().collect();
        for number in all {
            self.lose(now, number);
        }
        self.window = 1.0;
        None
    }
}

/// The receiver.
#[derive(Debug, Default)]
pub struct Receiver {
    delivered: u64,
    early: BTreeMap<u64, Rc<[u8]>>,
    recent: VecDeque<u64>,
}

impl Receiver {
    /// A segment has come: what it completes of the stream, and what to say.
    pub fn receive(&mut self, segment: Segment) -> (Vec<u8>, Ack) {
        self.recent.push_back(segment.number);
        if self.recent.len() > REPEATED {
            self.recent.pop_front();
        }
        if segment.offset >= self.delivered {
            self.early.insert(segment.offset, segment.bytes);
        }
        let mut stream = Vec::new();
        while let Some(bytes) = self.early.remove(&self.delivered) {
            self.delivered += bytes.len() as u64;
            stream.extend_from_slice(&bytes);
        }
        (stream, Ack { numbers: self.recent.iter().copied().collect() })
    }
}
