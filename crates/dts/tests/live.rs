//! A list that grows is followed by whoever has its link, and by nobody's word but its publisher's.

use ed25519_dalek::{Signer, SigningKey};
use peeredge_dts::{LIVE_STALE_MS, LiveEntry, LiveError, LiveNews, LiveReader, LiveWriter};
use peeredge_wire::limits::LIVE_ENTRIES_MAX;
use peeredge_wire::{ContentId, PeerId};
use proptest::prelude::*;

const NOW: u64 = 1_700_000_000_000;

fn key(n: u8) -> SigningKey {
    SigningKey::from_bytes(&[n; 32])
}

fn id(n: u8) -> PeerId {
    PeerId(key(n).verifying_key().to_bytes())
}

fn entry(n: u64) -> LiveEntry {
    LiveEntry { content: ContentId([n as u8; 32]), length: 1000 + n, duration_ms: 2000 }
}

fn writer(count: u64) -> LiveWriter {
    let mut writer = LiveWriter::new(key(1), "match", 77).expect("a name");
    (0..count).for_each(|n| writer.append(entry(n)));
    writer
}

fn reader() -> LiveReader {
    LiveReader::new(id(1), "match")
}

fn numbers(news: Option<LiveNews>) -> (u64, Vec<LiveEntry>, bool) {
    let news = news.expect("something new");
    (news.first, news.entries, news.ended)
}

#[test]
fn a_follower_gets_each_entry_once_and_learns_of_the_end() {
    let (mut writer, mut reader) = (writer(0), reader());
    assert_eq!(numbers(reader.take(&writer.head(NOW), Some(NOW)).expect("signed")), (0, vec![], false));
    for n in 0..200 {
        writer.append(entry(n));
        assert_eq!(
            numbers(reader.take(&writer.head(NOW), Some(NOW)).expect("signed")),
            (n, vec![entry(n)], false)
        );
        assert_eq!(reader.take(&writer.head(NOW), Some(NOW)), Ok(None), "told twice");
    }
    writer.end();
    assert_eq!(numbers(reader.take(&writer.head(NOW), Some(NOW)).expect("signed")), (200, vec![], true));
    assert_eq!(reader.take(&writer.head(NOW), Some(NOW)), Ok(None));
}

#[test]
fn whoever_begins_late_or_misses_many_gets_the_last_ones() {
    let max = LIVE_ENTRIES_MAX as u64;
    let mut late = reader();
    let (first, entries, _) = numbers(late.take(&writer(1000).head(NOW), Some(NOW)).expect("signed"));
    assert_eq!((first, entries.len(), entries[0]), (1000 - max, LIVE_ENTRIES_MAX, entry(1000 - max)));
    let (first, entries, _) = numbers(late.take(&writer(1003).head(NOW), Some(NOW)).expect("signed"));
    assert_eq!((first, entries), (1000, vec![entry(1000), entry(1001), entry(1002)]));
    let news = late.take(&writer(1500).head(NOW), Some(NOW)).expect("signed").expect("something new");
    assert_eq!((news.first, news.entries.len(), news.gap_from), (1500 - max, LIVE_ENTRIES_MAX, Some(1003)));
    let news = late.take(&writer(1500 + max).head(NOW), Some(NOW)).expect("signed").expect("something new");
    assert_eq!((news.first, news.entries.len(), news.gap_from), (1500, LIVE_ENTRIES_MAX, None));
}

#[test]
fn heads_that_come_late_or_twice_are_no_news() {
    let mut reader = reader();
    let heads: Vec<Vec<u8>> = (1..=5).map(|count| writer(count).head(NOW)).collect();
    reader.take(&heads[4], Some(NOW)).expect("signed");
    for head in &heads {
        assert_eq!(reader.take(head, Some(NOW)), Ok(None));
    }
}

#[test]
fn a_publisher_that_rewrites_or_goes_on_behind_its_end_contradicts_itself() {
    let mut other = writer(3);
    other.append(entry(99));
    let mut reader = reader();
    reader.take(&writer(4).head(NOW), Some(NOW)).expect("signed");
    assert_eq!(reader.take(&other.head(NOW), Some(NOW)), Err(LiveError::Forked));
    other.append(entry(4));
    assert_eq!(
        reader.take(&other.head(NOW), Some(NOW)),
        Err(LiveError::Forked),
        "longer, but over another entry"
    );
    let mut ended = writer(5);
    ended.end();
    reader.take(&ended.head(NOW), Some(NOW)).expect("signed");
    assert_eq!(reader.take(&writer(6).head(NOW), Some(NOW)), Err(LiveError::Forked));
    ended.append(entry(5));
    assert_eq!(reader.take(&ended.head(NOW), Some(NOW)), Ok(None), "nothing is added behind the end");
}

#[test]
fn a_head_from_long_ago_is_refused_while_the_broadcast_goes_on_and_its_age_is_told_when_it_has_ended() {
    let (old, fresh) = (writer(3).head(NOW - LIVE_STALE_MS - 1), writer(9).head(NOW - LIVE_STALE_MS));
    assert_eq!(reader().take(&old, Some(NOW)), Err(LiveError::Stale), "by one who begins");
    assert!(reader().take(&old, None).is_ok(), "who has no clock cannot tell");
    let mut follower = reader();
    follower.take(&writer(2).head(NOW), Some(NOW)).expect("signed");
    assert_eq!(follower.take(&old, Some(NOW)), Err(LiveError::Stale), "by one who follows, too");
    assert_eq!(numbers(follower.take(&fresh, Some(NOW)).expect("signed")).1.len(), 7);
    assert!(reader().take(&fresh, Some(NOW - 2 * LIVE_STALE_MS)).is_ok(), "a clock that is slow");
    let mut ended = writer(3);
    ended.end();
    let news =
        reader().take(&ended.head(NOW - 10 * LIVE_STALE_MS), Some(NOW)).expect("signed").expect("news");
    assert_eq!((news.ended, news.signed_ms), (true, NOW - 10 * LIVE_STALE_MS));
}

