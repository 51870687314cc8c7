//! One direction of one access link: queue, rate, delay, jitter, loss and reordering. A machine without a clock.

use std::collections::VecDeque;

use crate::dice::Dice;
use crate::rate::{Micros, Rate, Service};

/// What a link is like.
#[derive(Clone, Debug, PartialEq)]
pub struct LinkConfig {
    /// How fast it takes packets. Default: unlimited.
    pub rate: Rate,
    /// Bytes that wait at most, the packet in service included; a packet that finds no room is dropped. Default: 256 KiB.
    pub queue_bytes: u64,
    /// How long a packet travels after it has left the queue, in microseconds. Default: 0.
    pub delay_us: Micros,
    /// Up to so much is added to the delay, evenly spread, without changing the order. Default: 0.
    pub jitter_us: Micros,
    /// Share of the packets that is lost, independently of each other. Default: 0.
    pub loss: f64,
    /// Share of the packets that travels `reorder_us` longer and is overtaken meanwhile. Default: 0.
    pub reorder: f64,
    /// How much longer those travel, in microseconds. Default: 10,000.
    pub reorder_us: Micros,
}

impl Default for LinkConfig {
    fn default() -> Self {
        LinkConfig {
            rate: Rate::Unlimited,
            queue_bytes: 256 << 10,
            delay_us: 0,
            jitter_us: 0,
            loss: 0.0,
            reorder: 0.0,
            reorder_us: 10_000,
        }
    }
}

/// What became of the packets of a link.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LinkCounts {
    /// Packets that came.
    pub packets: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Packets that found the queue full.
    pub dropped: u64,
    /// Packets lost on the way.
    pub lost: u64,
}

/// One direction of an access link.
#[derive(Clone, Debug)]
pub struct Link {
    config: LinkConfig,
    dice: Dice,
    service: Service,
    /// When this rate began: its steps and opportunities count from then.
    since: Micros,
    /// When each waiting packet leaves, and its bytes.
    waiting: VecDeque<(Micros, u64)>,
    waiting_bytes: u64,
    last_arrival: Micros,
    counts: LinkCounts,
}

impl Link {
    /// An idle link; `seed` decides about its chance.
    pub fn new(config: LinkConfig, seed: u64) -> Link {
        Link {
            config,
            dice: Dice::new(seed),
            service: Service::default(),
            since: 0,
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            last_arrival: 0,
            counts: LinkCounts::default(),
        }
    }

    /// Changes what the link is like for the packets that come from now on.
    pub fn configure(&mut self, now: Micros, config: LinkConfig) {
        // A queue behind a rate of before would block the new one for as long.
        self.leave(now);
        if self.config.rate != config.rate {
            self.service = Service::default();
            self.since = now;
        }
        self.config = config;
    }

    /// What the link is like.
    pub fn config(&self) -> &LinkConfig {
        &self.config
    }

    /// What became of the packets so far.
    pub fn counts(&self) -> LinkCounts {
        self.counts
    }

    /// A packet of this length, headers included, comes. Gives when it arrives at the other end; none if it never does.
    pub fn enter(&mut self, now: Micros, bytes: u64) -> Option<Micros> {
        self.leave(now);
        self.counts.packets += 1;
        self.counts.bytes += bytes;
        if self.waiting_bytes > 0 && self.waiting_bytes + bytes > self.config.queue_bytes {
            self.counts.dropped += 1;
            return None;
        }
        let Some(left) = self.service.take(&self.config.rate, now - self.since, bytes) else {
            self.counts.dropped += 1;
            return None;
        };
        let left = left + self.since;
        if left > now {
            self.waiting.push_back((left, bytes));
            self.waiting_bytes += bytes;
        }
        if self.dice.happens(self.config.loss) {
            self.counts.lost += 1;
            return None;
        }
        let jitter =
            if self.config.jitter_us > 0 { self.dice.bits() % (self.config.jitter_us + 1) } else { 0 };
        let arrival = left + self.config.delay_us + jitter;
        if self.dice.happens(self.config.reorder) {
            return Some(arrival + self.config.reorder_us);
        }
        self.last_arrival = self.last_arrival.max(arrival);
        Some(self.last_arrival)
    }

