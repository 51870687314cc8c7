//! A world of a hundred thousand peers and more: the links' model without the nodes.
//!
//! [`crate::run`] runs every peer's real node, message by message, which costs kilobytes a peer. Here a peer is 64 bytes and an
//! event 16: peers come, learn of a few holders, ask them block by block, hold what they have got, and leave. The links are those of
//! [`crate::Link`] without loss: a sender's uplink and a receiver's downlink serve first come, first served, with the latencies
//! between. What is left out beside: handshakes, symbols within a block, verification, and which blocks a fellow receiver
//! holds, of which only the count is known: one that holds a share has a block that is missed with the chance that random sets give.
//!
//! A visitor who leaves is followed by another in the same place, so the population stays what it was.

use crate::dice::Dice;
use core::cmp::Reverse;
use peeredge_wire::dice::{GOLDEN, mix as mix_bits};
use std::collections::BinaryHeap;

/// Holders that a peer knows of.
const SOURCES: usize = 6;
/// Blocks that a peer asks for at a time.
const WINDOW: u8 = 4;
/// No source, in place of one.
const NOBODY: u32 = u32::MAX;
/// The origin, in place of a source.
const ORIGIN: u32 = ID_MASK;
const ID_BITS: u32 = 24;
const ID_MASK: u32 = (1 << ID_BITS) - 1;
/// A block that does not come because its sender left is asked elsewhere after so long: peers are missed after five seconds.
const MISSED_AFTER_MICROS: u64 = 5_000_000;
/// Completion times are counted in eighths of a doubling.
const BUCKETS: usize = 256;

/// Who is there and what they want.
#[derive(Clone, Debug)]
pub struct Crowd {
    /// Seed of everything that is drawn.
    pub seed: u64,
    /// Peers at a time; below 16 million.
    pub peers: u32,
    /// Contents, wanted in the proportions 1, 1/2, 1/3 and so on; at least 1.
    pub contents: u16,
    /// Bytes of one block, and blocks of one content.
    pub block_bytes: u32,
    /// Blocks of one content; at least 1.
    pub blocks: u16,
    /// Uplinks in bytes a second, from which each peer's is drawn; downlinks are four times as wide.
    pub ups: Vec<u32>,
    /// Lengths of visits in milliseconds, from which each one's is drawn.
    pub stays_ms: Vec<u32>,
    /// One-way latency to the network's middle, in microseconds.
    pub latency_micros: u32,
    /// Bytes a second that the origin gives each request.
    pub origin_bytes_per_s: u32,
    /// The world ends after so many milliseconds.
    pub until_ms: u32,
}

/// What became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CrowdReport {
    /// Equal for equal worlds, on every machine.
    pub trace_hash: u64,
    /// Events that happened.
    pub events: u64,
    /// Visitors who got the whole content, and visitors who left before.
    pub completed: u64,
    /// Visitors who left before.
    pub left: u64,
    /// Bytes from other peers.
    pub from_peers_bytes: u64,
    /// Bytes from the origin.
    pub from_origin_bytes: u64,
    times: Vec<u64>,
}

impl CrowdReport {
    /// The completion time in milliseconds that a share of those who completed did not exceed, to a twelfth.
    pub fn completion_ms(&self, share: f64) -> f64 {
        let rank = (share * self.completed as f64) as u64;
        let mut sum = 0;
        let place = self.times.iter().position(|count| {
            sum += count;
            sum > rank
        });
        place.map_or(0.0, |place| milliseconds(place + 1))
    }

    /// Share of the bytes that came from peers.
    pub fn offload(&self) -> f64 {
        self.from_peers_bytes as f64 / (self.from_peers_bytes + self.from_origin_bytes).max(1) as f64
    }
}

/// The end of a bucket.
fn milliseconds(bucket: usize) -> f64 {
    let (doublings, eighth) = (bucket / 8, bucket % 8);
    (1u64 << doublings.min(40)) as f64 * (8 + eighth) as f64 / 8.0
}

