//! Replicas follow demand, and the nodes they lie on are used well.

use peeredge_routing::deploy::{Capacity, Decision, Need, Node, Order, Placement, TargetSettings, Targets};
use peeredge_routing::registry::Member;
use peeredge_wire::ContentId;

const SETTINGS: TargetSettings = TargetSettings {
    short_slots: 24,
    long_slots: 168,
    lead_slots: 3,
    fill_slots: 0.5,
    missed: 10.0,
    stays: 1.0,
};

/// Useful bytes over rented bytes, and the share served, over the last `count` slots of a demand.
fn play(demand: &[f64], count: usize) -> (f64, f64, bool) {
    let mut targets = Targets::new(SETTINGS);
    let mut capacity = Capacity::none(SETTINGS.lead_slots);
    let (mut served, mut asked, mut rented) = (0.0, 0.0, 0.0);
    for (slot, seen) in demand.iter().enumerate() {
        if slot + count >= demand.len() {
            served += seen.min(capacity.ready);
            asked += seen;
            rented += capacity.ready;
        }
        targets.observe(*seen);
        let Decision { keep, add } = targets.decide(&capacity);
        rented += if slot + count >= demand.len() { SETTINGS.fill_slots * add } else { 0.0 };
        capacity.step(keep, add);
    }
    (served / rented, served / asked, targets.follows_forecast())
}

fn day(slot: usize) -> f64 {
    1000.0 + 900.0 * libm::sin(slot as f64 / 24.0 * core::f64::consts::TAU)
}

#[test]
fn a_day_that_repeats_is_met_with_little_to_spare() {
    let demand: Vec<f64> = (0..24 * 60).map(day).collect();
    let (u, service, forecasts) = play(&demand, 24 * 21);
    assert!(u > 0.9 && service > 0.985 && forecasts, "{u} {service} {forecasts}");
}

#[test]
fn where_nothing_repeats_the_forecast_is_not_followed_blindly() {
    // Bursts out of nowhere that last a day and a half.
    let mut state = 7u64;
    let mut level = 100.0;
    let demand: Vec<f64> = (0..24 * 80)
        .map(|slot| {
            if slot % 36 == 0 {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                level = if state >> 62 == 0 { 5000.0 } else { 100.0 };
            }
            level
        })
        .collect();
    let (u, service, _) = play(&demand, 24 * 40);
    assert!(service > 0.85 && u > 0.3, "{u} {service}");
}

fn content(n: u8) -> ContentId {
    ContentId([n; 32])
}

fn need(n: u8, keep: f64, add: f64) -> Need {
    Need { content: content(n), bytes: 100, decision: Decision { keep, add } }
}

fn pool(nodes: u64) -> Placement {
    let mut placement = Placement::new(2);
    for n in 0..nodes {
        placement.join(Member(n), Node { upload: 10, storage: 250, domain: (n % 3) as u32 });
    }
    placement
}

#[test]
fn an_order_is_ready_after_the_lead_and_rented_from_the_first() {
    let mut placement = pool(5);
    let orders = placement.step(&[need(1, 0.0, 25.0)]);
    assert_eq!(orders.len(), 3);
    assert_eq!((placement.capacity(content(1)).ready, placement.rented()), (0.0, 30));
    placement.step(&[need(1, 100.0, 0.0)]);
    assert_eq!(placement.capacity(content(1)).ready, 25.0);
}

#[test]
fn replicas_of_one_content_lie_in_different_domains() {
    let mut placement = pool(9);
    let orders = placement.step(&[need(1, 0.0, 30.0)]);
    let mut domains: Vec<u64> = orders
        .iter()
        .map(|o| match o {
            Order::Fill { node, .. } => node.0 % 3,
            Order::Drop { .. } => panic!(),
        })
        .collect();
    domains.sort_unstable();
    assert_eq!(domains, [0, 1, 2]);
}

#[test]
fn small_contents_share_a_node_until_its_storage_is_full() {
    let mut placement = pool(5);
    placement.step(&[need(1, 0.0, 3.0), need(2, 0.0, 3.0)]);
    assert_eq!(placement.rented(), 10);
    placement.step(&[need(1, 9.0, 0.0), need(2, 9.0, 0.0), need(3, 0.0, 3.0)]);
    assert_eq!(placement.rented(), 20, "two contents of 100 bytes fill 250 bytes");
}

#[test]
fn what_is_not_needed_is_given_back_whole_nodes_first_and_taken_again_without_a_fill() {
    let mut placement = pool(5);
    placement.step(&[need(1, 0.0, 20.0), need(2, 0.0, 5.0)]);
    placement.step(&[need(1, 100.0, 0.0), need(2, 100.0, 0.0)]);
    assert_eq!(placement.rented(), 30);
    let orders = placement.step(&[need(1, 10.0, 0.0), need(2, 100.0, 0.0)]);
    assert_eq!((orders.len(), placement.rented()), (1, 20), "{orders:?}");
    assert!(matches!(orders[0], Order::Drop { .. }));
    // Content 2 shrinks and grows on the node it lies on.
    placement.step(&[need(1, 10.0, 0.0), need(2, 2.0, 0.0)]);
    let orders = placement.step(&[need(1, 10.0, 0.0), need(2, 2.0, 4.0)]);
    assert!(orders.is_empty(), "{orders:?}");
    assert_eq!(placement.capacity(content(2)).ready, 6.0);
}

#[test]
fn nodes_that_leave_take_their_replicas_along() {
    let mut placement = pool(3);
    placement.step(&[need(1, 0.0, 30.0)]);
    placement.step(&[need(1, 100.0, 0.0)]);
    placement.leave(Member(1));
    assert_eq!((placement.capacity(content(1)).ready, placement.rented(), placement.nodes()), (20.0, 20, 2));
    placement.leave(Member(1));
    let orders = placement.step(&[need(1, 100.0, 10.0)]);
    assert!(orders.is_empty(), "there is nobody left to ask: {orders:?}");
}
