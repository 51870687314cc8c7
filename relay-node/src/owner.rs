//! Who stands behind an address. Keys, connections and, in IPv6, addresses are free, so whatever strangers can take is bounded by
//! network: an IPv4 /24, an IPv6 /48. Loopback is a network like any other.

use peeredge_wire::PeerId;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

/// A network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Owner(u64);

impl Owner {
    /// The network of an address.
    pub fn of(ip: IpAddr) -> Owner {
        match ip.to_canonical() {
            IpAddr::V4(ip) => Owner(u64::from(ip.to_bits() >> 8)),
            // No other has a bit up there.
            IpAddr::V6(ip) => Owner((1 << 63) | (ip.to_bits() >> 80) as u64),
        }
    }

    /// Of nobody who has others: for what a proxy does on behalf of clients that are told apart elsewhere.
    pub fn of_none(number: u64) -> Owner {
        Owner((1 << 62) | (number & ((1 << 62) - 1)))
    }

    /// As a number.
    pub fn number(self) -> u64 {
        self.0
    }
}

/// Which networks the connected peers are in.
#[derive(Debug, Default)]
pub struct Owners(Mutex<BTreeMap<PeerId, Owner>>);

impl Owners {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<PeerId, Owner>> {
        self.0.lock().expect("no holder panics")
    }

    /// A peer proved its key on a connection from there.
    pub fn came(&self, peer: PeerId, owner: Owner) {
        self.lock().insert(peer, owner);
    }

    /// Its connection ended. A newer one from elsewhere stays.
    pub fn left(&self, peer: PeerId, owner: Owner) {
        let mut owners = self.lock();
        if owners.get(&peer) == Some(&owner) {
            owners.remove(&peer);
        }
    }

    /// The network of a connected peer.
    pub fn of(&self, peer: PeerId) -> Option<Owner> {
        self.lock().get(&peer).copied()
    }
}

/// A rate for each network (GCRA): so many at once, so many a second from then on. Whoever wants more waits, and waits longer
/// for each that waits already.
#[derive(Debug)]
pub struct Pace {
    interval: Duration,
    burst: Duration,
    /// When the network's next one would be due had it kept to the rate.
    due: Mutex<BTreeMap<Owner, Instant>>,
}

/// Networks that are remembered; those that owe nothing go first.
const NETWORKS_MAX: usize = 16_384;

impl Pace {
    /// `per_s` a second, after `burst` at once. Both at least 1.
    pub fn new(per_s: u32, burst: u32) -> Pace {
        let interval = Duration::from_secs(1) / per_s.max(1);
        Pace { interval, burst: interval * burst.max(1), due: Mutex::default() }
    }

    /// Takes `count` of what this network has. Gives how long it has to wait for that.
    pub fn take(&self, now: Instant, owner: Owner, count: u32) -> Duration {
        let mut due = self.due.lock().expect("no holder panics");
        if due.len() >= NETWORKS_MAX && !due.contains_key(&owner) {
            due.retain(|_, due| *due > now);
            if due.len() >= NETWORKS_MAX {
                // More networks than can be told apart are over their rate.
                return self.burst;
            }
        }
        let at = due.entry(owner).or_insert(now);
        *at = (*at).max(now) + self.interval * count;
        (*at).saturating_duration_since(now).saturating_sub(self.burst)
    }

    /// Waits for the network's turn; gives whether that took any time. Who goes away meanwhile gives back what it took: else a client
    /// that asks and hangs up would have its network wait longer than all who still ask.
    pub async fn turn(&self, owner: Owner) -> bool {
        let wait = self.take(Instant::now(), owner, 1);
        if wait.is_zero() {
            return false;
        }
        let mut turn = Turn { pace: self, owner, came: false };
        tokio::time::sleep(wait).await;
        turn.came = true;
        true
    }

    /// Takes one if that needs no waiting.
    pub fn try_take(&self, now: Instant, owner: Owner) -> bool {
        let mut due = self.due.lock().expect("no holder panics");
        let at = due.get(&owner).copied().unwrap_or(now).max(now) + self.interval;
        if at.saturating_duration_since(now) > self.burst {
            return false;
        }
        if due.len() >= NETWORKS_MAX && !due.contains_key(&owner) {
            due.retain(|_, due| *due > now);
            if due.len() >= NETWORKS_MAX {
                return false;
            }
        }
        due.insert(owner, at);
        true
    }
}

/// Somebody who waits.
struct Turn<'a> {
    pace: &'a Pace,
    owner: Owner,
    came: bool,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut due = self.pace.due.lock().expect("no holder panics");
        if !self.came
            && let Some(at) = due.get_mut(&self.owner)
        {
            // An instant that this process has not seen is as good as now.
            *at = at.checked_sub(self.pace.interval).unwrap_or(*at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    fn of(text: &str) -> Owner {
        Owner::of(text.parse().expect("an address"))
    }

    #[test]
    fn one_network_is_one_owner() {
        assert_eq!(of("192.0.2.7"), of("192.0.2.200"));
        assert_ne!(of("192.0.2.7"), of("192.0.3.7"));
        assert_eq!(of("2001:db8:1:2::3"), of("2001:db8:1:ffff::4"));
        assert_ne!(of("2001:db8:1::3"), of("2001:db8:2::3"));
        assert_eq!(of("::ffff:192.0.2.9"), of("192.0.2.7"));
        assert_eq!(of("127.0.0.1"), of("127.0.0.9"));
        assert_ne!(of("127.0.1.1"), of("127.0.2.1"));
    }

    #[test]
    fn a_pace_gives_a_burst_and_then_its_rate() {
        let (pace, now, owner) = (Pace::new(10, 5), Instant::now(), of("192.0.2.1"));
        assert!((0..5).all(|_| pace.take(now, owner, 1).is_zero()));
        assert_eq!(pace.take(now, owner, 1), Duration::from_millis(100));
        assert_eq!(pace.take(now, owner, 2), Duration::from_millis(300));
        assert!(pace.take(now, of("192.0.3.1"), 5).is_zero(), "another network has its own");
        assert!(!pace.try_take(now, owner));
        let later = now + Duration::from_secs(2);
        assert!((0..5).all(|_| pace.try_take(later, owner)) && !pace.try_take(later, owner));
    }

    #[tokio::test]
    async fn who_goes_away_while_it_waits_gives_its_turn_back() {
        let (pace, owner) = (Pace::new(1, 2), of("192.0.2.1"));
        assert!(!pace.turn(owner).await && !pace.turn(owner).await);
        for _ in 0..1000 {
            let mut turn = pin!(pace.turn(owner));
            assert_eq!(turn.as_mut().poll(&mut Context::from_waker(Waker::noop())), Poll::Pending);
        }
        let stays = pace.take(Instant::now(), owner, 1);
        assert!(stays <= Duration::from_secs(1), "{stays:?} behind 1,000 that are gone");
    }
}
