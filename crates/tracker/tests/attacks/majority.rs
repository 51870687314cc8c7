//! Many free keys that say the same.

use super::*;
use peeredge_attacks::Attack;

#[test]
fn liars_that_claim_everything_do_not_hide_the_relays_node() {
    for liars in [2, 16, 100] {
        let mut place = Place::new();
        relays_node(&mut place, &[content(1)]);
        for n in 0..liars {
            let liar = join(&mut place, n, STRANGER);
            place.announce(liar.conn, content(1), 1000, 0);
        }
        let met = (0..20).filter(|n| newcomer(&mut place, 5000 + n, content(1)).contains(&id(RELAY_KEY)));
        let met = met.count();
        Attack::new("tracker", "majority", "keys of one network claim to hold what the relay publishes")
            .spent(format!("{liars} keys, {liars} frames"))
            .lost(format!("nothing: {met} of 20 newcomers are told of the relay's node"))
            .end(met == 20);
    }
}

#[test]
fn liars_of_many_networks_do_not_hide_it_either() {
    let mut place = Place::new();
    relays_node(&mut place, &[content(1)]);
    for n in 0..50 {
        let liar = join(&mut place, n, STRANGER + u64::from(n));
        place.announce(liar.conn, content(1), 1000, 0);
    }
    let met = (0..20).filter(|n| newcomer(&mut place, 5000 + n, content(1)).contains(&id(RELAY_KEY))).count();
    Attack::new("tracker", "majority", "fifty networks claim to hold what the relay publishes")
        .spent("50 networks, 50 frames")
        .lost(format!("nothing: {met} of 20 newcomers are told of the relay's node"))
        .end(met == 20);
}

#[test]
fn accomplices_that_bear_liars_out_hide_it_for_seconds_only() {
    let mut place = Place::new();
    relays_node(&mut place, &[content(1)]);
    // Three networks bear each other out: that many copies are counted.
    let mut liars: Vec<Peer> = (0..3).map(|n| join(&mut place, n, STRANGER + u64::from(n))).collect();
    for liar in &liars {
        place.announce(liar.conn, content(1), 999, 8);
    }
    place.pass(2_000);
    let ids: Vec<PeerId> = liars.iter().map(|liar| peer_id(liar.n)).collect();
    for liar in &mut liars {
        for sender in &ids {
            let word = receipt(liar, *sender, content(1), 100 << 20, 1_000_000);
            place.say(liar.conn, &word);
        }
    }
    let victim = join(&mut place, 5000, 5000);
    place.announce(victim.conn, content(1), 0, 8);
    let first = told(&mut place, &victim);
    let mut after_s = 0;
    let mut reached = first.contains(&id(RELAY_KEY));
    while !reached && after_s < 120 {
        place.pass(1_000);
        after_s += 1;
        place.announce(victim.conn, content(1), 0, 8);
        reached = told(&mut place, &victim).contains(&id(RELAY_KEY));
    }
    Attack::new("tracker", "majority", "three networks sign for each other and give a newcomer nothing")
        .spent("3 networks, 6 receipts")
        .lost(format!("a newcomer is told of the relay's node after {after_s} s"))
        .end(reached && after_s <= 15);
}

#[test]
fn one_network_gets_a_third_of_the_introductions_at_most() {
    let mut place = Place::new();
    holders(&mut place, 10, content(1));
    let mut liars = BTreeSet::new();
    for n in 0..300 {
        let liar = join(&mut place, n, STRANGER);
        place.announce(liar.conn, content(1), 1000, 0);
        liars.insert(peer_id(n));
    }
    let (mut of_liars, mut all, mut worst) = (0, 0, 0.0f64);
    for n in 0..40 {
        let met = newcomer(&mut place, 5000 + n, content(1));
        let theirs = met.iter().filter(|peer| liars.contains(peer)).count();
        (of_liars, all) = (of_liars + theirs, all + met.len());
        worst = worst.max(theirs as f64 / met.len().max(1) as f64);
    }
    Attack::new("tracker", "majority", "300 keys of one network beside ten honest holders")
        .spent("300 keys, 300 frames")
        .lost(format!("{of_liars} of {all} introductions, {worst:.2} of the worst answer"))
        .end(all >= 160 && worst <= 0.34);
}

#[test]
fn one_network_gets_a_third_of_all_answers_to_one_that_asks_again() {
    let mut place = Place::new();
    holders(&mut place, 3, content(1));
    for n in 0..100 {
        let liar = join(&mut place, n, STRANGER);
        place.announce(liar.conn, content(1), 1000, 0);
    }
    let victim = join(&mut place, 5000, 5000);
    let mut met = Vec::new();
    for wait_ms in [1_000, 2_000, 4_000, 8_000] {
        place.announce(victim.conn, content(1), 0, 8);
        met.extend(told(&mut place, &victim));
        place.pass(wait_ms);
    }
    let honest = met.iter().filter(|peer| (0..3).any(|n| **peer == peer_id(10_000 + n))).count();
    Attack::new("tracker", "majority", "a hundred keys of one network beside three honest holders")
        .spent("100 keys, 100 frames")
        .lost(format!(
            "{} of {} introductions of the first quarter of a minute",
            met.len() - honest,
            met.len()
        ))
        .end(honest == 3 && met.len() <= 8);
}

#[test]
fn promises_of_one_network_do_not_raise_its_places() {
    let mut place = Place::new();
    let liar = join(&mut place, 1, STRANGER);
    place.announce(liar.conn, content(1), 1000, 0);
    let before = place.tracker.terms(liar.conn).expect("it is here").places;
    for n in 0..20 {
        let mut friend = join(&mut place, 10 + n, STRANGER + 1);
        place.announce(friend.conn, content(1), 0, 8);
        for _ in 0..3 {
            place.pass(1_000);
            let word = receipt(&mut friend, peer_id(1), content(1), u64::MAX, u32::MAX);
            place.say(friend.conn, &word);
        }
    }
    let after = place.tracker.terms(liar.conn).expect("it is here").places;
    Attack::new("tracker", "majority", "twenty keys of one network sign 2^64 bytes for an accomplice")
        .spent("20 keys, 60 receipts")
        .lost(format!("{before} places become {after} of 256"))
        .end(after <= 2 * before);
}
