//! Where the narrowest place is, told from what arrives: links of the simulator with greedy senders, so that the truth is known.

use crate::dice::Dice;
use crate::link::{Access, Lane};
use crate::scenario::Link;
use core::time::Duration;
use peeredge_routing::{Chain, Limit, Pipe, RateEstimator};
use peeredge_wire::Time;
use std::collections::BTreeMap;

const MESSAGE_BYTES: usize = 16 << 10;
const SEEDS: u64 = 100;

struct Case {
    receiver: Link,
    senders: Vec<(Link, usize)>,
    /// Bytes a second, in bursts, that others send through each sender's uplink, and that others send to the receiver.
    elsewhere: (u64, u64),
}

enum Happens {
    Ask(usize),
    Reached(usize),
    Delivered(usize),
    Burst(Option<usize>),
    Other(Option<usize>),
}

/// Plays ten seconds; gives what bounds each channel, the senders' in turn.
fn play(seed: u64, case: &Case) -> Vec<Option<Limit>> {
    let mut dice = Dice::new(seed);
    let mut receiver = Access::new(case.receiver);
    let mut senders: Vec<Access> = case.senders.iter().map(|(link, _)| Access::new(*link)).collect();
    let of: Vec<usize> =
        case.senders.iter().enumerate().flat_map(|(at, (_, lanes))| vec![at; *lanes]).collect();
    let mut lanes: Vec<Lane> = of.iter().map(|_| Lane::default()).collect();
    let mut pipes: Vec<(Pipe, RateEstimator, u64)> =
        of.iter().map(|_| (Pipe::new(Time::ZERO), RateEstimator::new(), 0)).collect();
    let mut chain = Chain::new();
    let mut events: BTreeMap<(Time, u64), Happens> = BTreeMap::new();
    let mut number = 0;
    let mut put = |events: &mut BTreeMap<_, _>, at: Time, what: Happens| {
        number += 1;
        events.insert((at, number), what);
    };
    for (lane, sender) in of.iter().enumerate() {
        chain.joined(lane as u32, *sender as u64);
        put(&mut events, Time::ZERO, Happens::Ask(lane));
    }
    (0..senders.len()).for_each(|sender| put(&mut events, Time::ZERO, Happens::Burst(Some(sender))));
    put(&mut events, Time::ZERO, Happens::Burst(None));
    while let Some(((now, _), what)) = events.pop_first() {
        if now > Time::from_millis(10_000) {
            break;
        }
        match what {
            Happens::Ask(lane) => loop {
                let sources = of.len() as u64;
                let (pipe, rate, under_way) = &mut pipes[lane];
                let window = pipe.window_bytes(rate.rate(), None, MESSAGE_BYTES as u64, sources);
                if *under_way + MESSAGE_BYTES as u64 > window {
                    break;
                }
                *under_way += MESSAGE_BYTES as u64;
                let from = &mut senders[of[lane]];
                let asked =
                    now + Duration::from_micros(from.link.latency_micros + case.receiver.latency_micros);
                let journey = lanes[lane].send(asked, &mut dice, from, case.receiver, MESSAGE_BYTES);
                put(&mut events, journey.reached, Happens::Reached(lane));
            },
            Happens::Reached(lane) => {
                put(&mut events, receiver.receive(now, MESSAGE_BYTES), Happens::Delivered(lane));
            }
            Happens::Delivered(lane) => {
                let (pipe, rate, under_way) = &mut pipes[lane];
                *under_way -= MESSAGE_BYTES as u64;
                let busy = pipe.arrived(now, MESSAGE_BYTES as u64);
                rate.fragment(now, MESSAGE_BYTES as u64, busy);
                chain.arrived(now, lane as u32, MESSAGE_BYTES as u64, true);
                put(&mut events, now, Happens::Ask(lane));
            }
            Happens::Burst(sender) => {
                // Half of the time nothing, and twice as much in the other half, evenly.
                let rate = if sender.is_some() { case.elsewhere.0 } else { case.elsewhere.1 };
                let millis = 200 + dice.below(1500);
                if dice.below(2) == 0 {
                    let messages = 2 * rate * millis / 1000 / MESSAGE_BYTES as u64;
                    for n in 0..messages {
                        let at = now + Duration::from_micros(n * millis * 1000 / messages);
                        put(&mut events, at, Happens::Other(sender));
                    }
                }
                put(&mut events, now + Duration::from_millis(millis), Happens::Burst(sender));
            }
            Happens::Other(Some(sender)) => drop(senders[sender].send(now, MESSAGE_BYTES)),
            Happens::Other(None) => drop(receiver.receive(now, MESSAGE_BYTES)),
        }
    }
    (0..of.len()).map(|lane| chain.limit(lane as u32)).collect()
}

