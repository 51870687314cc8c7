//! Peers that offered room are asked to hold what will be wanted, and nobody else is.

mod support;

use peeredge_tracker::{AheadSettings, ConnId};
use peeredge_wire::relay::{FromRelay, Report, ToRelay};
use support::{Place, RELAY_KEY, content};

const BYTES: u64 = 1_000_000;
const SLOT_MS: u64 = 10_000;

fn place() -> Place {
    let mut place = Place::with(|config| {
        config.ahead = AheadSettings {
            slot_ms: SLOT_MS as u32,
            day_slots: 6,
            week_slots: 12,
            ..AheadSettings::default()
        };
    });
    let relay = place.join(RELAY_KEY);
    place.say(relay, &ToRelay::Length { content: content(1), bytes: BYTES });
    place
}

/// Lets `visitors` come, want content 1 and go; then the slot ends.
fn slot(place: &mut Place, visitors: u8) {
    for n in 0..visitors {
        let conn = place.join(100 + n);
        place.announce(conn, content(1), 0, 4);
        place.leave(conn);
    }
    place.pass(SLOT_MS);
}

fn spare(place: &mut Place, conn: ConnId, storage_bytes: u64) {
    place.say(conn, &ToRelay::Spare { storage_bytes, up_bytes_per_s: 250_000 });
}

#[test]
fn a_peer_that_offered_room_is_asked_once_and_released_when_demand_has_gone() {
    let mut place = place();
    let (idle, silent) = (place.join(1), place.join(2));
    spare(&mut place, idle, 10 * BYTES);
    for _ in 0..3 {
        slot(&mut place, 2);
    }
    assert_eq!(place.read(idle), [FromRelay::Prefetch { content: content(1) }]);
    assert_eq!(place.read(silent), []);
    // What the holder itself wants in order to hold it is no demand.
    place.announce(idle, content(1), 0, 4);
    place.read(idle);
    for _ in 0..60 {
        slot(&mut place, 0);
    }
    assert_eq!(place.read(idle).last(), Some(&FromRelay::Release { content: content(1) }));
    assert_eq!(place.tracker.stats().ahead.rented_bytes_per_s, 0);
}

#[test]
fn who_takes_its_offer_back_or_has_no_room_is_not_asked() {
    let mut place = place();
    let (back, small) = (place.join(1), place.join(2));
    spare(&mut place, back, 10 * BYTES);
    spare(&mut place, small, BYTES - 1);
    spare(&mut place, back, 0);
    for _ in 0..3 {
        slot(&mut place, 2);
    }
    assert_eq!((place.read(back), place.read(small)), (vec![], vec![]));
    assert_eq!(place.tracker.stats().ahead.nodes, 1);
}

#[test]
fn a_stranger_cannot_name_contents_that_others_are_to_hold() {
    let mut place = place();
    let (idle, stranger) = (place.join(1), place.join(2));
    spare(&mut place, idle, 100 * BYTES);
    place.say(stranger, &ToRelay::Length { content: content(2), bytes: BYTES });
    for n in 0..3 {
        let conn = place.join(50 + n);
        place.announce(conn, content(2), 0, 4);
        place.pass(SLOT_MS);
    }
    assert_eq!(place.read(idle), []);
}

#[test]
fn use_is_what_holders_sent_over_what_was_rented() {
    let mut place = place();
    let idle = place.join(1);
    spare(&mut place, idle, 10 * BYTES);
    let sent = |bytes| ToRelay::Report(Report { sent_bytes: bytes, ..Report::default() });
    place.say(idle, &sent(777));
    slot(&mut place, 2);
    slot(&mut place, 2);
    place.say(idle, &sent(1_000_000));
    slot(&mut place, 2);
    let ahead = place.tracker.stats().ahead;
    assert_eq!((ahead.served_bytes, ahead.fills, ahead.fill_bytes), (1_000_000, 1, BYTES), "{ahead:?}");
    assert_eq!(ahead.rented_bytes % 2_500_000, 0);
    assert!(ahead.rented_bytes >= 2_500_000, "{ahead:?}");
}
