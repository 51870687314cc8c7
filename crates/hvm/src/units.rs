use core::fmt;
use core::iter::Sum;
use core::ops::{Add, Sub};
use core::time::Duration;

/// A rate in payload bytes a second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BytesPerS(pub u64);

impl BytesPerS {
    /// The rate of `bytes` within `time`; zero when no time has passed, as nothing can be said then.
    pub fn over(bytes: u64, time: Duration) -> Self {
        let micros = time.as_micros();
        if micros == 0 {
            return BytesPerS(0);
        }
        BytesPerS(u64::try_from(u128::from(bytes) * 1_000_000 / micros).unwrap_or(u64::MAX))
    }
}

impl fmt::Display for BytesPerS {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} B/s", self.0)
    }
}

/// A rate of computing in gas a second. Gas is counted by the instrumented module, so it means the same on every device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GasPerS(pub u64);

impl GasPerS {
    /// The rate of `gas` within `time`; zero when no time has passed, as nothing can be said then.
    pub fn over(gas: u64, time: Duration) -> Self {
        GasPerS(BytesPerS::over(gas, time).0)
    }

    /// How long `gas` takes at this rate; the longest duration at rate zero.
    pub fn time_for(self, gas: u64) -> Duration {
        if self.0 == 0 {
            return Duration::MAX;
        }
        let micros = u128::from(gas) * 1_000_000 / u128::from(self.0);
        Duration::from_micros(u64::try_from(micros).unwrap_or(u64::MAX))
    }
}

impl fmt::Display for GasPerS {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} gas/s", self.0)
    }
}

/// The share of the time in which a device is there and working, in thousandths.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Availability(u16);

impl Availability {
    /// Always there.
    pub const FULL: Availability = Availability(1000);

    /// The share `there / all`; none when no time has passed.
    pub fn of(there: Duration, all: Duration) -> Self {
        if all.is_zero() {
            return Availability(0);
        }
        Availability((there.as_micros().min(all.as_micros()) * 1000 / all.as_micros()) as u16)
    }

    /// Thousandths, at most 1000.
    pub fn permille(self) -> u16 {
        self.0
    }
}

/// What a device contributes, in the units in which every device is described, whatever it is made of. Devices are pooled by
/// adding their units up; arithmetic saturates, so that no claim can wrap a sum around.
///
/// ```
/// use peeredge_hvm::{BytesPerS, Units};
/// let tab = Units { up: BytesPerS(500_000), down: BytesPerS(2_000_000), ..Units::default() };
/// let server = Units { up: BytesPerS(10_000_000), down: BytesPerS(10_000_000), ..Units::default() };
/// assert_eq!([tab, server].into_iter().sum::<Units>().up, BytesPerS(10_500_000));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Units {
    /// What it sends to others.
    pub up: BytesPerS,
    /// What it receives from others.
    pub down: BytesPerS,
    /// What it computes, measured by work that was verified.
    pub gas: GasPerS,
    /// Memory that tasks may have, in bytes.
    pub memory_bytes: u64,
    /// Storage that content may have, in bytes.
    pub storage_bytes: u64,
}

impl Units {
    /// What can be counted on from a device that is there for this share of the time.
    pub fn available(self, share: Availability) -> Units {
        let part = |value: u64| (u128::from(value) * u128::from(share.0) / 1000) as u64;
        Units {
            up: BytesPerS(part(self.up.0)),
            down: BytesPerS(part(self.down.0)),
            gas: GasPerS(part(self.gas.0)),
            memory_bytes: part(self.memory_bytes),
            storage_bytes: part(self.storage_bytes),
        }
    }

    /// Whether every unit is at least what `need` asks for.
    pub fn covers(&self, need: &Units) -> bool {
        self.up >= need.up
            && self.down >= need.down
            && self.gas >= need.gas
            && self.memory_bytes >= need.memory_bytes
            && self.storage_bytes >= need.storage_bytes
    }

    fn zip(self, rhs: Units, f: fn(u64, u64) -> u64) -> Units {
        Units {
            up: BytesPerS(f(self.up.0, rhs.up.0)),
            down: BytesPerS(f(self.down.0, rhs.down.0)),
            gas: GasPerS(f(self.gas.0, rhs.gas.0)),
            memory_bytes: f(self.memory_bytes, rhs.memory_bytes),
            storage_bytes: f(self.storage_bytes, rhs.storage_bytes),
        }
    }
}

impl Add for Units {
    type Output = Units;
    fn add(self, rhs: Units) -> Units {
        self.zip(rhs, u64::saturating_add)
    }
}

impl Sub for Units {
    type Output = Units;
    fn sub(self, rhs: Units) -> Units {
        self.zip(rhs, u64::saturating_sub)
    }
}

impl Sum for Units {
    fn sum<I: Iterator<Item = Units>>(devices: I) -> Units {
        devices.fold(Units::default(), Add::add)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_exact_and_never_overflow() {
        assert_eq!(BytesPerS::over(3_000, Duration::from_millis(1_500)), BytesPerS(2_000));
        assert_eq!(BytesPerS::over(1, Duration::ZERO), BytesPerS(0));
        assert_eq!(BytesPerS::over(u64::MAX, Duration::from_micros(1)), BytesPerS(u64::MAX));
        assert_eq!(BytesPerS::over(u64::MAX, Duration::from_secs(1)), BytesPerS(u64::MAX));
    }

    #[test]
    fn an_absurd_claim_saturates_the_pool_and_no_more() {
        let liar = Units { up: BytesPerS(u64::MAX), down: BytesPerS(1), ..Units::default() };
        let tab = Units { up: BytesPerS(5), down: BytesPerS(5), ..Units::default() };
        assert_eq!(liar + tab, Units { up: BytesPerS(u64::MAX), down: BytesPerS(6), ..Units::default() });
        assert_eq!(tab - liar, Units { up: BytesPerS(0), down: BytesPerS(4), ..Units::default() });
    }

    #[test]
    fn a_device_that_is_there_half_the_time_counts_half() {
        let share = Availability::of(Duration::from_secs(30), Duration::from_secs(60));
        assert_eq!(share.permille(), 500);
        let device = Units { gas: GasPerS(u64::MAX), memory_bytes: 7, ..Units::default() };
        let half = device.available(share);
        assert_eq!((half.gas, half.memory_bytes), (GasPerS(u64::MAX / 2), 3));
        assert!(device.covers(&half) && !half.covers(&device));
        assert_eq!(Availability::of(Duration::from_secs(9), Duration::ZERO).permille(), 0);
        assert_eq!(Availability::of(Duration::from_secs(9), Duration::from_secs(3)), Availability::FULL);
    }

    #[test]
    fn the_time_for_gas_is_exact_and_endless_at_rate_zero() {
        assert_eq!(GasPerS(2_000_000).time_for(3_000_000), Duration::from_millis(1_500));
        assert_eq!(GasPerS(0).time_for(1), Duration::MAX);
        assert_eq!(GasPerS(1).time_for(u64::MAX), Duration::from_micros(u64::MAX));
    }
}
