//! When a message that is sent now leaves, and when it arrives: the model that [`Link`] describes.

use crate::dice::Dice;
use crate::scenario::Link;
use core::time::Duration;
use peeredge_wire::Time;

/// Payload bytes of one packet: what Chromium's SCTP puts into its 1191.
const PACKET_BYTES: u64 = 1163;
/// Headers of every packet: SCTP 12 and its chunk's 16, DTLS 1.2 with AES-GCM 37, UDP 8, IPv4 20.
const HEADER_BYTES: u64 = 93;
/// A packet that acknowledges others: SCTP 12, the chunk 16, and what lies below as above.
const ACK_BYTES: u64 = 93;
/// Packets that one of these acknowledges (RFC 9260, section 6.2).
const ACKED_AT_ONCE: u64 = 2;
/// One million: the unit of loss.
const MILLION: u64 = 1_000_000;

/// A peer's access link and until when it is taken.
#[derive(Clone, Debug)]
pub(crate) struct Access {
    pub(crate) link: Link,
    up_free: Time,
    down_free: Time,
    /// What the uplink carried, with headers.
    pub(crate) up_bytes: u64,
}

/// One direction of one channel.
#[derive(Clone, Debug, Default)]
pub(crate) struct Lane {
    free: Time,
    last_arrival: Time,
}

/// What becomes of a message.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Journey {
    /// The sender's buffer has it no more.
    pub(crate) left: Time,
    /// It reaches the receiver's downlink.
    pub(crate) reached: Time,
}

impl Access {
    pub(crate) fn new(link: Link) -> Self {
        Access { link, up_free: Time::ZERO, down_free: Time::ZERO, up_bytes: 0 }
    }

    /// Passes `bytes` through the uplink behind all that was sent before; gives when they are through.
    pub(crate) fn send(&mut self, now: Time, bytes: usize) -> Time {
        self.up_bytes += on_wire(bytes);
        self.up_free = now.max(self.up_free) + takes(on_wire(bytes), self.link.up_bytes_per_s);
        self.up_free
    }

    /// Acknowledges a message of `bytes`, behind all that was sent before.
    pub(crate) fn acknowledge(&mut self, now: Time, bytes: usize) {
        let packets = (bytes as u64).div_ceil(PACKET_BYTES);
        let acks = packets.div_ceil(ACKED_AT_ONCE) * ACK_BYTES;
        self.up_bytes += acks;
        self.up_free = now.max(self.up_free) + takes(acks, self.link.up_bytes_per_s);
    }

    /// Passes `bytes` through the downlink behind all that arrived before; gives when they are through.
    pub(crate) fn receive(&mut self, now: Time, bytes: usize) -> Time {
        self.down_free = now.max(self.down_free) + takes(on_wire(bytes), self.link.down_bytes_per_s);
        self.down_free
    }
}

impl Lane {
    /// Sends a message from `from` towards `to`.
    pub(crate) fn send(
        &mut self,
        now: Time,
        dice: &mut Dice,
        from: &mut Access,
        to: Link,
        bytes: usize,
    ) -> Journey {
        let loss_ppm = u64::from(from.link.loss_ppm) + u64::from(to.loss_ppm);
        let one_way = from.link.latency_micros + to.latency_micros;
        let mut left = from.send(now, bytes);
        let mut late = 0;
        if loss_ppm > 0 {
            let rate = mathis_bytes_per_s(2 * one_way, loss_ppm);
            self.free = now.max(self.free) + takes(on_wire(bytes), rate);
            left = left.max(self.free);
            let packets = (bytes as u64).div_ceil(PACKET_BYTES);
            if dice.below(MILLION) < (packets * loss_ppm).min(MILLION) {
                late = 2 * one_way;
            }
        }
        // In order: nothing overtakes a message that is sent again.
        self.last_arrival = self.last_arrival.max(left + Duration::from_micros(one_way + late));
        Journey { left, reached: self.last_arrival }
    }
}

/// A message's bytes with the headers of its packets.
fn on_wire(bytes: usize) -> u64 {
    let bytes = bytes as u64;
    bytes + bytes.div_ceil(PACKET_BYTES) * HEADER_BYTES
}

fn takes(bytes: u64, bytes_per_s: u64) -> Duration {
    Duration::from_micros(bytes.saturating_mul(MILLION) / bytes_per_s.max(1))
}

/// 1.22 packets a round trip over the root of the loss, in integers.
fn mathis_bytes_per_s(round_trip_micros: u64, loss_ppm: u64) -> u64 {
    // 1.22 P / (T sqrt(L)), with T in seconds and L a share: the root of 1/L is 1000 / sqrt(ppm), taken times 1000.
    let root_times_1000 = (MILLION * loss_ppm).isqrt().max(1);
    let packets_bytes = 122 * PACKET_BYTES * MILLION / 100;
    packets_bytes.saturating_mul(MILLION) / (round_trip_micros.max(1) * root_times_1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loss_limit_is_what_was_published_for_it() {
        // 40 ms and 1 %: 1.22 * 1163 / (0.04 * 0.1) = 354,715 bytes a second, about 3 Mbit/s.
        assert_eq!(mathis_bytes_per_s(40_000, 10_000), 354_715);
        assert_eq!(mathis_bytes_per_s(40_000, 100), 3_547_150);
    }

    #[test]
    fn a_message_waits_for_uplink_and_lane_and_keeps_its_order() {
        // With the headers of its packets a million: 796 whole ones of 1256, and one with 131 of payload.
        const MESSAGE_BYTES: usize = 796 * 1163 + 131;
        let link =
            Link { up_bytes_per_s: 1_000_000, down_bytes_per_s: 1, latency_micros: 5_000, loss_ppm: 0 };
        let (mut access, mut lane, mut dice) = (Access::new(link), Lane::default(), Dice::new(1));
        let first = lane.send(Time::ZERO, &mut dice, &mut access, link, MESSAGE_BYTES);
        assert_eq!(first.left, Time::from_millis(1_000));
        assert_eq!(first.reached, Time::from_millis(1_010));
        let second = lane.send(Time::from_millis(500), &mut dice, &mut access, link, MESSAGE_BYTES);
        assert_eq!(second.left, Time::from_millis(2_000));
        let lossy = Link { loss_ppm: 500_000, ..link };
        let mut last = Time::ZERO;
        for _ in 0..100 {
            let journey = lane.send(Time::from_millis(3_000), &mut dice, &mut access, lossy, 1_000);
            assert!(journey.reached >= last && journey.reached > journey.left);
            last = journey.reached;
        }
    }
}