#[test]
fn a_later_broadcast_takes_over_and_an_earlier_one_never() {
    let mut reader = reader();
    reader.take(&writer(7).head(NOW), Some(NOW)).expect("signed");
    let mut later = LiveWriter::new(key(1), "match", 78).expect("a name");
    later.append(entry(42));
    let news = reader.take(&later.head(NOW), Some(NOW)).expect("signed").expect("something new");
    assert_eq!(
        news,
        LiveNews {
            entries: vec![entry(42)],
            first: 0,
            gap_from: None,
            is_new_broadcast: true,
            ended: false,
            signed_ms: NOW
        }
    );
    assert_eq!(reader.take(&writer(9).head(NOW), Some(NOW)), Ok(None));
}

/// A publisher's second list, which differs at entry `at` and has `count` in all.
fn rewritten(at: u64, count: u64) -> LiveWriter {
    let mut writer = LiveWriter::new(key(1), "match", 77).expect("a name");
    (0..count).for_each(|n| writer.append(if n == at { entry(200) } else { entry(n) }));
    writer
}

#[test]
fn a_second_list_is_found_out_by_all_that_missed_no_more_than_a_head_holds_and_never_joined_by_others() {
    let max = LIVE_ENTRIES_MAX as u64;
    for known in [1, 10, 64, 65, 200] {
        for missed in [1, max - 1, max, max + 1, 1000] {
            let mut reader = reader();
            reader.take(&writer(known).head(NOW), Some(NOW)).expect("signed");
            let told = reader.take(&rewritten(known - 1, known + missed).head(NOW), Some(NOW));
            if missed <= max {
                assert_eq!(told, Err(LiveError::Forked), "{known} known, {missed} missed");
                continue;
            }
            let news = told.expect("signed").expect("something new");
            assert_eq!((news.gap_from, news.first), (Some(known), known + missed - max));
            // It follows the list that it was shown last, and no other.
            let [first, second] = [writer(known + missed + 1), rewritten(known - 1, known + missed + 1)];
            assert_eq!(reader.take(&first.head(NOW), Some(NOW)), Err(LiveError::Forked));
            let news = reader.take(&second.head(NOW), Some(NOW)).expect("signed").expect("something new");
            assert_eq!((news.first, news.entries.len(), news.gap_from), (known + missed, 1, None));
        }
    }
}

/// The publisher's own key, and a list that ends too early for a follower to check: what a head holds is not its publisher's choice.
#[test]
fn a_head_that_holds_fewer_entries_than_it_can_is_none() {
    let mut reader = reader();
    reader.take(&writer(10).head(NOW), Some(NOW)).expect("signed");
    for (count, held) in [(12, 1), (12, 0), (74, 63), (100, 64 - 1), (5, 4), (1, 0)] {
        let other = rewritten(3, count);
        let whole = other.head(NOW);
        let body = &whole[..whole.len() - 64];
        let names = 1 + 32 + 2 + "match".len() + 8 + 8 + 1 + 8;
        let entries = &body[body.len() - held * 44..];
        let body = [&body[..names], &[7; 32], entries].concat();
        let signature = key(1).sign(&[b"peeredge live v2".as_slice(), &body].concat()).to_bytes();
        let told = reader.take(&[body.as_slice(), &signature].concat(), Some(NOW));
        assert!(matches!(told, Err(LiveError::Malformed(_))), "{held} of {count}: {told:?}");
    }
}

#[test]
fn another_key_another_name_and_every_changed_bit_are_refused() {
    let head = writer(3).head(NOW);
    assert_eq!(LiveReader::new(id(2), "match").take(&head, Some(NOW)), Err(LiveError::Foreign));
    assert_eq!(LiveReader::new(id(1), "other").take(&head, Some(NOW)), Err(LiveError::Foreign));
    for bit in 0..head.len() * 8 {
        let mut wrong = head.clone();
        wrong[bit / 8] ^= 1 << (bit % 8);
        assert!(reader().take(&wrong, Some(NOW)).is_err(), "bit {bit}");
    }
    for cut in 0..head.len() {
        assert!(reader().take(&head[..cut], Some(NOW)).is_err(), "cut to {cut}");
    }
    assert!(LiveWriter::new(key(1), "", 1).is_none());
    assert!(LiveWriter::new(key(1), &"x".repeat(256), 1).is_none());
}

proptest! {
    #[test]
    fn whatever_heads_a_follower_sees_in_whatever_order_it_gets_the_list_in_order(
        seen in prop::collection::vec(1..200u64, 1..20)
    ) {
        let mut reader = reader();
        let mut next = None;
        for count in seen {
            if let Some(news) = reader.take(&writer(count).head(NOW), Some(NOW)).expect("signed") {
                prop_assert!(next.is_none_or(|next| news.first >= next));
                prop_assert_eq!(news.gap_from, next.filter(|next| news.first > *next));
                for (at, got) in (news.first..).zip(&news.entries) {
                    prop_assert_eq!(*got, entry(at));
                }
                next = Some(news.first + news.entries.len() as u64);
                prop_assert_eq!(next, Some(count));
            }
        }
    }

    #[test]
    fn no_bytes_are_a_head(bytes in prop::collection::vec(any::<u8>(), 0..500)) {
        prop_assert!(reader().take(&bytes, Some(NOW)).is_err());
    }
}
