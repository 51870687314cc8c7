use peeredge_wire::Time;

/// An introduction weighs half as much after so many microseconds: by then its handshake has succeeded or failed.
const HALF_LIFE_MICROS: u64 = 10_000_000;
/// What one introduction weighs when it is fresh.
const FRESH: u32 = 1024;

/// How many introductions somebody took part in of late, the older ones counting less.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Load {
    weight: u32,
    at: Time,
}

impl Load {
    /// One more introduction.
    pub(crate) fn add(&mut self, now: Time) {
        *self = Load { weight: self.at(now).saturating_add(FRESH), at: now };
    }

    /// The weight now, in units of 1/1024 introduction. Halved in whole and linear between: integers, so that it is the same everywhere.
    pub(crate) fn at(&self, now: Time) -> u32 {
        let elapsed = now.since(self.at).as_micros() as u64;
        let halved = self.weight.checked_shr((elapsed / HALF_LIFE_MICROS).min(32) as u32).unwrap_or(0);
        let part = elapsed % HALF_LIFE_MICROS;
        halved - (u64::from(halved) * part / (2 * HALF_LIFE_MICROS)) as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn introductions_fade() {
        let mut load = Load::default();
        load.add(Time::from_millis(0));
        load.add(Time::from_millis(0));
        assert_eq!(load.at(Time::from_millis(0)), 2 * FRESH);
        assert_eq!(load.at(Time::from_millis(5_000)), FRESH + FRESH / 2);
        assert_eq!(load.at(Time::from_millis(10_000)), FRESH);
        assert_eq!(load.at(Time::from_millis(20_000)), FRESH / 2);
        assert_eq!(load.at(Time::NEVER), 0);
    }
}
