//! Whose addresses can be learned: whoever is introduced shows them.

use super::*;
use peeredge_attacks::{Attack, Figure};
use peeredge_wire::relay::ErrorCode;

#[test]
fn one_connection_wants_everybody_for_an_hour() {
    let mut place = Place::new();
    holders(&mut place, 300, content(1));
    let stranger = join(&mut place, 1, STRANGER);
    let mut learned = BTreeSet::new();
    let mut quotas = 0;
    for _ in 0..3600 {
        (0..3).for_each(|_| place.announce(stranger.conn, content(1), 0, 255));
        for frame in place.read(stranger.conn) {
            match frame {
                FromRelay::Introduce { peer, .. } => _ = learned.insert(peer),
                FromRelay::Error { code: ErrorCode::Quota, retry_after_ms, .. } => {
                    assert!((1..=3_600_000).contains(&retry_after_ms));
                    quotas += 1;
                }
                _ => {}
            }
        }
        place.pass(1_000);
    }
    Attack::new("tracker", "listening", "one connection wants everybody for an hour")
        .spent(format!("1 key, 10,800 announces; told {quotas} times that it is enough"))
        .lost(format!("{} addresses of 300", learned.len()))
        .figure(Figure::AddressesAnHour, learned.len() as f64)
        .end(learned.len() <= 60 && (1..=61).contains(&quotas));
}

#[test]
fn two_hundred_keys_of_one_network_want_everybody() {
    let mut place = Place::new();
    holders(&mut place, 300, content(1));
    let mut learned = BTreeSet::new();
    for n in 0..200 {
        let stranger = join(&mut place, n, STRANGER);
        learned.extend(listens(&mut place, &stranger, content(1), 2));
        if n % 2 == 0 {
            place.leave(stranger.conn);
        }
    }
    Attack::new("tracker", "listening", "two hundred keys of one network want everybody")
        .spent("200 keys, 4,800 announces")
        .lost(format!("{} addresses of 300", learned.len()))
        .figure(Figure::AddressesAnHour, learned.len() as f64)
        .end(learned.len() <= 60);
}

#[test]
fn a_false_holder_waits_for_whoever_comes() {
    let mut place = Place::new();
    let liars: Vec<Peer> = (0..20).map(|n| join(&mut place, n, STRANGER)).collect();
    liars.iter().for_each(|liar| place.announce(liar.conn, content(1), 1000, 0));
    // Whoever is told of a liar makes it an offer, and so shows its address.
    let ids: BTreeSet<PeerId> = liars.iter().map(|liar| peer_id(liar.n)).collect();
    let shown =
        (0..200).filter(|n| newcomer(&mut place, 500 + n, content(1)).iter().any(|met| ids.contains(met)));
    let shown = shown.count();
    Attack::new("tracker", "listening", "twenty keys of one network say that they hold what everybody wants")
        .spent("20 keys, 20 announces")
        .lost(format!("{shown} of 200 newcomers show their addresses"))
        .figure(Figure::AddressesAnHour, shown as f64)
        .end(shown <= 60);
}

#[test]
fn takers_that_wait_are_not_all_shown_to_one_network() {
    let mut place = Place::new();
    let takers: Vec<Peer> = (0..200)
        .map(|n| {
            let taker = join(&mut place, 10_000 + n, 10_000 + u64::from(n));
            place.announce(taker.conn, content(1), 0, 255);
            taker
        })
        .collect();
    takers.iter().for_each(|taker| drop(place.read(taker.conn)));
    let mut shown = BTreeSet::new();
    for n in 0..100 {
        let liar = join(&mut place, n, STRANGER);
        for have_permille in [1, 1000, 0] {
            place.announce(liar.conn, content(1), have_permille, 0);
        }
        for taker in &takers {
            if told(&mut place, taker).contains(&peer_id(liar.n)) {
                shown.insert(taker.n);
            }
        }
        place.leave(liar.conn);
    }
    Attack::new(
        "tracker",
        "listening",
        "a hundred keys of one network come and say that they hold what others wait for",
    )
    .spent("100 keys, 300 announces")
    .lost(format!("{} of 200 waiting peers show their addresses", shown.len()))
    .figure(Figure::AddressesAnHour, shown.len() as f64)
    .end(shown.len() <= 60);
}

