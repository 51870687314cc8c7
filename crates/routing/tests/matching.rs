//! Who is introduced to whom.

use peeredge_routing::matching::{Introduction, MatchSettings, Matcher, Terms};
use peeredge_routing::registry::{Announcement, Member, Registry, RegistryLimits, WHOLE_PERMILLE};
use peeredge_wire::{ContentId, Time};
use std::collections::{BTreeMap, BTreeSet};

const CONTENT: ContentId = ContentId([1; 32]);
const NOW: Time = Time::from_millis(1000);

struct Place {
    registry: Registry,
    matcher: Matcher,
}

impl Place {
    fn new(seed: u64) -> Self {
        let registry = Registry::new(RegistryLimits::default());
        Place { registry, matcher: Matcher::new(MatchSettings::default(), seed) }
    }

    fn announce(&mut self, member: u64, have_permille: u16, wants: u8) {
        let said = Announcement { have_permille, wants, reserve: false };
        self.registry.announce(Member(member), CONTENT, said).expect("far from every bound");
        // In these tests everybody gives what it announces.
        self.registry.bear_out(Member(member), CONTENT);
    }

    fn announce_reserve(&mut self, member: u64) {
        let said = Announcement { have_permille: WHOLE_PERMILLE, wants: 0, reserve: true };
        self.registry.announce(Member(member), CONTENT, said).expect("far from every bound");
    }

    fn sources_for(&mut self, now: Time, member: u64) -> Vec<Introduction> {
        self.sources_suiting(now, member, |_| 1.0)
    }

    fn sources_suiting(
        &mut self,
        now: Time,
        member: u64,
        suits: impl Fn(Member) -> f32,
    ) -> Vec<Introduction> {
        let Place { registry, matcher } = self;
        matcher.sources_for(registry, now, Member(member), CONTENT, 16, |_, _| false, suits, |_| ())
    }

    fn takers_of(&mut self, now: Time, member: u64) -> Vec<Introduction> {
        self.matcher.takers_of(&mut self.registry, now, Member(member), CONTENT, 4, |_, _| false)
    }
}

fn of(introductions: &[Introduction]) -> Vec<u64> {
    introductions.iter().map(|i| i.of.0).collect()
}

#[test]
fn a_lone_peer_is_not_introduced_to_itself() {
    let mut place = Place::new(1);
    place.announce(1, 500, 8);
    assert_eq!(place.sources_for(NOW, 1), []);
    assert_eq!(place.takers_of(NOW, 1), []);
}

#[test]
fn nobody_gets_more_than_it_wants() {
    let mut place = Place::new(1);
    for member in 0..50 {
        place.announce(member, WHOLE_PERMILLE, 0);
    }
    place.announce(99, 0, 5);
    assert_eq!(place.sources_for(NOW, 99).len(), 5);
    assert_eq!(place.sources_for(NOW, 99), [], "its wants are met");
}

#[test]
fn half_are_seeds_and_half_fellow_downloaders() {
    for seed in 0..20 {
        let mut place = Place::new(seed);
        (0..100).for_each(|member| place.announce(member, WHOLE_PERMILLE, 0));
        (100..200).for_each(|member| place.announce(member, 300, 1));
        place.announce(999, 0, 8);
        let chosen = of(&place.sources_for(NOW, 999));
        assert_eq!(chosen.len(), 8);
        assert_eq!(chosen.iter().filter(|m| **m < 100).count(), 4, "seed {seed}: {chosen:?}");
        assert_eq!(
            chosen.iter().collect::<BTreeSet<_>>().len(),
            8,
            "seed {seed}: someone twice in {chosen:?}"
        );
    }
}

#[test]
fn the_same_two_meet_once_in_a_while_whoever_asks() {
    let mut place = Place::new(3);
    place.announce(1, WHOLE_PERMILLE, 0);
    place.announce(2, 100, 4);
    place.announce(3, 100, 4);
    assert_eq!(BTreeSet::from_iter(of(&place.sources_for(NOW, 2))), BTreeSet::from([1, 3]));
    assert_eq!(of(&place.sources_for(NOW, 3)), [1], "2 was already told to offer to 3");
    place.announce(2, 100, 4);
    assert_eq!(of(&place.sources_for(NOW, 2)), []);
    let later = Time::from_millis(1000 + 30_001);
    assert_eq!(of(&place.sources_for(later, 2)).len(), 2, "the first attempt may have failed");
}

