//! How much one connection may have in flight.
//!
//! SCTP's own window grows until something is lost, and what is lost first is the burst that overruns the
//! receiver's UDP buffer (a browser's holds 128 KiB of buffer space, which is about 100 packets), with a second's
//! wait when the tail goes. So the flow keeps to a floor that such a buffer holds, and goes above it only as far
//! as the path itself holds more: delivery rate times the shortest round trip, measured as BBR does
//! (Cardwell et al., "BBR: Congestion-Based Congestion Control", ACM Queue 14(5), 2016), from nothing but the
//! bytes that the remote end has acknowledged. Above the floor writes are paced, so that a full window never
//! leaves in one burst.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// The window may outgrow what was just delivered by this factor, or it could never find more room.
const GAIN: f64 = 1.25;
/// A receiver may be kept from its socket for this long and must find its buffer whole: no more than the floor
/// may arrive meanwhile. Busy browsers on busy machines are kept away for some milliseconds all the time.
const ABSENCE: Duration = Duration::from_millis(5);
/// Bytes between two samples; small messages share one.
const SAMPLE_BYTES: u64 = 4096;
/// How long the shortest round trip is believed.
const ROUND_TRIP_EPOCH: Duration = Duration::from_secs(5);
/// How long the best rate is believed, if that is longer than some round trips.
const RATE_EPOCH: Duration = Duration::from_secs(1);

pub(super) struct Flow {
    floor_bytes: u64,
    ceiling_bytes: u64,
    limit_bytes: u64,
    written_bytes: u64,
    acknowledged_bytes: u64,
    samples: VecDeque<Sample>,
    /// Seconds, negated so that the largest is the shortest.
    round_trip: Recent,
    /// Bytes a second.
    rate: Recent,
    /// Bytes that may be written at once, as of `tokens_at`.
    tokens_bytes: f64,
    tokens_at: Instant,
}

/// Taken at a write, settled when that write is acknowledged.
struct Sample {
    written_bytes: u64,
    acknowledged_bytes: u64,
    at: Instant,
}

/// The largest value of the current epoch and the one before.
struct Recent {
    epoch: Duration,
    since: Instant,
    current: Option<f64>,
    before: Option<f64>,
}

impl Recent {
    fn new(epoch: Duration, now: Instant) -> Recent {
        Recent { epoch, since: now, current: None, before: None }
    }

    fn add(&mut self, now: Instant, value: f64) {
        if now.duration_since(self.since) >= self.epoch {
            self.before = self.current.take();
            self.since = now;
        }
        self.current = Some(self.current.map_or(value, |best| best.max(value)));
    }

    fn get(&self) -> Option<f64> {
        match (self.current, self.before) {
            (Some(one), Some(two)) => Some(one.max(two)),
            (one, two) => one.or(two),
        }
    }
}

impl Flow {
    pub fn new(floor_bytes: u64, ceiling_bytes: u64, now: Instant) -> Flow {
        Flow {
            floor_bytes,
            ceiling_bytes,
            limit_bytes: floor_bytes,
            written_bytes: 0,
            acknowledged_bytes: 0,
            samples: VecDeque::new(),
            round_trip: Recent::new(ROUND_TRIP_EPOCH, now),
            rate: Recent::new(RATE_EPOCH, now),
            tokens_bytes: floor_bytes as f64,
            tokens_at: now,
        }
    }

    /// A message was written.
    pub fn wrote(&mut self, now: Instant, message_bytes: u64) {
        self.written_bytes += message_bytes;
        self.tokens_bytes -= message_bytes as f64;
        let sampled = self.samples.back().map_or(0, |last| last.written_bytes);
        if self.written_bytes >= sampled + SAMPLE_BYTES || self.samples.is_empty() {
            let (written_bytes, acknowledged_bytes) = (self.written_bytes, self.acknowledged_bytes);
            self.samples.push_back(Sample { written_bytes, acknowledged_bytes, at: now });
        }
    }

