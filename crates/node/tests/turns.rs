//! Several receivers share an uplink with a cap.

mod world;

use peeredge_node::{Caps, Input, RangeSpec};
use peeredge_wire::peer::PeerMessage;
use world::{World, bytes, publish};

/// Two fetch a content each from one holder, and the second says of all that it wants that it is needed in so many milliseconds. Gives the
/// second one's share of what comes in 15 s, in which neither gets all.
fn share_of_who_says(due_ms: u32) -> f64 {
    let mut world = World::new();
    let (a, b, c) = (world.add(|_| {}), world.add(|_| {}), world.add(|_| {}));
    let contents = [3, 4].map(|seed| publish(&bytes(8 << 20, seed)));
    for (content, stored) in &contents {
        world.hold(a, *content, stored);
    }
    world.input(a, Input::Caps(Caps { upload_bytes_per_s_max: 400_000, ..Caps::default() }));
    world.peers[c].tamper = Some(Box::new(move |frame| {
        let changed = match PeerMessage::decode(&frame) {
            Ok(PeerMessage::Want { content, block, deadline_ms, picks, .. }) => {
                PeerMessage::Want { content, block, deadline_ms, due_ms, picks }.encode()
            }
            _ => frame,
        };
        vec![changed]
    }));
    world.fetch(b, 1, contents[0].0, RangeSpec::Whole);
    world.fetch(c, 1, contents[1].0, RangeSpec::Whole);
    world.run_until(15, |_| false);
    let [first, second] = [b, c].map(|peer| world.peers[peer].node.stats().from_peers_bytes as f64);
    assert!(first + second > 5e6, "{first} {second}");
    second / (first + second)
}

#[test]
fn who_calls_everything_urgent_gets_its_share_and_no_more() {
    let share = share_of_who_says(0);
    assert!((0.45..0.6).contains(&share), "{share}");
}

#[test]
fn what_is_needed_later_waits_for_what_others_need_sooner() {
    let share = share_of_who_says(60_000);
    assert!(share < 0.25, "{share}");
}

#[test]
fn a_cap_of_nothing_refuses_everybody() {
    let mut world = World::new();
    let (a, b) = (world.add(|_| {}), world.add(|_| {}));
    let (content, stored) = publish(&bytes(1 << 20, 5));
    world.hold(a, content, &stored);
    world.input(a, Input::Caps(Caps { upload_bytes_per_s_max: 0, ..Caps::default() }));
    world.fetch(b, 1, content, RangeSpec::Whole);
    world.run_until(5, |_| false);
    assert_eq!(world.peers[a].node.stats().sent_bytes, 0);
    world.input(a, Input::Caps(Caps { upload_bytes_per_s_max: 1_000_000, ..Caps::default() }));
    assert!(world.run_until(10, |w| w.finished(b, 1)), "asked again once the visitor allows it");
}
