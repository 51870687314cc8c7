//! A budget of connections is the page's own: what strangers make a node ask of its shell is bounded.

use crate::supply_stage::{Lone, peer};
use crate::world::{World, bytes, publish};
use peeredge_attacks::Attack;
use peeredge_node::{Input, RangeSpec};
use peeredge_wire::relay::FromRelay;
use peeredge_wire::{ContentId, PeerId, RequestId};

/// An honest peer can be met afterwards.
fn still_offers(lone: &mut Lone) -> bool {
    let content = ContentId([77; 32]);
    lone.input(Input::Fetch { request: RequestId(1), content, range: RangeSpec::Whole });
    let before = lone.asked;
    lone.relay(FromRelay::Introduce { content, peer: PeerId([200; 32]), have_permille: 1000 });
    lone.asked == before + 1
}

#[test]
fn signals_of_one_byte_do_not_end_peer_to_peer() {
    let data = bytes(1_000_000, 3);
    let (content, stored) = publish(&data);
    let mut world = World::new();
    let (victim, seeder) = (world.add(|_| {}), world.add(|_| {}));
    world.hold(seeder, content, &stored);
    world.run_until(2, |w| w.peers[victim].node.stats().relay_connected);
    for n in 0..400u64 {
        let offer =
            FromRelay::Signal { from: PeerId([99; 32]), session: (n + 1) << 16, signal: b"x".to_vec() };
        world.input(victim, Input::RelayMessage(offer.encode()));
    }
    let made = world.peers[victim].node.stats().connections_made;
    world.fetch(victim, 1, content, RangeSpec::Whole);
    let done = world.run_until(20, |w| w.finished(victim, 1)) && world.got(victim, 1) == data;
    Attack::new("node", "spending", "sends 400 signals of one byte")
        .spent("1 key, 400 frames")
        .lost(format!("{made} of 400 connections; the next fetch ends: {done}"))
        .end(done && made <= 8);
}

#[test]
fn signals_of_many_keys_leave_the_nodes_own_offers() {
    let mut lone = Lone::new(|_| {});
    // An hour of as many offers as anybody likes.
    let mut frames = 0;
    for minute in 0..60u16 {
        for n in 0..200 {
            lone.offer(minute * 200 + n, 1 << 16);
            frames += 1;
        }
        lone.pass(60_000);
    }
    let asked = lone.asked;
    let offers = still_offers(&mut lone);
    Attack::new("node", "spending", "offers from ever new keys for an hour, and opens nothing")
        .spent(format!("{frames} keys and frames"))
        .lost(format!("{asked} of 400 connections; own offers go on: {offers}"))
        .end(asked <= 300 && offers);
}

#[test]
fn beginning_anew_for_ever_is_bounded() {
    let mut lone = Lone::new(|_| {});
    for n in 0..100u64 {
        lone.stranger(7, (n + 1) << 16);
    }
    let asked = lone.asked;
    lone.pass(70_000);
    let again = lone.stranger(7, 1000 << 16).is_some();
    Attack::new("node", "spending", "opens, greets and begins anew without end")
        .spent("1 key, 100 connections")
        .lost(format!("{asked} connections; a minute later it may come again: {again}"))
        .end(asked <= 6 && again);
}

#[test]
fn sessions_through_the_relay_make_no_connection() {
    let mut lone = Lone::new(|_| {});
    for n in 0..400u16 {
        lone.relay(FromRelay::CarryOpen { from: peer(n), session: 1 << 16, credit_bytes: 1 << 16 });
    }
    let asked = lone.asked;
    let taken = lone.node.stats().peers.len();
    lone.pass(70_000);
    let left = lone.node.stats().peers.len();
    Attack::new("node", "spending", "opens 400 sessions through the relay and says nothing")
        .spent("400 keys, 400 frames")
        .lost(format!("{asked} connections of the shell; {taken} places for seconds, {left} after a minute"))
        .end(asked == 0 && taken <= 20 && left == 0);
}

#[test]
fn lanes_are_offered_for_what_they_carry() {
    let mut lone = Lone::new(|_| {});
    let first = lone.stranger(7, 1 << 16).expect("there is room");
    let mut lanes = 0;
    for n in 1..400u64 {
        if let Some(lane) = lone.offer(7, 1 << 16 | n) {
            lone.open(lane);
            lone.input(Input::Closed { connection: lane });
            lanes += 1;
        }
    }
    let offers = still_offers(&mut lone);
    Attack::new("node", "spending", "opens and closes lanes that carry nothing")
        .spent("1 key, 400 handshakes")
        .lost(format!("{lanes} connections; own offers go on: {offers}"))
        .end(lanes <= 32 && offers && lone.made.contains(&first));
}

#[test]
fn other_peers_leave_a_part_of_the_budget_and_recycling_goes_on() {
    let mut lone = Lone::new(|_| {});
    // Strangers that do all that they may: each opens, and leaves.
    let mut key = 0;
    let mut all = |lone: &mut Lone, rounds: u16| {
        for _ in 0..rounds {
            for _ in 0..16 {
                key += 1;
                if let Some(connection) = lone.stranger(key, 1 << 16) {
                    lone.input(Input::Closed { connection });
                }
            }
            lone.pass(5_000);
        }
    };
    all(&mut lone, 100);
    let of_first = lone.asked;
    let offers = still_offers(&mut lone);
    // The shell recycles what the browser counts.
    lone.input(Input::ConnectionBudget { made_max: 800 });
    all(&mut lone, 100);
    let of_second = lone.asked;
    Attack::new("node", "spending", "opens connections all day and leaves")
        .spent("3,200 keys and handshakes")
        .lost(format!("{of_first} of 400, then {of_second} of 800 once the shell has recycled"))
        .end(of_first == 300 && offers && of_second == 700);
}