    /// This much of what was written is not acknowledged yet; says how much has been since the last time.
    pub fn in_flight(&mut self, now: Instant, in_flight_bytes: u64) -> u64 {
        let acknowledged_bytes = self.written_bytes - in_flight_bytes;
        if acknowledged_bytes <= self.acknowledged_bytes {
            return 0;
        }
        let news_bytes = acknowledged_bytes - self.acknowledged_bytes;
        self.acknowledged_bytes = acknowledged_bytes;
        while let Some(sample) = self.samples.front() {
            if sample.written_bytes > acknowledged_bytes {
                break;
            }
            let seconds = now.duration_since(sample.at).as_secs_f64().max(1e-6);
            self.round_trip.add(now, -seconds);
            self.rate.add(now, (acknowledged_bytes - sample.acknowledged_bytes) as f64 / seconds);
            self.samples.pop_front();
        }
        if let (Some(round_trip), Some(rate)) = (self.round_trip.get(), self.rate.get()) {
            let path_bytes = rate * -round_trip * GAIN;
            let safe_bytes = self.floor_bytes as f64 * -round_trip / ABSENCE.as_secs_f64();
            let limit_bytes = path_bytes.min(safe_bytes) as u64;
            self.limit_bytes = limit_bytes.clamp(self.floor_bytes, self.ceiling_bytes);
        }
        news_bytes
    }

    /// Whether a message may be written with this much in flight; if only its turn has not come, when to ask again.
    pub fn may_write(
        &mut self,
        now: Instant,
        in_flight_bytes: u64,
        message_bytes: u64,
    ) -> Result<(), Option<Instant>> {
        // A message that finds no room beside others may follow when little is left of them: not only when nothing
        // is, since a receiver may wait 200 ms before it acknowledges a last packet (RFC 9260 section 6.2).
        let crowded = in_flight_bytes + message_bytes > self.limit_bytes;
        if crowded && in_flight_bytes > self.limit_bytes / 4 {
            return Err(None);
        }
        let round_trip = match self.round_trip.get() {
            Some(seconds) if self.limit_bytes > self.floor_bytes => -seconds,
            // The window itself is no longer than a burst may be.
            _ => return Ok(()),
        };
        let rate = self.limit_bytes as f64 * GAIN / round_trip;
        let earned = now.duration_since(self.tokens_at).as_secs_f64() * rate;
        self.tokens_bytes = (self.tokens_bytes + earned).min(self.floor_bytes as f64);
        self.tokens_at = now;
        if self.tokens_bytes > 0.0 {
            return Ok(());
        }
        let wait = (1.0 - self.tokens_bytes) / rate;
        Err(Some(now + Duration::from_secs_f64(wait.clamp(0.0005, 1.0))))
    }
}

/// Keeps packets from leaving in a burst that the receiver's buffer does not hold: what a message above the
/// window would cause, or a retransmission of much at once. Room comes back with acknowledgements, and with time
/// as fast as a receiver empties its buffer between absences.
pub(super) struct Burst {
    depth_bytes: f64,
    room_bytes: f64,
    at: Instant,
}

impl Burst {
    pub fn new(floor_bytes: u64, now: Instant) -> Burst {
        // A window counts messages; their packets are somewhat longer.
        let depth_bytes = floor_bytes as f64 * 1.2;
        Burst { depth_bytes, room_bytes: depth_bytes, at: now }
    }

    fn bytes_a_second(&self) -> f64 {
        self.depth_bytes / ABSENCE.as_secs_f64()
    }

    /// Time has passed, and this much was acknowledged meanwhile.
    pub fn refill(&mut self, now: Instant, acknowledged_bytes: u64) {
        let earned = now.duration_since(self.at).as_secs_f64() * self.bytes_a_second();
        self.at = now;
        self.room_bytes = (self.room_bytes + earned + acknowledged_bytes as f64).min(self.depth_bytes);
    }

    /// Whether a packet may leave now; if so, it has left.
    pub fn take(&mut self, packet_bytes: usize) -> bool {
        let may = self.room_bytes > 0.0;
        if may {
            self.room_bytes -= packet_bytes as f64;
        }
        may
    }