fn bucket(milliseconds: u64) -> usize {
    let doublings = milliseconds.max(1).ilog2() as usize;
    let eighth = ((milliseconds << 3) >> doublings) as usize & 7;
    (8 * doublings + eighth).min(BUCKETS - 1)
}

#[derive(Clone, Debug)]
struct Peer {
    up_free: u64,
    down_free: u64,
    /// Milliseconds.
    joined: u32,
    up: u32,
    sources: [u32; SOURCES],
    /// Where it stands among the holders of its content; [`NOBODY`] while it holds nothing.
    place: u32,
    content: u16,
    done: u16,
    flying: u8,
    life: u8,
}

/// An event in 64 bits: kind 0 is a block for `peer` from `source`, with both lives; kind 1 is the end of a visit.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Event(u64);

impl Event {
    fn block(peer: u32, life: u8, source: u32, source_life: u8) -> Self {
        let lives = u64::from(life & 127) << 7 | u64::from(source_life & 127);
        Event(lives << (2 * ID_BITS) | u64::from(source & ID_MASK) << ID_BITS | u64::from(peer))
    }
    fn leave(peer: u32) -> Self {
        Event(1 << 63 | u64::from(peer))
    }
    fn is_leave(self) -> bool {
        self.0 >> 63 == 1
    }
    fn peer(self) -> u32 {
        self.0 as u32 & ID_MASK
    }
    fn source(self) -> u32 {
        (self.0 >> ID_BITS) as u32 & ID_MASK
    }
    fn lives(self) -> (u8, u8) {
        ((self.0 >> (2 * ID_BITS + 7)) as u8 & 127, (self.0 >> (2 * ID_BITS)) as u8 & 127)
    }
}

struct World<'a> {
    crowd: &'a Crowd,
    now: u64,
    dice: Dice,
    peers: Vec<Peer>,
    /// Who holds at least one block of each content.
    holders: Vec<Vec<u32>>,
    /// Sums of the contents' shares, for drawing.
    shares: Vec<u64>,
    queue: BinaryHeap<Reverse<(u64, Event)>>,
    report: CrowdReport,
}

/// Plays a crowd.
///
/// # Panics
/// When it has no uplinks, stays, contents or blocks to draw from, or 16 million peers and more.
pub fn run(crowd: &Crowd) -> CrowdReport {
    assert!(crowd.peers < ID_MASK && !crowd.ups.is_empty() && !crowd.stays_ms.is_empty());
    assert!(crowd.contents > 0 && crowd.blocks > 0);
    let mut sum = 0;
    let shares = (1..=u64::from(crowd.contents))
        .map(|rank| {
            sum += 1_000_000_000 / rank;
            sum
        })
        .collect();
    let empty = Peer {
        up_free: 0,
        down_free: 0,
        joined: 0,
        up: 1,
        sources: [NOBODY; SOURCES],
        place: NOBODY,
        content: 0,
        done: 0,
        flying: 0,
        life: 0,
    };
    let mut world = World {
        crowd,
        now: 0,
        dice: Dice::new(crowd.seed),
        peers: vec![empty; crowd.peers as usize],
        holders: vec![Vec::new(); usize::from(crowd.contents)],
        shares,
        queue: BinaryHeap::with_capacity(crowd.peers as usize * (usize::from(WINDOW) + 2)),
        report: CrowdReport {
            trace_hash: 0,
            events: 0,
            completed: 0,
            left: 0,
            from_peers_bytes: 0,
            from_origin_bytes: 0,
            times: vec![0; BUCKETS],
        },
    };
    // Visits are under way when the world begins: each place's first visitor comes within one stay.
    for peer in 0..crowd.peers {
        let stay = world.stay_micros();
        let at = world.dice.below(stay);
        world.queue.push(Reverse((at, Event::leave(peer))));
    }
    world.run();
    world.report
}

