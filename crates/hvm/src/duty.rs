//! How much of a device a visitor gives: consent, a cap on the share of time, and when to pause.

use core::time::Duration;

/// What the device is like now, as far as the shell can tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Conditions {
    /// The page is in the background.
    pub hidden: bool,
    /// The battery's charge in thousandths while it is not being charged; none on mains or unknown.
    pub battery_permille: Option<u16>,
    /// The device computes clearly slower than it did, which is how heat is seen: see [`crate::Meter::backing_off`].
    pub backing_off: bool,
}

/// What the visitor allows of computing. Computing has a consent of its own, apart from that to bandwidth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Duty {
    /// Whether tasks may run at all. Default false.
    pub allowed: bool,
    /// Share of the time in which each worker computes, in thousandths. Default 500.
    pub share_permille: u16,
    /// Whether tasks go on while the page is hidden. Default false.
    pub while_hidden: bool,
    /// No task is taken at or below this charge on battery, in thousandths. Default 300.
    pub battery_min_permille: u16,
}

impl Default for Duty {
    fn default() -> Self {
        Duty { allowed: false, share_permille: 500, while_hidden: false, battery_min_permille: 300 }
    }
}

/// Why no task is taken now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pause {
    /// The visitor did not agree to compute.
    NotAllowed,
    /// The page is in the background.
    Hidden,
    /// The battery is low.
    Battery,
}

impl Duty {
    /// Whether tasks may be taken under these conditions.
    pub fn pause(&self, now: &Conditions) -> Option<Pause> {
        if !self.allowed || self.share_permille == 0 {
            Some(Pause::NotAllowed)
        } else if now.hidden && !self.while_hidden {
            Some(Pause::Hidden)
        } else if now.battery_permille.is_some_and(|charge| charge <= self.battery_min_permille) {
            Some(Pause::Battery)
        } else {
            None
        }
    }

    /// How long a worker rests after it has computed for `worked`, so that its share holds; half the share when the device
    /// backs off, so that it can cool.
    pub fn rest_after(&self, worked: Duration, now: &Conditions) -> Duration {
        let mut share = u64::from(self.share_permille.clamp(1, 1000));
        if now.backing_off {
            share = (share / 2).max(1);
        }
        Duration::from_micros((worked.as_micros() as u64).saturating_mul(1000 - share) / share)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAINS: Conditions = Conditions { hidden: false, battery_permille: None, backing_off: false };

    #[test]
    fn nothing_runs_without_consent_nor_when_hidden_nor_on_a_low_battery() {
        assert_eq!(Duty::default().pause(&MAINS), Some(Pause::NotAllowed));
        let duty = Duty { allowed: true, ..Duty::default() };
        assert_eq!(duty.pause(&MAINS), None);
        assert_eq!(duty.pause(&Conditions { hidden: true, ..MAINS }), Some(Pause::Hidden));
        assert_eq!(duty.pause(&Conditions { battery_permille: Some(300), ..MAINS }), Some(Pause::Battery));
        assert_eq!(duty.pause(&Conditions { battery_permille: Some(301), ..MAINS }), None);
        assert_eq!(Duty { share_permille: 0, ..duty }.pause(&MAINS), Some(Pause::NotAllowed));
    }

    #[test]
    fn rests_keep_the_share_and_a_hot_device_rests_longer() {
        let duty = Duty { allowed: true, share_permille: 250, ..Duty::default() };
        let worked = Duration::from_secs(2);
        assert_eq!(duty.rest_after(worked, &MAINS), Duration::from_secs(6));
        assert_eq!(
            duty.rest_after(worked, &Conditions { backing_off: true, ..MAINS }),
            Duration::from_secs(14)
        );
        let full = Duty { share_permille: 1000, ..duty };
        assert_eq!(full.rest_after(worked, &MAINS), Duration::ZERO);
    }
}