#[test]
fn a_holder_of_more_is_preferred() {
    let mut wins = 0;
    for seed in 0..50 {
        let mut place = Place::new(seed);
        place.announce(1, 900, 1);
        place.announce(2, 10, 1);
        place.announce(3, 0, 1);
        wins += u32::from(of(&place.sources_for(NOW, 3)) == [1]);
    }
    assert_eq!(wins, 50);
}

#[test]
fn load_is_spread_far_better_than_by_chance() {
    let mut place = Place::new(5);
    let (holders, takers) = (100, 400);
    (0..holders).for_each(|member| place.announce(member, WHOLE_PERMILLE, 0));
    let mut given: BTreeMap<u64, u32> = BTreeMap::new();
    for taker in 0..takers {
        // Takers come and go, so that each is introduced to seeds alone.
        place.announce(1000 + taker, 0, 2);
        for member in of(&place.sources_for(NOW, 1000 + taker)) {
            *given.entry(member).or_default() += 1;
        }
        place.registry.remove(Member(1000 + taker));
    }
    let most = given.values().max().copied().unwrap_or(0);
    // 8 a holder on average. One blind choice puts about 16 on the unluckiest, two choices 10.
    assert!(most <= 11, "{most}");
    assert_eq!(given.len(), holders as usize, "someone was never asked");
}

#[test]
fn the_operators_peer_serves_only_while_others_hold_little() {
    let mut place = Place::new(7);
    place.announce_reserve(1);
    place.announce(2, 0, 4);
    assert_eq!(of(&place.sources_for(NOW, 2)), [1]);
    place.announce(3, WHOLE_PERMILLE, 0);
    place.announce(4, 0, 4);
    assert!(of(&place.sources_for(NOW, 4)).contains(&1), "one copy is not enough");
    place.announce(5, WHOLE_PERMILLE, 0);
    place.announce(6, 0, 4);
    assert!(!of(&place.sources_for(NOW, 6)).contains(&1), "two copies are");
    place.announce_reserve(7);
    assert_eq!(place.takers_of(NOW, 7), []);
}

#[test]
fn many_empty_fellows_do_not_push_the_operators_peer_out() {
    let mut place = Place::new(8);
    place.announce_reserve(1);
    (10..60).for_each(|member| place.announce(member, 0, 4));
    place.announce(99, 0, 4);
    let chosen = of(&place.sources_for(NOW, 99));
    assert!(chosen.contains(&1) && chosen.len() == 4, "{chosen:?}");
}

#[test]
fn who_waits_hears_of_a_new_holder() {
    let mut place = Place::new(9);
    (10..16).for_each(|member| place.announce(member, 0, 1));
    place.announce(1, WHOLE_PERMILLE, 0);
    let first = place.takers_of(NOW, 1);
    assert_eq!(first.len(), 4);
    assert!(first.iter().all(|i| i.of == Member(1) && i.have_permille == WHOLE_PERMILLE));
    let second = place.takers_of(NOW, 1);
    let told: BTreeSet<u64> = first.iter().chain(&second).map(|i| i.to.0).collect();
    assert_eq!(told, BTreeSet::from_iter(10..16), "each once");
}

#[test]
fn barred_pairs_do_not_meet() {
    let mut place = Place::new(10);
    place.announce(1, WHOLE_PERMILLE, 0);
    place.announce(2, WHOLE_PERMILLE, 0);
    place.announce(3, 0, 4);
    let barred = |to: Member, of: Member| to == Member(3) && of == Member(1);
    let chosen =
        place.matcher.sources_for(&mut place.registry, NOW, Member(3), CONTENT, 4, barred, |_| 1.0, |_| ());
    assert_eq!(of(&chosen), [2]);
    assert_eq!(place.matcher.takers_of(&mut place.registry, NOW, Member(1), CONTENT, 4, barred), []);
}

#[test]
fn the_same_seed_chooses_the_same() {
    let run = |seed| {
        let mut place = Place::new(seed);
        (0..200).for_each(|member| place.announce(member, (member * 5) as u16, 4));
        (0..200).flat_map(|member| of(&place.sources_for(NOW, member))).collect::<Vec<_>>()
    };
    assert_eq!(run(1), run(1));
    assert_ne!(run(1), run(2));
}

const FREE: Terms = Terms { places: 4, cost_per_gb: 0.0, quality: 1.0, owner: None };