#[test]
fn two_networks_bear_each_other_out_for_more_addresses() {
    let mut place = Place::new();
    holders(&mut place, 300, content(1));
    let (mut a, mut b) = (join(&mut place, 1, STRANGER), join(&mut place, 2, STRANGER + 1));
    for (n, peer) in [(50, a), (51, b)] {
        place.announce(peer.conn, content(n), 1000, 0);
    }
    place.announce(a.conn, content(51), 0, 1);
    place.announce(b.conn, content(50), 0, 1);
    for _ in 0..10 {
        place.pass(1_000);
        let (to_a, to_b) = (peer_id(a.n), peer_id(b.n));
        let word = receipt(&mut b, to_a, content(50), u64::MAX, u32::MAX);
        place.say(b.conn, &word);
        let word = receipt(&mut a, to_b, content(51), u64::MAX, u32::MAX);
        place.say(a.conn, &word);
    }
    assert!(place.tracker.stats().receipts >= 20);
    place.read(a.conn);
    let learned = listens(&mut place, &a, content(1), 60);
    Attack::new("tracker", "listening", "two networks sign for each other's bytes to learn more addresses")
        .spent("2 networks, 20 receipts of 2^64 bytes, 720 announces")
        .lost(format!("{} addresses of 300 to the one of them", learned.len()))
        .end(learned.len() <= 64);
}

#[test]
fn one_network_cannot_use_up_what_a_holder_may_show() {
    let mut place = Place::new();
    let holder = holders(&mut place, 1, content(1))[0];
    let mut taken = 0;
    for n in 0..200 {
        let stranger = join(&mut place, n, STRANGER);
        place.announce(stranger.conn, content(1), 0, 8);
        taken += usize::from(told(&mut place, &stranger).contains(&peer_id(holder.n)));
        place.leave(stranger.conn);
    }
    let met = (0..30).filter(|n| newcomer(&mut place, 500 + n, content(1)) == [peer_id(holder.n)]).count();
    Attack::new("tracker", "listening", "two hundred keys of one network use up whom a holder may meet")
        .spent("200 keys, 200 announces")
        .lost(format!("{taken} of 60 places in an hour; {met} of 30 newcomers are told of the holder"))
        .end(taken <= 20 && met == 30);
}

#[test]
fn whoever_gives_to_many_networks_may_meet_many() {
    let mut place = Place::new();
    let holder = holders(&mut place, 1, content(1))[0];
    let mut met = 0;
    for n in 0..200 {
        let mut taker = join(&mut place, 500 + n, 1_000_000 + u64::from(n));
        place.announce(taker.conn, content(1), 0, 1);
        if told(&mut place, &taker) == [peer_id(holder.n)] {
            met += 1;
            let word = receipt(&mut taker, peer_id(holder.n), content(1), 2 << 20, 100_000);
            place.say(taker.conn, &word);
        }
        place.leave(taker.conn);
    }
    assert_eq!(met, 200, "an honest seeder of a popular content is not held back");
}

#[test]
fn a_network_that_knows_enough_goes_on_with_those_it_knows() {
    let mut place = Place::new();
    let all = holders(&mut place, 300, content(1));
    let first = join(&mut place, 1, STRANGER);
    let known = listens(&mut place, &first, content(1), 60);
    assert_eq!(known.len(), 60);
    for peer in &all {
        place.announce(peer.conn, content(2), 1000, 0);
    }
    let second = join(&mut place, 2, STRANGER);
    place.announce(second.conn, content(2), 0, 8);
    let met = told(&mut place, &second);
    assert!(met.len() >= 6 && met.iter().all(|peer| known.contains(peer)), "{}", met.len());
}

#[test]
fn a_few_networks_cannot_use_up_what_a_holder_may_show() {
    let mut place = Place::new();
    let victim = holders(&mut place, 1, content(1))[0];
    let mut offers = 0;
    for n in 0..120u32 {
        let stranger = join(&mut place, n, STRANGER + u64::from(n / 20));
        place.announce(stranger.conn, content(1), 0, 8);
        if told(&mut place, &stranger).contains(&peer_id(victim.n)) {
            place.signal(stranger.conn, victim.conn, 1 << 16);
            offers += 1;
        }
    }
    // Reminders and offers are over by then.
    place.pass(11_000);
    let met =
        (0..3).filter(|n| newcomer(&mut place, 500 + n, content(1)).contains(&peer_id(victim.n))).count();
    Attack::new(
        "tracker",
        "listening",
        "six networks make a holder offers until it may learn of no more peers",
    )
    .spent(format!("120 keys of 6 networks, {offers} offers"))
    .lost(format!("{met} of 3 newcomers are told of it"))
    .end(met == 3 && offers <= 57);
}
