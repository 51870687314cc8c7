//! What is expected of channels that have carried nothing, in worlds whose true rates are known.

use peeredge_routing::Prior;
use peeredge_routing::links::{End, LinkSettings};
use peeredge_wire::SplitMix64;

fn end(peer: u64, network: u32) -> End {
    End { peer, network, region: network / 4, city: network }
}

/// Senders in six networks, each network and each sender with an effect of its own, and noise.
struct World {
    dice: SplitMix64,
    networks: Vec<f64>,
    senders: Vec<f64>,
    noise: f64,
}

impl World {
    fn new(seed: u64, noise: f64) -> Self {
        let mut dice = SplitMix64::new(seed);
        let networks = (0..6).map(|_| normal(&mut dice)).collect();
        let senders = (0..60).map(|_| 0.5 * normal(&mut dice)).collect();
        World { dice, networks, senders, noise }
    }

    fn sender(n: usize) -> End {
        end(100 + n as u64, (n % 6) as u32)
    }

    fn log_rate(&self, n: usize) -> f64 {
        12.0 + self.networks[n % 6] + self.senders[n]
    }

    fn link(&mut self) -> (End, usize, f64) {
        let n = self.dice.below(self.senders.len());
        let receiver = end(10_000 + self.dice.below(500) as u64, 40);
        let rate = (self.log_rate(n) + self.noise * normal(&mut self.dice)).exp();
        (receiver, n, rate)
    }
}

fn normal(dice: &mut SplitMix64) -> f64 {
    (0..12).map(|_| dice.unit()).sum::<f64>() - 6.0
}

fn learned(world: &mut World, links: usize) -> Prior {
    let mut prior = Prior::new(LinkSettings::default());
    for _ in 0..links {
        let (receiver, n, rate) = world.link();
        prior.learn(receiver, World::sender(n), rate);
    }
    prior
}

#[test]
fn nothing_is_expected_before_the_first_link_and_nonsense_is_not_learned() {
    let mut prior = Prior::new(LinkSettings::default());
    for rate in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        prior.learn(end(1, 1), end(2, 2), rate);
    }
    assert_eq!(prior.rate(end(1, 1), end(2, 2)), None);
    prior.learn(end(1, 1), end(2, 2), 1e5);
    let rate = prior.rate(end(3, 3), end(4, 4)).expect("a link was learned");
    assert!(rate.low < 1e5 && rate.high > 1e5, "one link says little: {rate:?}");
}

#[test]
fn four_of_five_links_lie_in_the_interval() {
    for seed in 1..=4 {
        for noise in [0.1, 0.6] {
            let mut world = World::new(seed, noise);
            let mut prior = learned(&mut world, 2000);
            let mut within = 0;
            for _ in 0..1000 {
                let (receiver, n, true_rate) = world.link();
                let rate = prior.rate(receiver, World::sender(n)).expect("links were learned");
                within += u32::from((rate.low..=rate.high).contains(&true_rate));
                prior.learn(receiver, World::sender(n), true_rate);
            }
            assert!((750..=850).contains(&within), "seed {seed}, noise {noise}: {within}");
        }
    }
}

#[test]
fn a_known_sender_has_a_narrower_interval_than_a_stranger_in_its_network() {
    let mut world = World::new(7, 0.1);
    let mut prior = learned(&mut world, 2000);
    // What strangers do is learned of strangers.
    for n in 0..200 {
        let (network, spread) = (n % 6, 0.5 * normal(&mut world.dice));
        let rate = (12.0 + world.networks[network] + spread).exp();
        prior.learn(end(20_000 + n as u64, 40), end(30_000 + n as u64, network as u32), rate);
    }
    let receiver = end(99_999, 40);
    let width = |sender| {
        let rate = prior.rate(receiver, sender).expect("links were learned");
        (rate.high / rate.low).ln()
    };
    let (known, stranger) = (width(World::sender(3)), width(end(77_777, 3)));
    assert!(2.0 * known < stranger, "{known} {stranger}");
}

#[test]
fn a_stranger_is_expected_to_be_as_its_network_and_a_known_sender_as_itself() {
    let mut world = World::new(9, 0.2);
    let prior = learned(&mut world, 4000);
    let receiver = end(99_999, 40);
    let off = |sender, log_rate: f64| {
        let rate = prior.rate(receiver, sender).expect("links were learned");
        (rate.bytes_per_s.ln() - log_rate).abs()
    };
    for n in 0..60 {
        let known = off(World::sender(n), world.log_rate(n));
        assert!(known < 0.25, "sender {n}: {known}");
    }
    for network in 0..6 {
        let members = (0..60).filter(|n| n % 6 == network);
        let mean = members.map(|n| world.log_rate(n)).sum::<f64>() / 10.0;
        let stranger = off(end(77_777, network as u32), mean);
        assert!(stranger < 0.4, "network {network}: {stranger}");
    }
}