#[test]
fn the_operators_peer_serves_those_for_whom_others_have_no_place() {
    let mut place = Place::new(11);
    place.announce_reserve(1);
    (2..5).for_each(|member| place.announce(member, WHOLE_PERMILLE, 0));
    let told = (0..20u64).map(|taker| {
        place.announce(100 + taker, 0, 2);
        of(&place.sources_for(NOW, 100 + taker)).contains(&1)
    });
    let told: Vec<bool> = told.collect();
    // Three holders with four places each, two for each taker.
    // The last two places may be with one holder, and not two places of one taker.
    assert!(told[..5].iter().all(|told| !told) && told[8..].iter().all(|told| *told), "{told:?}");
    while place.matcher.is_behind() {
        place.matcher.go_on(100);
    }
    let picture = place.matcher.picture();
    assert_eq!((picture.asked, picture.served), (40, 40), "{picture:?}");
    assert!(picture.gap < 0.025, "{picture:?}");
    // The second place of most is with a fellow who holds nothing yet: a holder's is worth so much more.
    assert!((0.8..0.9).contains(&picture.prices[2]), "{picture:?}");
}

#[test]
fn who_costs_more_than_the_content_is_worth_is_introduced_to_nobody() {
    let mut place = Place::new(12);
    place.announce(1, WHOLE_PERMILLE, 0);
    place.matcher.set_terms(Member(1), Terms { cost_per_gb: 0.5, ..FREE });
    place.matcher.set_value(CONTENT, 0.4);
    place.announce(2, 0, 4);
    assert_eq!(of(&place.sources_for(NOW, 2)), []);
    assert_eq!(place.takers_of(NOW, 1), []);
    place.matcher.set_value(CONTENT, 0.6);
    assert_eq!(of(&place.sources_for(NOW, 2)), [1]);
}

#[test]
fn the_cheaper_of_two_equals_is_preferred_until_its_places_are_taken() {
    let mut place = Place::new(13);
    for (member, cost_per_gb) in [(1, 0.3), (2, 0.0)] {
        place.announce(member, WHOLE_PERMILLE, 0);
        place.matcher.set_terms(Member(member), Terms { cost_per_gb, ..FREE });
    }
    let first = |place: &mut Place, taker| {
        place.announce(taker, 0, 1);
        of(&place.sources_for(NOW, taker))
    };
    for taker in 10..14 {
        assert_eq!(first(&mut place, taker), [2]);
    }
    assert_eq!(first(&mut place, 14), [1]);
    assert!(place.matcher.price(Member(2)) > 0.2, "{}", place.matcher.price(Member(2)));
}

#[test]
fn who_delivers_badly_comes_behind_who_delivers() {
    let mut place = Place::new(14);
    for (member, quality) in [(1, 0.3), (2, 1.0)] {
        place.announce(member, WHOLE_PERMILLE, 0);
        place.matcher.set_terms(Member(member), Terms { quality, ..FREE });
    }
    place.announce(3, 0, 1);
    assert_eq!(of(&place.sources_for(NOW, 3)), [2]);
}

#[test]
fn the_places_of_who_leaves_are_free_again_and_its_node_is_used_again() {
    let mut place = Place::new(15);
    for round in 0..50 {
        let (holder, taker) = (1000 + round, 2000 + round);
        place.announce(holder, WHOLE_PERMILLE, 0);
        place.announce(taker, 0, 1);
        assert_eq!(of(&place.sources_for(NOW, taker)), [holder]);
        for member in [holder, taker] {
            place.registry.remove(Member(member));
            place.matcher.gone(Member(member));
        }
    }
    let picture = place.matcher.picture();
    assert_eq!((picture.asked, picture.served, picture.sellers), (0, 0, 0));
}

#[test]
fn of_two_holders_who_are_equal_to_others_the_one_that_suits_a_receiver_is_told() {
    let mut place = Place::new(5);
    place.announce(1, WHOLE_PERMILLE, 0);
    place.announce(2, WHOLE_PERMILLE, 0);
    for taker in (100..140).step_by(2) {
        // By turns two kinds of receivers: one is near to 1, the other near to 2.
        for (kind, near) in [1, 2].into_iter().enumerate() {
            let taker = taker + kind as u64;
            place.announce(taker, 0, 1);
            let told = place.sources_suiting(NOW, taker, |of| if of == Member(near) { 1.5 } else { 1.0 });
            assert_eq!(of(&told), [near]);
            place.registry.withdraw(Member(taker), CONTENT);
            place.matcher.gone(Member(taker));
        }
    }
}
