//! The registry against a reference model that is too simple to be wrong.

use peeredge_routing::registry::{
    AnnounceError, Announcement, Member, Registry, RegistryLimits, WHOLE_PERMILLE,
};
use peeredge_wire::ContentId;
use proptest::prelude::*;
use std::collections::BTreeMap;

fn content(n: u8) -> ContentId {
    ContentId([n; 32])
}

fn said(have_permille: u16, wants: u8) -> Announcement {
    Announcement { have_permille, wants, reserve: false }
}

#[derive(Clone, Debug)]
enum Step {
    Announce(u64, u8, u16, u8),
    Withdraw(u64, u8),
    Remove(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let have = prop_oneof![Just(0u16), 1..1000u16, Just(WHOLE_PERMILLE)];
    prop_oneof![
        6 => (0..8u64, 0..4u8, have, 0..3u8).prop_map(|(m, c, h, w)| Step::Announce(m, c, h, w)),
        2 => (0..8u64, 0..4u8).prop_map(|(m, c)| Step::Withdraw(m, c)),
        1 => (0..8u64).prop_map(Step::Remove),
    ]
}

proptest! {
    #[test]
    fn any_steps_agree_with_a_plain_map(steps in prop::collection::vec(step(), 1..200)) {
        let limits = RegistryLimits { entries_max: 20, entries_per_member_max: 3 };
        let mut registry = Registry::new(limits);
        let mut model: BTreeMap<(u8, u64), Announcement> = BTreeMap::new();
        for step in steps {
            match step {
                Step::Announce(m, c, have, wants) => {
                    let owned = model.keys().filter(|(_, who)| *who == m).count();
                    let new = !model.contains_key(&(c, m));
                    let result = registry.announce(Member(m), content(c), said(have, wants));
                    if have == 0 && wants == 0 {
                        model.remove(&(c, m));
                        prop_assert!(result.is_ok());
                    } else if new && owned >= 3 {
                        prop_assert_eq!(result, Err(AnnounceError::MemberFull { max: 3 }));
                    } else if new && model.len() >= 20 {
                        prop_assert_eq!(result, Err(AnnounceError::RegistryFull { max: 20 }));
                    } else {
                        let had = model.insert((c, m), said(have, wants)).map_or(0, |s| s.have_permille);
                        let more = (had == 0 && have > 0) || (had < WHOLE_PERMILLE && have == WHOLE_PERMILLE);
                        prop_assert_eq!(result.map(|a| a.more_to_give), Ok(more));
                    }
                }
                Step::Withdraw(m, c) => {
                    prop_assert_eq!(registry.withdraw(Member(m), content(c)), model.remove(&(c, m)).is_some());
                }
                Step::Remove(m) => {
                    let before = model.len();
                    model.retain(|(_, who), _| *who != m);
                    prop_assert_eq!(registry.remove(Member(m)), before - model.len());
                }
            }
            prop_assert_eq!(registry.entries(), model.len());
            let contents: std::collections::BTreeSet<u8> = model.keys().map(|(c, _)| *c).collect();
            prop_assert_eq!(registry.contents(), contents.len());
            for c in 0..4u8 {
                let mut seen: Vec<_> = registry.members_of(content(c)).collect();
                seen.sort_by_key(|(m, _)| *m);
                let expected: Vec<_> =
                    model.iter().filter(|((cc, _), _)| *cc == c).map(|((_, m), s)| (Member(*m), *s)).collect();
                prop_assert_eq!(seen, expected);
                for m in 0..8u64 {
                    prop_assert_eq!(registry.said(Member(m), content(c)), model.get(&(c, m)).copied());
                }
            }
        }
    }
}

#[test]
fn the_operators_own_peer_may_announce_a_whole_library() {
    let mut registry = Registry::new(RegistryLimits { entries_max: 10, entries_per_member_max: 1 });
    let own = Announcement { have_permille: WHOLE_PERMILLE, wants: 0, reserve: true };
    for n in 0..10 {
        assert!(registry.announce(Member(1), content(n), own).is_ok());
    }
    assert_eq!(registry.announce(Member(1), content(10), own), Err(AnnounceError::RegistryFull { max: 10 }));
}
