//! A list that grows is followed by whoever has its link, and by nobody's word but its publisher's.

use ed25519_dalek::SigningKey;
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
    let (first, entries, _) = numbers(late.take(&writer(1500).head(NOW), Some(NOW)).expect("signed"));
    assert_eq!((first, entries.len()), (1500 - max, LIVE_ENTRIES_MAX));
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
        LiveNews { entries: vec![entry(42)], first: 0, is_new_broadcast: true, ended: false, signed_ms: NOW }
    );
    assert_eq!(reader.take(&writer(9).head(NOW), Some(NOW)), Ok(None));
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