    /// When packets that had to stay should be tried again.
    pub fn try_again_at(&self) -> Instant {
        self.at + Duration::from_secs_f64((-self.room_bytes / self.bytes_a_second()).clamp(0.001, 1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FLOOR: u64 = 65_536;
    const CEILING: u64 = 262_144;
    const MESSAGE: u64 = 16_384;

    /// Sends for `seconds` over a path with this delay and rate; returns the largest window in use and the
    /// longest run of bytes that left at one instant.
    fn drive(round_trip: Duration, bytes_a_second: f64, seconds: f64) -> (u64, u64) {
        let start = Instant::now();
        let mut flow = Flow::new(FLOOR, CEILING, start);
        let mut path: VecDeque<Instant> = VecDeque::new();
        let mut link_free = start;
        let (mut largest, mut burst_max) = (0, 0);
        let step = Duration::from_micros(500);
        for tick in 0..(seconds / step.as_secs_f64()) as u32 {
            let now = start + step * tick;
            while path.front().is_some_and(|at| *at <= now) {
                path.pop_front();
            }
            flow.in_flight(now, path.len() as u64 * MESSAGE);
            let mut burst = 0;
            while flow.may_write(now, path.len() as u64 * MESSAGE, MESSAGE).is_ok() {
                flow.wrote(now, MESSAGE);
                burst += MESSAGE;
                link_free = link_free.max(now) + Duration::from_secs_f64(MESSAGE as f64 / bytes_a_second);
                path.push_back(link_free + round_trip);
                largest = largest.max(path.len() as u64 * MESSAGE);
            }
            burst_max = burst_max.max(burst);
        }
        (largest, burst_max)
    }

    #[test]
    fn a_short_path_stays_at_the_floor() {
        for round_trip_us in [200, 1000, 4000] {
            let (largest, _) = drive(Duration::from_micros(round_trip_us), 50e6, 3.0);
            assert_eq!(largest, FLOOR, "{round_trip_us}");
        }
    }

    #[test]
    fn a_long_path_is_filled_without_a_burst() {
        let (largest, burst) = drive(Duration::from_millis(40), 20e6, 3.0);
        assert_eq!(largest, CEILING);
        assert!(burst <= FLOOR + MESSAGE, "{burst}");
    }

    #[test]
    fn a_slow_path_is_not_flooded() {
        // It holds 40 ms of 1 MB/s, so 40 kB, less than the floor.
        let (largest, _) = drive(Duration::from_millis(40), 1e6, 5.0);
        assert!(largest <= FLOOR + MESSAGE, "{largest}");
    }

    #[test]
    fn a_burst_ends_where_the_buffer_does_and_goes_on_later() {
        let mut now = Instant::now();
        let mut burst = Burst::new(FLOOR, now);
        let run = |burst: &mut Burst| (0..).take_while(|_| burst.take(1200)).count() as u64 * 1200;
        let first = run(&mut burst);
        assert!((FLOOR..FLOOR * 5 / 4).contains(&first), "{first}");
        now += Duration::from_millis(1);
        burst.refill(now, 0);
        assert!(run(&mut burst) <= FLOOR / 4);
        burst.refill(now, 12_000);
        assert_eq!(run(&mut burst) / 12_000, 1);
        assert!(burst.try_again_at() > now);
        burst.refill(now + Duration::from_secs(9), 0);
        assert!(run(&mut burst) < FLOOR * 5 / 4, "idleness earns no more than one buffer");
    }

    #[test]
    fn a_message_above_the_window_follows_when_little_is_left() {
        let now = Instant::now();
        let mut flow = Flow::new(FLOOR, CEILING, now);
        assert_eq!(flow.may_write(now, 0, CEILING), Ok(()));
        assert_eq!(flow.may_write(now, 1200, CEILING), Ok(()));
        assert_eq!(flow.may_write(now, FLOOR / 2, CEILING), Err(None));
    }
}
