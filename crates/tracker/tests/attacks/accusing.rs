//! Words against others: blames, "never opened", "nothing came".

use super::*;
use peeredge_attacks::Attack;
use peeredge_wire::relay::Report;

fn blame(place: &mut Place, accuser: &Peer, accused: PeerId) {
    place.say(accuser.conn, &ToRelay::Blame { accused, content: content(1), block: 0 });
}

#[test]
fn two_keys_blame_everybody_they_never_met() {
    let mut place = Place::new();
    let honest = holders(&mut place, 50, content(1));
    let strangers = [1, 2].map(|n| join(&mut place, n, STRANGER));
    for stranger in &strangers {
        honest.iter().for_each(|peer| blame(&mut place, stranger, peer_id(peer.n)));
    }
    let stats = place.tracker.stats();
    let met = newcomer(&mut place, 500, content(1)).len();
    Attack::new("tracker", "accusing", "two keys blame fifty holders that they never met")
        .spent("2 keys, 100 frames of 69 bytes")
        .lost(format!("{} of 50 holders; a newcomer is told of {met}", stats.barred))
        .end(stats.barred == 0 && stats.blames == 0 && met == 8);
}

#[test]
fn twenty_keys_of_one_network_blame_a_holder_that_they_met() {
    let mut place = Place::new();
    let victim = holders(&mut place, 1, content(1))[0];
    for n in 0..20 {
        let stranger = join(&mut place, n, STRANGER);
        place.contact(stranger.conn, victim.conn);
        blame(&mut place, &stranger, peer_id(victim.n));
    }
    let met = newcomer(&mut place, 500, content(1));
    Attack::new("tracker", "accusing", "twenty keys of one network blame a holder that they met")
        .spent("20 keys of one network, 20 handshakes")
        .lost(format!("{} holders; a newcomer is told of {}", place.tracker.stats().barred, met.len()))
        .end(place.tracker.stats().barred == 0 && met == [peer_id(victim.n)]);
}

#[test]
fn one_network_blames_all_that_it_meets() {
    let mut place = Place::new();
    let honest = holders(&mut place, 40, content(1));
    let stranger = join(&mut place, 1, STRANGER);
    for peer in &honest {
        place.contact(stranger.conn, peer.conn);
        blame(&mut place, &stranger, peer_id(peer.n));
    }
    let stats = place.tracker.stats();
    Attack::new("tracker", "accusing", "one network blames all forty that it meets")
        .spent("1 key, 40 handshakes")
        .lost(format!("nobody; {} voices count in an hour", stats.blames))
        .end(stats.blames == 16 && stats.barred == 0);
}

#[test]
fn an_accuser_whose_victim_never_answered_it() {
    let mut place = Place::new();
    let victim = holders(&mut place, 1, content(1))[0];
    for (n, owner) in [(1, STRANGER), (2, STRANGER + 1)] {
        let stranger = join(&mut place, n, owner);
        place.introduce(stranger.conn, victim.conn);
        // Its offers alone make no contact.
        (0..5).for_each(|session| place.signal(stranger.conn, victim.conn, session << 16));
        blame(&mut place, &stranger, peer_id(victim.n));
    }
    Attack::new("tracker", "accusing", "two networks blame one that never answered their offers")
        .spent("2 networks, 2 introductions, 10 signals")
        .lost("nothing")
        .end(place.tracker.stats().barred == 0);
}

#[test]
fn who_is_barred_by_two_networks_still_meets_the_relays_node() {
    let mut place = Place::new();
    relays_node(&mut place, &[content(2)]);
    let victim = holders(&mut place, 1, content(1))[0];
    for (n, owner) in [(1, STRANGER), (2, STRANGER + 1)] {
        let stranger = join(&mut place, n, owner);
        place.contact(stranger.conn, victim.conn);
        blame(&mut place, &stranger, peer_id(victim.n));
    }
    let barred = place.tracker.stats().barred;
    place.announce(victim.conn, content(2), 0, 8);
    let met = told(&mut place, &victim);
    place.pass(601_000);
    Attack::new("tracker", "accusing", "two networks that met a peer bar it")
        .spent("2 networks, 2 handshakes")
        .lost("one peer's introductions to others for ten minutes; it meets the relay's own node")
        .end(barred == 1 && met == [id(RELAY_KEY)] && place.tracker.stats().barred == 0);
}

#[test]
fn nobody_says_never_opened_without_an_offer() {
    let mut place = Place::new();
    let victim = holders(&mut place, 1, content(1))[0];
    for n in 0..60u32 {
        let stranger = join(&mut place, n, STRANGER + u64::from(n % 8));
        place.announce(stranger.conn, content(1), 0, 8);
        place.say(stranger.conn, &ToRelay::Met { peer: peer_id(victim.n), opened_after_ms: None });
        place.leave(stranger.conn);
        place.pass(500);
    }
    let counted = place.tracker.stats().met[1];
    let met = newcomer(&mut place, 500, content(1));
    Attack::new(
        "tracker",
        "accusing",
        "sixty keys of eight networks say that no connection opened, and made no offer",
    )
    .spent("60 keys, 8 networks, 120 frames")
    .lost(format!("{counted} doubts count; newcomers are told of the holder"))
    .end(counted == 0 && met == [peer_id(victim.n)]);
}

