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

/// What a device contributes, in the units in which every device is described, whatever it is made of. Devices are pooled by
/// adding their units up; arithmetic saturates, so that no claim can wrap a sum around.
///
/// ```
/// use peeredge_hvm::{BytesPerS, Units};
/// let tab = Units { up: BytesPerS(500_000), down: BytesPerS(2_000_000) };
/// let server = Units { up: BytesPerS(10_000_000), down: BytesPerS(10_000_000) };
/// assert_eq!([tab, server].into_iter().sum::<Units>().up, BytesPerS(10_500_000));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Units {
    /// What it sends to others.
    pub up: BytesPerS,
    /// What it receives from others.
    pub down: BytesPerS,
}

impl Add for Units {
    type Output = Units;
    fn add(self, rhs: Units) -> Units {
        Units {
            up: BytesPerS(self.up.0.saturating_add(rhs.up.0)),
            down: BytesPerS(self.down.0.saturating_add(rhs.down.0)),
        }
    }
}

impl Sub for Units {
    type Output = Units;
    fn sub(self, rhs: Units) -> Units {
        Units {
            up: BytesPerS(self.up.0.saturating_sub(rhs.up.0)),
            down: BytesPerS(self.down.0.saturating_sub(rhs.down.0)),
        }
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
        let liar = Units { up: BytesPerS(u64::MAX), down: BytesPerS(1) };
        let tab = Units { up: BytesPerS(5), down: BytesPerS(5) };
        assert_eq!(liar + tab, Units { up: BytesPerS(u64::MAX), down: BytesPerS(6) });
        assert_eq!(tab - liar, Units { up: BytesPerS(0), down: BytesPerS(4) });
    }
}