impl World<'_> {
    fn run(&mut self) {
        let until = u64::from(self.crowd.until_ms) * 1000;
        while let Some(Reverse((at, event))) = self.queue.pop() {
            if at > until {
                break;
            }
            self.now = at;
            self.report.events += 1;
            self.report.trace_hash = mix(self.report.trace_hash ^ at, event.0);
            if event.is_leave() {
                self.leave(event.peer());
                self.join(event.peer());
            } else {
                self.arrived(event);
            }
        }
    }

    fn stay_micros(&mut self) -> u64 {
        let at = self.dice.below(self.crowd.stays_ms.len() as u64) as usize;
        u64::from(self.crowd.stays_ms[at]).max(1) * 1000
    }

    fn leave(&mut self, id: u32) {
        let peer = &mut self.peers[id as usize];
        peer.life = peer.life.wrapping_add(1) & 127;
        let (place, content, done, up) = (peer.place, usize::from(peer.content), peer.done, peer.up);
        // The very first visitor of a place was nobody.
        if done < self.crowd.blocks && up > 1 {
            self.report.left += 1;
        }
        if place != NOBODY {
            self.holders[content].swap_remove(place as usize);
            if let Some(moved) = self.holders[content].get(place as usize) {
                self.peers[*moved as usize].place = place;
            }
        }
    }

    fn join(&mut self, id: u32) {
        let stay = self.stay_micros();
        self.queue.push(Reverse((self.now + stay, Event::leave(id))));
        let up = self.crowd.ups[self.dice.below(self.crowd.ups.len() as u64) as usize].max(2);
        let all = *self.shares.last().expect("there is a content");
        let drawn = self.dice.below(all);
        let content = self.shares.partition_point(|sum| *sum <= drawn);
        let peer = &mut self.peers[id as usize];
        *peer = Peer {
            up_free: self.now,
            down_free: self.now,
            joined: (self.now / 1000) as u32,
            up,
            sources: [NOBODY; SOURCES],
            place: NOBODY,
            content: content as u16,
            done: 0,
            flying: 0,
            life: peer.life,
        };
        for _ in 0..WINDOW {
            self.ask(id);
        }
    }

    /// Asks for one more block, where it is expected first.
    fn ask(&mut self, id: u32) {
        let peer = &self.peers[id as usize];
        if peer.done + u16::from(peer.flying) >= self.crowd.blocks {
            return;
        }
        self.meet(id);
        let bytes = u64::from(self.crowd.block_bytes);
        let peer = &self.peers[id as usize];
        let mut best: Option<(u64, u32)> = None;
        for source in peer.sources {
            if source == NOBODY || source == id || !self.has_what_is_missed(id, source) {
                continue;
            }
            let giver = &self.peers[source as usize];
            let through = giver.up_free.max(self.now) + bytes * 1_000_000 / u64::from(giver.up);
            if best.is_none_or(|(at, _)| through < at) {
                best = Some((through, source));
            }
        }
        let latency = u64::from(self.crowd.latency_micros) * 2;
        let by_origin = self.now + bytes * 1_000_000 / u64::from(self.crowd.origin_bytes_per_s.max(1));
        // The origin costs money: it is for those who would wait long.
        let (through, source) = match best {
            Some((through, source)) if through <= by_origin + MISSED_AFTER_MICROS => (through, source),
            _ => (by_origin, ORIGIN),
        };
        let source_life = if source == ORIGIN {
            0
        } else {
            self.peers[source as usize].up_free = through;
            self.peers[source as usize].life
        };
        let peer = &mut self.peers[id as usize];
        // A request and its answer travel both ways.
        let reached = through + 2 * latency;
        peer.down_free = peer.down_free.max(reached) + bytes * 1_000_000 / (u64::from(peer.up) * 4);
        peer.flying += 1;
        let event = Event::block(id, peer.life, source, source_life);
        self.queue.push(Reverse((peer.down_free, event)));
    }

    /// Fills the places of sources that are gone, and now and then tries another one.
    fn meet(&mut self, id: u32) {
        let content = self.peers[id as usize].content;
        let holders = &self.holders[usize::from(content)];
        if holders.is_empty() {
            self.peers[id as usize].sources = [NOBODY; SOURCES];
            return;
        }
        let again = (self.dice.next() & 63) as usize;
        for place in 0..SOURCES {
            let source = self.peers[id as usize].sources[place];
            let gone = source == NOBODY || {
                let giver = &self.peers[source as usize];
                giver.content != content || giver.place == NOBODY
            };
            if gone || place == again {
                let holders = &self.holders[usize::from(content)];
                let [a, b] = [0, 1].map(|_| holders[self.dice.below(holders.len() as u64) as usize]);
                let free = |id: u32| self.peers[id as usize].up_free;
                // Of two drawn by chance the one that is less busy.
                self.peers[id as usize].sources[place] = if free(b) < free(a) { b } else { a };
            }
        }
    }

    /// Whether a holder has a block that this peer misses: sure of one that has all, by chance of a fellow.
    fn has_what_is_missed(&self, id: u32, source: u32) -> bool {
        let (peer, giver) = (&self.peers[id as usize], &self.peers[source as usize]);
        if giver.content != peer.content || giver.done == 0 {
            return false;
        }
        if giver.done >= self.crowd.blocks {
            return true;
        }
        // All of the giver's blocks lie within the peer's with about (done / blocks) to the power of their number.
        let share = u64::from(peer.done) * 65_536 / u64::from(self.crowd.blocks);
        let mut within = 65_536u64;
        for _ in 0..giver.done.min(16) {
            within = within * share / 65_536;
        }
        mix(u64::from(id) << 32 | u64::from(source), u64::from(peer.done)) & 65_535 >= within
    }

    fn arrived(&mut self, event: Event) {
        let (id, source) = (event.peer(), event.source());
        let (life, source_life) = event.lives();
        if self.peers[id as usize].life != life {
            return;
        }
        if source != ORIGIN && self.peers[source as usize].life != source_life {
            // It left with the block. Coming back to the queue as from the origin's side would cheat: it is asked again.
            self.peers[id as usize].flying -= 1;
            self.peers[id as usize].down_free = self.now + MISSED_AFTER_MICROS;
            return self.ask(id);
        }
        let bytes = u64::from(self.crowd.block_bytes);
        match source {
            ORIGIN => self.report.from_origin_bytes += bytes,
            _ => self.report.from_peers_bytes += bytes,
        }
        let peer = &mut self.peers[id as usize];
        peer.flying -= 1;
        peer.done += 1;
        if peer.done == 1 {
            let holders = &mut self.holders[usize::from(peer.content)];
            peer.place = holders.len() as u32;
            holders.push(id);
        }
        if peer.done == self.crowd.blocks {
            self.report.completed += 1;
            let took = self.now / 1000 - u64::from(peer.joined);
            self.report.times[bucket(took)] += 1;
        } else {
            self.ask(id);
        }
    }
}

fn mix(a: u64, b: u64) -> u64 {
    mix_bits(a.rotate_left(25) ^ b.wrapping_mul(GOLDEN))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_and_an_event_are_small() {
        assert_eq!(size_of::<Peer>(), 64);
        assert_eq!(size_of::<Reverse<(u64, Event)>>(), 16);
    }

    #[test]
    fn an_event_says_what_was_put_in() {
        let event = Event::block(123_456, 127, ORIGIN, 99);
        assert_eq!((event.peer(), event.source(), event.lives()), (123_456, ORIGIN, (127, 99)));
        assert!(!event.is_leave() && Event::leave(7).is_leave());
        assert_eq!(Event::leave(7).peer(), 7);
    }

    #[test]
    fn a_time_falls_into_the_bucket_that_ends_behind_it() {
        for time in [1, 7, 8, 9, 1000, 123_456, 10_000_000u64] {
            let end = milliseconds(bucket(time) + 1);
            assert!(end > time as f64 && end <= time as f64 * 1.25 + 1.0, "{time} {end}");
        }
    }
}
