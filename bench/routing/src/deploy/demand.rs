//! What is asked for, slot by slot, from traces.

use crate::{data, report::Report};

/// One content's demand.
pub struct Demand {
    pub name: String,
    /// Bytes a slot, in a unit of the trace's own.
    pub slots: Vec<f64>,
    /// Slots of the short and the long season.
    pub day_slots: usize,
    pub week_slots: usize,
    /// The first slot that counts; those before it are there to learn from.
    pub from: usize,
}

impl Demand {
    /// How much of the variance last week explains, over the whole trace; 0 when it is shorter than four weeks.
    pub fn weekly(&self) -> f64 {
        let seen = &self.slots;
        if seen.len() < 4 * self.week_slots {
            return 0.0;
        }
        let mean = seen.iter().sum::<f64>() / seen.len() as f64;
        let (mut left, mut all) = (0.0, 0.0);
        for (at, value) in seen.iter().enumerate().skip(self.week_slots) {
            left += (value - seen[at - self.week_slots]).powi(2) / 2.0;
            all += (value - mean).powi(2);
        }
        1.0 - left / f64::max(all, 1e-9)
    }
}

/// All demands in the data folder.
pub fn all(report: &mut Report, quick: bool) -> Vec<Demand> {
    let mut found = Vec::new();
    for file in data::list("demand", "nab", ".tar.xz") {
        for (name, bytes) in data::archive(&file).unwrap_or_default() {
            let wanted = ["realKnownCause", "realTweets", "elb_"].iter().any(|part| name.contains(part));
            if wanted && name.ends_with(".csv") {
                found.extend(half_hours(&name, &String::from_utf8_lossy(&bytes)));
            }
        }
        report.read(file);
    }
    for file in data::list("demand", "prophet", ".csv.gz") {
        found.extend(days(&file, &data::lines(&file).unwrap_or_default()));
        report.read(file);
    }
    if quick {
        found.retain(|demand| {
            demand.name.contains("taxi") || demand.name.contains("AAPL") || demand.name.contains("wp_log")
        });
    }
    found
}

/// Seconds since some day of a "2014-07-01 00:30:00".
fn seconds(stamp: &str) -> Option<i64> {
    let mut parts = stamp.trim_matches('"').split(['-', ' ', ':']).map(|part| part.parse::<i64>().ok());
    let mut next = || parts.next().flatten();
    let (year, month, day) = (next()?, next()?, next()?);
    let (hour, minute) = (next().unwrap_or(0), next().unwrap_or(0));
    // Days from civil (Hinnant).
    let y = if month <= 2 { year - 1 } else { year };
    let era = y.div_euclid(400);
    let of_era = y - era * 400;
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let days = era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year;
    Some(days * 86_400 + hour * 3600 + minute * 60)
}

fn rows(lines: impl Iterator<Item = String>) -> Vec<(i64, f64)> {
    lines
        .filter_map(|line| {
            let (stamp, value) = line.split_once(',')?;
            Some((seconds(stamp)?, value.trim().parse().ok()?))
        })
        .collect()
}

/// Sums by half hour; a half hour without rows repeats the one before.
fn half_hours(name: &str, text: &str) -> Option<Demand> {
    let slots = sums(&rows(text.lines().map(str::to_owned)), 1800)?;
    demand(name, slots, 48, 336)
}

fn days(name: &str, lines: &[String]) -> Option<Demand> {
    let views: Vec<(i64, f64)> =
        rows(lines.iter().cloned()).into_iter().map(|(at, ln)| (at, ln.exp())).collect();
    demand(name, sums(&views, 86_400)?, 7, 364)
}

fn sums(rows: &[(i64, f64)], slot_s: i64) -> Option<Vec<f64>> {
    let first = rows.iter().map(|row| row.0 / slot_s).min()?;
    let mut slots: Vec<Option<f64>> = Vec::new();
    for (at, value) in rows {
        let at = usize::try_from(at / slot_s - first).ok()?;
        if slots.len() <= at {
            slots.resize(at + 1, None);
        }
        *slots[at].get_or_insert(0.0) += value;
    }
    let mut last = 0.0;
    Some(slots.into_iter().map(|slot| *slot.inspect(|value| last = *value).get_or_insert(last)).collect())
}

fn demand(name: &str, slots: Vec<f64>, day_slots: usize, week_slots: usize) -> Option<Demand> {
    let name = name.rsplit('/').next()?.split('.').next()?.to_owned();
    let from = (slots.len() / 3).max((week_slots * 3 / 2).min(slots.len() / 2));
    Some(Demand { name, slots, day_slots, week_slots, from })
}
