//! What a forecaster must foresee, and what must not lead it astray.

use peeredge_routing::forecast::{Event, ForecastSettings, Forecaster};

const DAILY: ForecastSettings = ForecastSettings { short_slots: 24, long_slots: 168, leads_max: 3 };

/// Draws between 0 and 1 (SplitMix64).
fn draws(seed: u64) -> impl FnMut() -> f64 {
    let mut state = seed;
    move || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z >> 11) as f64 / (1u64 << 53) as f64
    }
}

/// A working week: days of 1000 at noon and 100 at night, weekends half of that.
fn week(slot: u64) -> f64 {
    let hour = (slot % 24) as f64;
    let day = 550.0 - 450.0 * libm::cos(hour / 24.0 * core::f64::consts::TAU);
    if slot / 24 % 7 >= 5 { day / 2.0 } else { day }
}

/// Errors of the medians, as factors above 1, over the last 4 of `weeks`, three slots ahead.
fn errors(weeks: u64, mut demand: impl FnMut(u64) -> f64, event: Option<Event>) -> Vec<(u64, f64)> {
    let mut forecaster = Forecaster::new(DAILY);
    if let Some(event) = event {
        forecaster.announce(event);
    }
    let (mut open, mut errors) = (std::collections::VecDeque::new(), Vec::new());
    for slot in 0..weeks * 168 {
        let seen = demand(slot);
        if open.len() == 3 {
            let said: f64 = open.pop_front().unwrap();
            if slot >= (weeks - 4) * 168 {
                errors.push((slot, (seen / said).max(said / seen)));
            }
        }
        forecaster.observe(seen);
        open.push_back(forecaster.forecast(3).unwrap().median());
    }
    errors
}

fn worst(errors: &[(u64, f64)]) -> f64 {
    errors.iter().map(|e| e.1).fold(1.0, f64::max)
}

#[test]
fn a_working_week_is_foreseen_weekends_too() {
    let errors = errors(8, week, None);
    assert!(worst(&errors) < 1.05, "{}", worst(&errors));
}

#[test]
fn growth_on_top_of_the_week_is_foreseen() {
    let errors = errors(10, |slot| week(slot) * (1.0 + slot as f64 / 500.0), None);
    assert!(worst(&errors) < 1.1, "{}", worst(&errors));
}

#[test]
fn an_announced_event_is_foreseen_and_not_expected_again_a_week_later() {
    let event = Event { from_slot: 9 * 168 + 12, slots: 4, kind: 1, factor: 5.0 };
    let inside = |slot: u64| (event.from_slot..event.from_slot + 4).contains(&slot);
    let demand = |slot| if inside(slot) { 5.0 * week(slot) } else { week(slot) };
    let foreseen = errors(12, demand, Some(event));
    assert!(worst(&foreseen) < 1.3, "{}", worst(&foreseen));
    let surprised = errors(12, demand, None);
    assert!(worst(&surprised) > 3.0, "{}", worst(&surprised));
}

#[test]
fn an_event_of_a_known_kind_is_foreseen_better_than_it_was_announced() {
    let events =
        [6 * 168 + 12, 9 * 168 + 12].map(|from_slot| Event { from_slot, slots: 6, kind: 1, factor: 2.0 });
    let mut forecaster = Forecaster::new(DAILY);
    events.iter().for_each(|event| forecaster.announce(*event));
    let inside = |slot: u64| events.iter().any(|e| (e.from_slot..e.from_slot + 6).contains(&slot));
    let mut off = [0.0, 0.0];
    for slot in 0..10 * 168 {
        for (event, off) in events.iter().zip(&mut off) {
            if slot == event.from_slot {
                *off = libm::log(4.0 * week(slot) / forecaster.forecast(1).unwrap().median()).abs();
            }
        }
        forecaster.observe(if inside(slot) { 4.0 * week(slot) } else { week(slot) });
    }
    assert!(off[0] > 0.5 && off[1] < off[0] / 2.0, "{off:?}");
}

#[test]
fn quantiles_hold_what_they_promise() {
    let mut dice = draws(3);
    let mut forecaster = Forecaster::new(DAILY);
    let (mut said, mut below, mut count): (Option<[f64; 3]>, _, _) = (None, [0.0; 3], 0.0);
    for slot in 0..20 * 168 {
        // Nights are steady and noons are wild.
        let wild = if slot % 24 > 6 { 0.4 } else { 0.05 };
        let seen = week(slot) * libm::exp(wild * (dice() + dice() - 1.0));
        if let Some(said) = said.filter(|_| slot >= 5 * 168) {
            count += 1.0;
            below.iter_mut().zip(said).for_each(|(below, said)| *below += f64::from(u8::from(seen <= said)));
        }
        forecaster.observe(seen);
        let next = forecaster.forecast(1).unwrap();
        said = Some([0.1, 0.5, 0.95].map(|share| next.quantile(share)));
    }
    for (below, share) in below.iter().zip([0.1, 0.5, 0.95]) {
        assert!((below / count - share).abs() < 0.03, "{} of {share}", below / count);
    }
}

#[test]
fn nothing_that_demand_does_leads_astray_for_long() {
    let mut dice = draws(9);
    let mut forecaster = Forecaster::new(DAILY);
    assert!(forecaster.forecast(1).is_none());
    for slot in 0..168 * 12u64 {
        let seen = match slot / 168 {
            0..3 => 0.0,
            3 => 1e15 * dice(),
            4..6 => 5.0,
            _ => week(slot) * (0.9 + 0.2 * dice()),
        };
        forecaster.observe(seen);
        for ahead in 1..=3 {
            let said = forecaster.forecast(ahead).unwrap();
            let quantiles = [0.001, 0.5, 0.999].map(|share| said.quantile(share));
            assert!(
                quantiles.iter().all(|q| q.is_finite() && *q >= 0.0) && quantiles.is_sorted(),
                "{slot} {quantiles:?}"
            );
        }
        let (said, comes) = (forecaster.forecast(1).unwrap().median(), week(slot + 1));
        assert!(slot < 168 * 11 || (said / comes).max(comes / said) < 1.6, "{slot}: {said} for {comes}");
    }
    assert!(forecaster.forecast(4).is_none());
    assert!(forecaster.forecast(0).is_none());
}
