//! The model of links on links whose true rates are known.

use peeredge_routing::links::{End, LinkModel, LinkSettings};

fn end(peer: u64, network: u32) -> End {
    End { peer, network, region: network / 4, city: network }
}

fn draw(dice: &mut u64, below: u64) -> u64 {
    *dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    (*dice >> 33) % below
}

#[test]
fn nothing_is_claimed_before_the_first_link() {
    let model = LinkModel::new(LinkSettings::default());
    assert_eq!(model.predict(end(1, 1), end(2, 2)), None);
    assert_eq!(model.rank(end(1, 1), end(2, 2)), model.rank(end(3, 3), end(4, 4)));
}

#[test]
fn of_two_that_promise_the_same_the_one_that_has_shown_it_is_better() {
    let mut model = LinkModel::new(LinkSettings::default());
    (0..20).for_each(|n| model.learn(end(100 + n, 0), end(1, 9), 1e5));
    let rank = |sender| model.rank(end(999, 0), end(sender, 9));
    assert!(rank(1) > rank(2), "{} {}", rank(1), rank(2));
}

#[test]
fn a_fast_sender_is_told_from_a_sender_with_fast_receivers() {
    // Sender 1 mostly serves slow receivers, sender 2 fast ones; where both serve the same, 1 is twice as fast.
    let mut model = LinkModel::new(LinkSettings { refit_every: 16, ..LinkSettings::default() });
    for round in 0..40u64 {
        for _ in 0..2 {
            model.learn(end(100 + round % 8, 0), end(1, 9), 100.0);
            model.learn(end(200 + round % 8, 0), end(2, 9), 300.0);
        }
        model.learn(end(300 + round, 0), end(1, 9), 400.0);
        model.learn(end(300 + round, 0), end(2, 9), 200.0);
    }
    let newcomer = end(999, 0);
    assert!(model.rank(newcomer, end(1, 9)) > model.rank(newcomer, end(2, 9)));
}

#[test]
fn a_stranger_is_judged_by_its_network() {
    let mut model = LinkModel::new(LinkSettings::default());
    let mut dice = 3;
    for n in 0..600 {
        let network = (n % 3) as u32;
        let rate = [1e5, 3e5, 9e5][network as usize] * (0.5 + draw(&mut dice, 1000) as f64 / 1000.0);
        model.learn(end(1000 + draw(&mut dice, 50), 7), end(n, network), rate);
    }
    let receiver = end(5000, 7);
    let of = |network| model.predict(receiver, end(9000, network)).expect("links were learned");
    assert!(of(0) < 1.7e5 && of(1) > 2e5 && of(1) < 4.5e5 && of(2) > 5e5, "{} {} {}", of(0), of(1), of(2));
}

#[test]
fn it_forgets_what_it_may_not_keep_and_takes_no_nonsense() {
    let mut model = LinkModel::new(LinkSettings { links_max: 100, refit_every: 10 });
    for rate in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        model.learn(end(1, 1), end(2, 2), rate);
    }
    assert_eq!(model.links(), 0);
    for n in 0..5000 {
        model.learn(end(n, 1), end(n + 10_000, 2), 1e5);
    }
    assert_eq!(model.links(), 100);
    let rate = model.predict(end(4999, 1), end(14_999, 2)).expect("links were learned");
    assert!((rate - 1e5).abs() < 1e3, "{rate}");
}
