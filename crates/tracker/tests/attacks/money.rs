//! Figures by word: receipts, reports, lengths, and what publishers pay for.

use super::*;
use peeredge_attacks::Attack;
use peeredge_tracker::{AheadSettings, Publisher};
use peeredge_wire::relay::Report;

fn paid_for() -> Place {
    let mut place = Place::with(|config| {
        config.publishers = vec![Publisher {
            name: "victim".into(),
            value_per_gb: 1.0,
            budget_per_day: Some(10.0),
            contents: vec![content(66)],
        }];
    });
    relays_node(&mut place, &[content(1), content(66)]);
    place
}

fn spent(place: &Place) -> f64 {
    place.tracker.stats().purses[0].spent
}

#[test]
fn one_receipt_of_all_the_bytes_there_are() {
    let mut place = paid_for();
    let mut stranger = join(&mut place, 1, STRANGER);
    place.announce(stranger.conn, content(1), 0, 8);
    let word = receipt(&mut stranger, id(RELAY_KEY), content(66), u64::MAX, u32::MAX);
    place.say(stranger.conn, &word);
    let stats = place.tracker.stats();
    let met = newcomer(&mut place, 500, content(66)).contains(&id(RELAY_KEY));
    Attack::new("tracker", "money", "one receipt of 2^64-1 bytes from the relay's node")
        .spent("1 key, 1 introduction, 145 bytes")
        .lost(format!(
            "{} of 10 of a publisher's budget; {} bytes in the figures",
            spent(&place),
            stats.receipted_bytes[1]
        ))
        .end(spent(&place) == 0.0 && stats.purses[0].open && met && stats.receipted_bytes[1] <= 125_000_000);
}

#[test]
fn demand_of_one_network_that_comes_and_goes() {
    const SLOT_MS: u64 = 10_000;
    let fills = |asks: u32, networks: u32| {
        let mut place = Place::with(|config| {
            config.ahead =
                AheadSettings { slot_ms: SLOT_MS as u32, day_slots: 6, week_slots: 12, ..config.ahead };
        });
        let relay = relays_node(&mut place, &[content(1)]);
        place.say(relay, &ToRelay::Length { content: content(1), bytes: 1_000_000 });
        for n in 0..40 {
            let lender = join(&mut place, 1000 + n, 1000 + u64::from(n));
            place.say(lender.conn, &ToRelay::Spare { storage_bytes: 1 << 30, up_bytes_per_s: 250_000 });
        }
        for _ in 0..3 {
            for n in 0..networks {
                for key in 0..asks {
                    let visitor = join(&mut place, key, STRANGER + u64::from(n));
                    for _ in 0..2 {
                        place.announce(visitor.conn, content(1), 0, 4);
                        place.say(visitor.conn, &ToRelay::Withdraw { content: content(1) });
                    }
                    place.leave(visitor.conn);
                }
            }
            place.pass(SLOT_MS);
        }
        place.tracker.stats().ahead.fills
    };
    let (stranger, crowd) = (fills(200, 1), fills(1, 200));
    Attack::new("tracker", "money", "one network wants a content four hundred times in each slot")
        .spent("200 keys, 800 frames a slot")
        .lost(format!("{stranger} peers are asked to fetch it ahead; {crowd} for as many networks"))
        .end(stranger <= fills(4, 1) && stranger < crowd);
}

#[test]
fn plausible_receipts_of_many_keys() {
    let mut place = paid_for();
    for n in 0..50 {
        let mut stranger = join(&mut place, n, STRANGER + u64::from(n));
        place.announce(stranger.conn, content(66), 0, 8);
        for _ in 0..10 {
            place.pass(1_000);
            let word = receipt(&mut stranger, id(RELAY_KEY), content(66), 100_000_000, 1_000_000);
            place.say(stranger.conn, &word);
        }
        place.leave(stranger.conn);
    }
    Attack::new("tracker", "money", "fifty networks sign 50 GB that the relay's node never sent")
        .spent("50 networks, 500 receipts")
        .lost(format!("{} of 10 of a publisher's budget", spent(&place)))
        .end(spent(&place) == 0.0 && place.tracker.stats().purses[0].open);
}

#[test]
fn a_stranger_says_what_only_the_relays_node_may_say() {
    let mut place = paid_for();
    let stranger = join(&mut place, 1, STRANGER);
    place.say(stranger.conn, &ToRelay::Gave { content: content(66), bytes: u64::MAX });
    place.say(stranger.conn, &ToRelay::Length { content: content(66), bytes: u64::MAX });
    let stats = place.tracker.stats();
    Attack::new("tracker", "money", "a stranger says what the relay gave, and how long contents are")
        .spent("1 key, 2 frames")
        .lost("nothing")
        .end(spent(&place) == 0.0 && stats.ahead.contents == 0);
}

#[test]
fn the_relays_own_word_saturates() {
    let mut place = paid_for();
    let relay = place.join(RELAY_KEY);
    for _ in 0..3 {
        place.say(relay, &ToRelay::Gave { content: content(66), bytes: u64::MAX });
        place.say(relay, &ToRelay::Length { content: content(66), bytes: u64::MAX });
    }
    place.pass(900_000);
    let stats = place.tracker.stats();
    assert!(!stats.purses[0].open && stats.purses[0].spent.is_finite());
}

