//! State: how often strangers return what they take. Keys are free, so what one of them did says nothing of the next; what all did of
//! late says what to expect of one.

/// Runs of late that count.
const OF_LATE: f64 = 64.0;
/// What is asked for at most where one was late.
const COPIES_MAX: u16 = 4;

/// How many of the runs that strangers took came back in time.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct ReturnRate {
    returned: f64,
    missing: f64,
}

impl ReturnRate {
    /// A run is late, or lost.
    pub(crate) fn missing(&mut self) {
        self.missing += 1.0;
        self.forget();
    }

    /// A run came back; `was_missing` says that it was counted as late before.
    pub(crate) fn returned(&mut self, was_missing: bool) {
        self.missing = (self.missing - f64::from(u8::from(was_missing))).max(0.0);
        self.returned += 1.0;
        self.forget();
    }

    fn forget(&mut self) {
        if self.returned + self.missing > OF_LATE {
            (self.returned, self.missing) = (self.returned / 2.0, self.missing / 2.0);
        }
    }

    /// The share of strangers' runs that come back, from 0 to 1; 1 while nothing is known.
    pub(crate) fn rate(&self) -> f64 {
        (self.returned + 1.0) / (self.returned + 1.0 + self.missing)
    }

    /// Whether no more than a quarter come back.
    pub(crate) fn are_rare(&self) -> bool {
        self.rate() <= 0.25
    }

    /// How many others to ask where one is late, so that one of them returns it.
    pub(crate) fn copies(&self) -> u16 {
        (1.0 / self.rate()).round().min(f64::from(COPIES_MAX)) as u16
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_more_are_missing_the_more_are_asked() {
        let mut rate = ReturnRate::default();
        assert_eq!((rate.rate(), rate.copies()), (1.0, 1));
        rate.missing();
        assert_eq!((rate.rate(), rate.copies()), (0.5, 2));
        (0..1000).for_each(|_| rate.missing());
        assert!(rate.rate() < 0.05);
        assert_eq!(rate.copies(), COPIES_MAX);
        (0..200).for_each(|_| rate.returned(false));
        assert!(rate.rate() > 0.9);
        assert_eq!(rate.copies(), 1);
    }

    #[test]
    fn who_was_only_late_is_not_missing() {
        let mut rate = ReturnRate::default();
        (0..20).for_each(|_| rate.missing());
        (0..20).for_each(|_| rate.returned(true));
        assert_eq!((rate.rate(), rate.copies()), (1.0, 1));
    }
}
