//! Budgets that must last.

use peeredge_routing::matching::horizon::{HorizonSettings, Planner};

fn draw(dice: &mut u64, below: u64) -> u64 {
    *dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    (*dice >> 33) % below
}

/// One node with a budget for half of what comes: the worth over that of the best half.
fn share(value: impl Fn(f64, u64) -> f32) -> f64 {
    let n = 4000;
    let mut planner = Planner::new(HorizonSettings::default(), &[n / 2]);
    let (mut dice, mut worth, mut all) = (1, 0.0, Vec::new());
    for i in 0..n {
        let at = f64::from(i) / f64::from(n);
        let value = value(at, draw(&mut dice, 1000));
        all.push(value);
        if planner.arrive(at, value, &[(0, 0.0)], &[0.0]).is_some() {
            worth += f64::from(value);
        }
    }
    all.sort_by(|a, b| b.total_cmp(a));
    worth / all[..n as usize / 2].iter().map(|v| f64::from(*v)).sum::<f64>()
}

#[test]
fn a_budget_goes_to_the_best_half_of_a_steady_demand() {
    let share = share(|_, dice| 0.5 + dice as f32 / 1000.0);
    assert!(share > 0.97, "{share}");
}

#[test]
fn a_budget_waits_for_value_that_rises() {
    let share = share(|at, dice| (1.0 + at as f32) * (0.8 + dice as f32 / 2500.0));
    assert!(share > 0.93, "{share}");
}

#[test]
fn no_budget_is_exceeded() {
    let mut planner = Planner::new(HorizonSettings::default(), &[10, 0]);
    let served = (0..500).filter(|i| {
        let at = planner.arrive(f64::from(*i) / 500.0, 1.0, &[(0, 0.0), (1, 0.0)], &[0.0; 2]);
        assert_ne!(at, Some(1));
        at.is_some()
    });
    assert!(served.count() <= 10);
}