#[test]
fn reports_of_more_than_a_line_can_carry() {
    let mut place = Place::new();
    let stranger = join(&mut place, 1, STRANGER);
    let all = u64::MAX;
    let report = Report {
        sent_bytes: all,
        from_peers_bytes: all,
        from_relay_bytes: all,
        from_http_bytes: all,
        wasted_bytes: all,
        channels: u16::MAX,
    };
    for _ in 0..10 {
        place.pass(100);
        place.say(stranger.conn, &ToRelay::Report(report));
    }
    let stats = place.tracker.stats();
    let sums = [
        stats.reported.sent_bytes,
        stats.reported.from_peers_bytes,
        stats.reported.from_relay_bytes,
        stats.reported.from_http_bytes,
        stats.reported.wasted_bytes,
    ];
    Attack::new("tracker", "money", "ten reports of 2^64-1 bytes in a second")
        .spent("1 key, 10 frames")
        .lost(format!("{sums:?} bytes and {} channels in the figures", stats.reported.channels))
        .end(sums.iter().all(|sum| *sum <= 125_000_000) && stats.reported.channels <= 512);
}

#[test]
fn receipts_of_more_than_a_line_can_carry() {
    let mut place = Place::new();
    let holder = holders(&mut place, 1, content(1))[0];
    let mut stranger = join(&mut place, 1, STRANGER);
    place.announce(stranger.conn, content(1), 0, 8);
    for _ in 0..5 {
        let word = receipt(&mut stranger, peer_id(holder.n), content(1), u64::MAX, u32::MAX);
        place.say(stranger.conn, &word);
    }
    let receipted = place.tracker.stats().receipted_bytes[0];
    Attack::new("tracker", "money", "five receipts of 2^64-1 bytes at once")
        .spent("1 key, 5 frames")
        .lost(format!("{receipted} bytes in the figures, one second of a line for each"))
        .end(receipted <= 5 * 125_000_000);
}

#[test]
fn receipts_for_somebody_never_met_and_of_another_connection() {
    let mut place = Place::new();
    let all = holders(&mut place, 2, content(1));
    let mut stranger = join(&mut place, 1, STRANGER);
    let never_met = receipt(&mut stranger, peer_id(all[0].n), content(1), 1000, 1);
    place.say(stranger.conn, &never_met);
    place.announce(stranger.conn, content(1), 0, 8);
    let good = receipt(&mut stranger, peer_id(all[0].n), content(1), 1000, 1);
    place.say(stranger.conn, &good);
    place.say(stranger.conn, &good);
    place.leave(stranger.conn);
    let mut again = join(&mut place, 1, STRANGER);
    place.announce(again.conn, content(1), 0, 8);
    again.epoch = 10;
    place.say(again.conn, &good);
    let stats = place.tracker.stats();
    Attack::new("tracker", "replay", "receipts for somebody never met, twice, and of another connection")
        .spent("1 key, 4 receipts")
        .lost("nothing")
        .end((stats.receipts, stats.receipts_refused) == (1, 3));
}

#[test]
fn reports_and_receipts_of_many_keys_of_one_network() {
    let mut place = Place::new();
    let holder = holders(&mut place, 1, content(1))[0];
    let mut strangers: Vec<Peer> = (0..100).map(|n| join(&mut place, n, STRANGER)).collect();
    // A holder meets so many of one network in an hour.
    strangers.iter().take(20).for_each(|stranger| place.introduce(stranger.conn, holder.conn));
    let all = Report {
        sent_bytes: u64::MAX,
        from_peers_bytes: u64::MAX,
        from_relay_bytes: u64::MAX,
        from_http_bytes: u64::MAX,
        wasted_bytes: u64::MAX,
        channels: u16::MAX,
    };
    place.pass(1_000);
    for stranger in &mut strangers {
        place.say(stranger.conn, &ToRelay::Report(all));
        let word = receipt(stranger, peer_id(holder.n), content(1), u64::MAX, u32::MAX);
        place.say(stranger.conn, &word);
    }
    let honest = join(&mut place, 500, 1);
    place.pass(1_000);
    place.say(honest.conn, &ToRelay::Report(Report { sent_bytes: 1_000_000, ..Report::default() }));
    let stats = place.tracker.stats();
    let r = stats.reported;
    let line = 125_000_000;
    let sums = [r.from_peers_bytes, r.from_relay_bytes, r.from_http_bytes, r.wasted_bytes];
    Attack::new("tracker", "money", "a hundred keys of one network report all the bytes there are")
        .spent("100 keys, 200 frames")
        .lost(format!(
            "{} and {sums:?} bytes in the figures, {} receipted",
            r.sent_bytes, stats.receipted_bytes[0]
        ))
        .end(
            r.sent_bytes == line + 1_000_000
                && r.channels <= 4096
                && sums.iter().all(|sum| *sum <= line)
                && stats.receipted_bytes[0] <= 2 * line,
        );
}

#[test]
fn keys_of_one_network_report_one_after_the_other() {
    let mut place = Place::new();
    for n in 0..20 {
        let stranger = join(&mut place, n, STRANGER);
        place.pass(1_000);
        let report = Report { sent_bytes: u64::MAX, from_peers_bytes: u64::MAX, ..Report::default() };
        place.say(stranger.conn, &ToRelay::Report(report));
    }
    let pooled = place.tracker.stats().pooled;
    Attack::new(
        "tracker",
        "money",
        "twenty keys of one network each report a full line, one after the other",
    )
    .spent("20 keys, 20 reports")
    .lost(format!("{} bytes a second in the figures", pooled.up.0))
    .end(pooled.up.0 <= 125_000_000 && pooled.down.0 <= 125_000_000);
}