    fn leave(&mut self, now: Micros) {
        while let Some((left, bytes)) = self.waiting.front().copied()
            && left <= now
        {
            self.waiting.pop_front();
            self.waiting_bytes -= bytes;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arrivals(config: LinkConfig, packets: u64, every_us: Micros) -> Vec<Option<Micros>> {
        let mut link = Link::new(config, 7);
        (0..packets).map(|n| link.enter(n * every_us, 1000)).collect()
    }

    #[test]
    fn a_packet_takes_the_delay_and_its_turn() {
        let config = LinkConfig { delay_us: 20_000, rate: Rate::Constant(1e6), ..LinkConfig::default() };
        assert_eq!(arrivals(config, 3, 0), [Some(21_000), Some(22_000), Some(23_000)]);
    }

    #[test]
    fn ten_seconds_at_a_rate_carry_what_the_rate_says() {
        // Twice as much comes as fits.
        let config = LinkConfig { rate: Rate::Constant(1e6), queue_bytes: 50_000, ..LinkConfig::default() };
        let arrived: Vec<_> = arrivals(config, 20_000, 500).into_iter().flatten().collect();
        assert!((10_000..=10_060).contains(&arrived.len()), "{}", arrived.len());
        // Nobody waits longer than the queue is.
        assert!(*arrived.last().expect("some arrive") <= 10_000_000 + 50_000);
    }

    #[test]
    fn one_in_a_hundred_is_lost_and_the_rest_keeps_its_order() {
        let config = LinkConfig { loss: 0.01, jitter_us: 5_000, delay_us: 10_000, ..LinkConfig::default() };
        let all = arrivals(config, 100_000, 100);
        let arrived: Vec<_> = all.iter().flatten().copied().collect();
        let lost = all.len() - arrived.len();
        // Five standard deviations of a thousand.
        assert!((840..=1160).contains(&lost), "{lost}");
        assert!(arrived.is_sorted());
        let late = all.iter().enumerate().filter_map(|(n, at)| at.map(|at| at - n as u64 * 100 - 10_000));
        assert!(late.clone().all(|late| late <= 5_000));
        assert!(late.max().expect("some arrive") > 4_900);
    }

    #[test]
    fn some_are_overtaken() {
        let config = LinkConfig { reorder: 0.1, delay_us: 1_000, ..LinkConfig::default() };
        let arrived: Vec<_> = arrivals(config, 10_000, 100).into_iter().flatten().collect();
        let overtaken = arrived.iter().enumerate().filter(|(n, at)| **at == *n as u64 * 100 + 11_000).count();
        assert!((850..=1150).contains(&overtaken), "{overtaken}");
    }

    #[test]
    fn steps_begin_when_they_are_set() {
        let mut link = Link::new(LinkConfig::default(), 1);
        let rate = Rate::Steps(vec![(1_000_000, 1000.0), (1_000_000, 100_000.0)]);
        link.configure(1_500_000, LinkConfig { rate, ..LinkConfig::default() });
        assert_eq!(link.enter(1_500_000, 500), Some(2_000_000));
    }

    #[test]
    fn a_new_rate_does_not_wait_for_the_old_one() {
        let slow = LinkConfig { rate: Rate::Constant(1000.0), ..LinkConfig::default() };
        let mut link = Link::new(slow, 1);
        assert_eq!(link.enter(0, 100_000), Some(100_000_000));
        link.configure(10, LinkConfig { rate: Rate::Constant(1e6), ..LinkConfig::default() });
        // It does not overtake what is under way, though.
        assert_eq!(link.enter(10, 1000), Some(100_000_000));
        let mut link = Link::new(LinkConfig::default(), 1);
        link.configure(0, LinkConfig { rate: Rate::Constant(0.0), ..LinkConfig::default() });
        assert_eq!(link.enter(1, 1000), None);
        link.configure(2, LinkConfig::default());
        assert_eq!(link.enter(3, 1000), Some(3));
        assert_eq!(link.counts(), LinkCounts { packets: 2, bytes: 2000, dropped: 1, lost: 0 });
    }
}
