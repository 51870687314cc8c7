//! What a content is worth decides who serves it, and a budget how much of it the relay sends.

mod support;

use peeredge_tracker::{Publisher, TrackerInput};
use peeredge_wire::relay::ToRelay;
use support::{Place, RELAY_KEY, content, id};

const GB: u64 = 1_000_000_000;

fn place(value_per_gb: f32, budget_per_day: Option<f32>) -> Place {
    let mut place = Place::with(|config| {
        config.matching.reserve.cost_per_gb = 0.5;
        config.cost_classes = vec![0.0, 0.3];
        config.publishers = vec![Publisher {
            name: "alice".into(),
            value_per_gb,
            budget_per_day,
            contents: vec![content(1)],
        }];
    });
    let relay = place.join(RELAY_KEY);
    place.relay = relay;
    for n in [1, 2] {
        place.announce(relay, content(n), 1000, 0);
    }
    place
}

/// Whether a newcomer is told of peer `of`.
fn is_told(place: &mut Place, n: u8, of: u8, content_of: u8) -> bool {
    let conn = place.join(n);
    place.announce(conn, content(content_of), 0, 8);
    place.introduced(conn).contains(&id(of))
}

#[test]
fn the_relay_does_not_serve_what_is_worth_less_than_it_costs() {
    let mut place = place(0.4, None);
    assert!(!is_told(&mut place, 1, RELAY_KEY, 1));
    assert!(is_told(&mut place, 2, RELAY_KEY, 2), "the others' value is 1");
}

#[test]
fn a_dear_peer_is_told_of_only_where_it_is_worth_it() {
    for (value, expected) in [(0.2, false), (2.0, true)] {
        let mut place = place(value, None);
        let dear = place.join(1);
        place.input(TrackerInput::CostClass { conn: dear, class: 1 });
        place.announce(dear, content(1), 1000, 0);
        assert_eq!(is_told(&mut place, 2, 1, 1), expected, "value {value}");
    }
}

#[test]
fn a_budget_that_is_spent_keeps_the_relay_out_until_more_has_come_in() {
    // A quarter of 8 can be saved: 4 GB at 0.5.
    let mut place = place(1.0, Some(8.0));
    assert!(is_told(&mut place, 1, RELAY_KEY, 1));
    let relay = place.relay;
    place.say(relay, &ToRelay::Gave { content: content(1), bytes: 5 * GB });
    let stats = place.tracker.stats();
    assert!((stats.purses[0].spent - 2.5).abs() < 1e-6 && !stats.purses[0].open, "{:?}", stats.purses);
    assert!(!is_told(&mut place, 2, RELAY_KEY, 1));
    assert!(is_told(&mut place, 3, RELAY_KEY, 2), "another's content");
    // A sixteenth of a day brings 0.5.
    place.pass(86_400_000 / 16 + 60_000);
    assert!(is_told(&mut place, 4, RELAY_KEY, 1));
}