fn link(dice: &mut Dice, up: u64, down: u64, loss_ppm: u32) -> Link {
    Link { up_bytes_per_s: up, down_bytes_per_s: down, latency_micros: 5_000 + dice.below(40_000), loss_ppm }
}

/// Of all seeds: how often the first sender's channels are all judged so, and how often any is judged otherwise.
fn judged(truth: Limit, draw: impl Fn(&mut Dice) -> Case) -> (u64, u64) {
    let (mut right, mut wrong) = (0, 0);
    for seed in 1..=SEEDS {
        let mut dice = Dice::new(seed);
        let case = draw(&mut dice);
        let said = &play(seed, &case)[..case.senders[0].1];
        right += u64::from(said.iter().all(|limit| *limit == Some(truth)));
        wrong += u64::from(said.iter().any(|limit| limit.is_some_and(|limit| limit != truth)));
    }
    (right, wrong)
}

#[test]
fn a_full_downlink_is_told_from_what_its_senders_share() {
    let downlink = |elsewhere_down: u64| {
        move |dice: &mut Dice| {
            let down = 200_000 + dice.below(2_000_000);
            let senders = 2 + dice.below(4);
            let up = down * (2 + dice.below(3)) / senders;
            Case {
                receiver: link(dice, 100_000, down, 0),
                senders: (0..senders).map(|_| (link(dice, up, 1_000_000, 0), 1)).collect(),
                elsewhere: (up / 4, elsewhere_down * down / 4),
            }
        }
    };
    let (right, wrong) = judged(Limit::Downlink, downlink(0));
    assert!(right >= 95 && wrong <= 3, "{right} {wrong}");
    // Others' traffic on the same links makes them wider and narrower.
    let (right, wrong) = judged(Limit::Downlink, downlink(1));
    assert!(right >= 80 && wrong <= 10, "{right} {wrong}");
}

#[test]
fn a_full_uplink_is_told_from_a_full_downlink() {
    let uplink = |cross: u64| {
        move |dice: &mut Dice| {
            let up = 100_000 + dice.below(500_000);
            let senders = 1 + dice.below(4);
            let lanes = 2 + dice.below(3) as usize;
            Case {
                receiver: link(dice, 100_000, up * 8, 0),
                senders: (0..senders)
                    .map(|n| (link(dice, up, 1_000_000, 0), if n == 0 { lanes } else { 1 }))
                    .collect(),
                elsewhere: (cross * up / 3, 0),
            }
        }
    };
    let (right, wrong) = judged(Limit::Uplink, uplink(0));
    assert!(right >= 95 && wrong <= 3, "{right} {wrong}");
    let (right, wrong) = judged(Limit::Uplink, uplink(1));
    assert!(right >= 80 && wrong <= 15, "{right} {wrong}");
}

#[test]
fn lossy_paths_are_told_from_a_full_uplink() {
    let path = |dice: &mut Dice| {
        let senders = 1 + dice.below(4);
        let lanes = 2 + dice.below(3) as usize;
        let loss = 3_000 + dice.below(15_000) as u32;
        Case {
            receiver: link(dice, 100_000, 20_000_000, 0),
            senders: (0..senders)
                .map(|n| (link(dice, 5_000_000, 1_000_000, loss), if n == 0 { lanes } else { 1 }))
                .collect(),
            elsewhere: (1_000_000, 1_000_000),
        }
    };
    let (right, wrong) = judged(Limit::Path, path);
    assert!(right >= 90 && wrong <= 7, "{right} {wrong}");
}
