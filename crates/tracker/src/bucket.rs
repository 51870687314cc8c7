use peeredge_wire::Time;

/// A token bucket in thousandths of a token, so that slow rates lose nothing to rounding.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bucket {
    milli: u64,
    at: Time,
    per_s: u32,
    burst: u32,
}

impl Bucket {
    pub(crate) fn full(now: Time, per_s: u32, burst: u32) -> Self {
        Bucket { milli: u64::from(burst) * 1000, at: now, per_s, burst }
    }

    /// Milliseconds after which so much as passes at once may pass again, from the last moment on at which something passed.
    pub(crate) fn full_after_ms(&self) -> u32 {
        let lacks_milli = (u64::from(self.burst) * 1000).saturating_sub(self.milli);
        u32::try_from(lacks_milli / u64::from(self.per_s.max(1))).unwrap_or(u32::MAX)
    }

    /// Takes `tokens` if there are as many; nothing otherwise.
    pub(crate) fn take(&mut self, now: Time, tokens: u32) -> bool {
        let gained = u128::from(now.since(self.at).as_micros() as u64) * u128::from(self.per_s) / 1000;
        // Below one thousandth the time stays on the clock, or a fast caller would never see a token grow.
        if gained > 0 {
            let full = u64::from(self.burst) * 1000;
            self.milli = u64::try_from(gained).unwrap_or(u64::MAX).saturating_add(self.milli).min(full);
            self.at = now;
        }
        let cost = u64::from(tokens) * 1000;
        let enough = cost <= self.milli;
        if enough {
            self.milli -= cost;
        }
        enough
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_passes_and_then_the_rate() {
        let mut bucket = Bucket::full(Time::ZERO, 10, 5);
        let taken =
            |bucket: &mut Bucket, ms| (0..100).filter(|_| bucket.take(Time::from_millis(ms), 1)).count();
        assert_eq!(taken(&mut bucket, 0), 5);
        assert_eq!(taken(&mut bucket, 100), 1);
        assert_eq!(taken(&mut bucket, 400), 3);
        assert_eq!(taken(&mut bucket, 1_000_000), 5);
    }

    #[test]
    fn asking_every_microsecond_does_not_starve_the_bucket() {
        let mut bucket = Bucket::full(Time::ZERO, 10, 1);
        let taken = (0..1_000_000).filter(|us| bucket.take(Time::from_micros(*us), 1)).count();
        assert_eq!(taken, 10);
    }
}