#[test]
fn never_opened_is_one_voice_a_network() {
    let mut place = Place::new();
    let victim = holders(&mut place, 1, content(1))[0];
    let mut reports = 0;
    for n in 0..40u32 {
        let stranger = join(&mut place, n, STRANGER + u64::from(n % 3));
        place.announce(stranger.conn, content(1), 0, 8);
        if !told(&mut place, &stranger).is_empty() {
            place.signal(stranger.conn, victim.conn, 1 << 16);
            place.say(stranger.conn, &ToRelay::Met { peer: peer_id(victim.n), opened_after_ms: None });
            reports += 1;
        }
        place.leave(stranger.conn);
    }
    let counted = place.tracker.stats().met[1];
    let met = (0..20).filter(|n| !newcomer(&mut place, 500 + n, content(1)).is_empty()).count();
    Attack::new(
        "tracker",
        "accusing",
        "forty keys of three networks say that no connection to the only holder opened",
    )
    .spent(format!("40 keys, 3 networks, {reports} reports"))
    .lost(format!("{counted} doubts count; {met} of 20 newcomers are told of the holder"))
    .end(counted <= 3 && met == 20);
}

#[test]
fn the_relays_node_cannot_be_doubted_away() {
    let mut place = Place::new();
    let relay = relays_node(&mut place, &[content(1)]);
    for n in 0..60u32 {
        let stranger = join(&mut place, n, STRANGER + u64::from(n));
        place.announce(stranger.conn, content(1), 0, 8);
        place.signal(stranger.conn, relay, 1 << 16);
        place.say(stranger.conn, &ToRelay::Met { peer: id(RELAY_KEY), opened_after_ms: None });
        place.leave(stranger.conn);
    }
    let met = (0..20).filter(|n| newcomer(&mut place, 500 + n, content(1)).contains(&id(RELAY_KEY))).count();
    Attack::new("tracker", "accusing", "sixty networks say that no connection to the relay's node opened")
        .spent("60 keys, 60 networks")
        .lost(format!("nothing: {met} of 20 newcomers are told of it"))
        .end(met == 20);
}

#[test]
fn nothing_came_is_one_voice_a_network() {
    let mut place = Place::new();
    let victim = holders(&mut place, 1, content(1))[0];
    let before = place.tracker.terms(victim.conn).expect("it is here").quality;
    for n in 0..18 {
        let stranger = join(&mut place, n, STRANGER);
        place.announce(stranger.conn, content(1), 0, 1);
        place.signal(stranger.conn, victim.conn, 1 << 16);
        place.signal(victim.conn, stranger.conn, 1 << 16);
        place.say(stranger.conn, &ToRelay::Met { peer: peer_id(victim.n), opened_after_ms: Some(100) });
        place.pass(46_000);
        place.say(stranger.conn, &ToRelay::Report(Report::default()));
        place.leave(stranger.conn);
    }
    let after = place.tracker.terms(victim.conn).expect("it is here").quality;
    Attack::new("tracker", "accusing", "eighteen keys of one network say that nothing came of a holder")
        .spent("18 keys, 18 handshakes, 14 minutes")
        .lost(format!("quality {before} to {after}"))
        .end(after > 0.7 * before);
}

/// Says of each of so many holders that no connection to it opened, as peers of these networks do; `twice` says in between that it did.
/// Gives how many newcomers are told of how many holders in all, before and after.
fn doubts_everybody(networks: u64, twice: bool) -> (usize, usize, u64) {
    let mut place = Place::new();
    let honest = holders(&mut place, 60, content(1));
    let told_of = |place: &mut Place, from: u32| -> usize {
        (0..10).map(|n| newcomer(place, from + n, content(1)).len()).sum()
    };
    let before = told_of(&mut place, 500);
    for network in 0..networks {
        let stranger = join(&mut place, 100 + network as u32, STRANGER + network);
        for round in 0..if twice { 8 } else { 1 } {
            let mut left: BTreeSet<PeerId> = honest.iter().map(|peer| peer_id(peer.n)).collect();
            for _ in 0..40 {
                place.announce(stranger.conn, content(1), 0, 16);
                for peer in told(&mut place, &stranger) {
                    if !left.remove(&peer) {
                        continue;
                    }
                    let victim = honest.iter().find(|holder| peer_id(holder.n) == peer).expect("a holder");
                    place.signal(stranger.conn, victim.conn, 1 << 16);
                    let opened_after_ms = (round % 2 == 1).then_some(100);
                    place.say(stranger.conn, &ToRelay::Met { peer, opened_after_ms });
                }
                place.pass(1_000);
            }
        }
        place.leave(stranger.conn);
    }
    let counted = place.tracker.stats().met[1];
    (before, told_of(&mut place, 600), counted)
}

#[test]
fn a_few_networks_say_of_everybody_that_nothing_opened() {
    for (networks, twice) in [(1, false), (1, true), (4, false), (8, false)] {
        let (before, after, counted) = doubts_everybody(networks, twice);
        Attack::new("tracker", "accusing", "networks say of sixty holders that no connection to them opened")
            .spent(format!("{networks} networks, {counted} doubts"))
            .lost(format!("ten newcomers are told of {after} holders, {before} before"))
            .end(before == 80 && after >= 60 && counted > 40);
    }
}
