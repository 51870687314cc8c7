//! How fast a link takes packets: as fast as they come, at one rate, by steps, or at a recorded trace's opportunities.

/// Microseconds since the lab started, or a length of time.
pub type Micros = u64;

/// Bytes that one delivery opportunity of a mahimahi trace carries (Netravali et al., "Mahimahi", USENIX ATC 2015, section 4).
pub const OPPORTUNITY_BYTES: u64 = 1504;

/// The rate of a link over time. Schedules and traces begin anew when they end.
#[derive(Clone, Debug, PartialEq)]
pub enum Rate {
    /// No packet waits.
    Unlimited,
    /// Bytes a second.
    Constant(f64),
    /// For so long, so many bytes a second.
    Steps(Vec<(Micros, f64)>),
    /// When [`OPPORTUNITY_BYTES`] may leave; the last one is the trace's length.
    Opportunities(Vec<Micros>),
}

/// Why a trace cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TraceError {
    /// Not a number of milliseconds.
    Line {
        /// Which line, from 1.
        line: usize,
    },
    /// Earlier than the line before.
    Backwards {
        /// Which line, from 1.
        line: usize,
    },
    /// Nothing in it, or all at time zero: it would never end.
    Empty,
}

impl Rate {
    /// Reads a mahimahi trace: a line for each opportunity, with its time in milliseconds.
    pub fn mahimahi(text: &str) -> Result<Rate, TraceError> {
        let mut times: Vec<Micros> = Vec::new();
        for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
            let ms: u64 = line.trim().parse().map_err(|_| TraceError::Line { line: number + 1 })?;
            let at = ms.saturating_mul(1000);
            if times.last().is_some_and(|last| *last > at) {
                return Err(TraceError::Backwards { line: number + 1 });
            }
            times.push(at);
        }
        match times.last() {
            Some(length) if *length > 0 => Ok(Rate::Opportunities(times)),
            _ => Err(TraceError::Empty),
        }
    }
}

/// Where a link stands in its rate: when what was given to it so far has left.
#[derive(Clone, Debug, Default)]
pub struct Service {
    /// The last byte so far leaves then.
    free_at: Micros,
    /// The next opportunity, counted through all repetitions, and what an earlier packet left of it.
    opportunity: u64,
    left_bytes: u64,
}

impl Service {
    /// Takes a packet that comes at `now`, behind all before it. Gives when its last byte has left; none if the rate is zero for
    /// ever.
    pub fn take(&mut self, rate: &Rate, now: Micros, bytes: u64) -> Option<Micros> {
        let begin = self.free_at.max(now);
        self.free_at = match rate {
            Rate::Unlimited => now,
            Rate::Constant(bytes_per_s) if *bytes_per_s > 0.0 => {
                begin + (bytes as f64 * 1e6 / bytes_per_s).ceil() as Micros
            }
            Rate::Constant(_) => return None,
            Rate::Steps(steps) => by_steps(steps, begin, bytes as f64)?,
            Rate::Opportunities(times) => self.by_opportunities(times, begin, bytes)?,
        };
        Some(self.free_at)
    }

    fn by_opportunities(&mut self, times: &[Micros], begin: Micros, bytes: u64) -> Option<Micros> {
        let length = *times.last().filter(|length| **length > 0)?;
        let count = times.len() as u64;
        let at = |opportunity: u64| opportunity / count * length + times[(opportunity % count) as usize];
        if begin > self.free_at || self.left_bytes == 0 {
            // Opportunities that pass while nothing waits are lost.
            let first = begin / length * count + times.partition_point(|time| *time < begin % length) as u64;
            if first > self.opportunity || self.left_bytes == 0 {
                self.opportunity = first.max(self.opportunity);
                self.left_bytes = OPPORTUNITY_BYTES;
            }
        }
        let mut wanted = bytes;
        loop {
            if wanted <= self.left_bytes {
                self.left_bytes -= wanted;
                let left = at(self.opportunity);
                if self.left_bytes == 0 {
                    self.opportunity += 1;
                }
                return Some(left);
            }
            wanted -= self.left_bytes;
            self.opportunity += 1;
            self.left_bytes = OPPORTUNITY_BYTES;
        }
    }
}

fn by_steps(steps: &[(Micros, f64)], begin: Micros, mut bytes: f64) -> Option<Micros> {
    let length: Micros = steps.iter().map(|(duration, _)| duration).sum();
    if length == 0 || steps.iter().all(|(_, bytes_per_s)| *bytes_per_s <= 0.0) {
        return None;
    }
    let mut at = begin;
    let mut within = begin % length;
    loop {
        for (duration, bytes_per_s) in steps {
            if within >= *duration {
                within -= duration;
                continue;
            }
            let rest = duration - within;
            within = 0;
            let takes = if *bytes_per_s > 0.0 { bytes * 1e6 / bytes_per_s } else { f64::INFINITY };
            if takes <= rest as f64 {
                return Some(at + takes.ceil() as Micros);
            }
            bytes -= rest as f64 * bytes_per_s / 1e6;
            at += rest;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_constant_rate_serves_one_packet_after_the_other() {
        let mut service = Service::default();
        let rate = Rate::Constant(1_000_000.0);
        assert_eq!(service.take(&rate, 0, 1000), Some(1000));
        assert_eq!(service.take(&rate, 0, 1000), Some(2000));
        assert_eq!(service.take(&rate, 10_000, 500), Some(10_500));
        assert_eq!(service.take(&Rate::Constant(0.0), 0, 1), None);
    }

    #[test]
    fn steps_are_crossed_and_begin_anew() {
        let steps = Rate::Steps(vec![(1_000_000, 1000.0), (1_000_000, 0.0), (1_000_000, 2000.0)]);
        let mut service = Service::default();
        assert_eq!(service.take(&steps, 0, 500), Some(500_000));
        // 500 more in the first second, nothing in the second, 1,000 in the half of the third.
        assert_eq!(service.take(&steps, 0, 1500), Some(2_500_000));
        assert_eq!(service.take(&steps, 0, 1500), Some(3_500_000));
        assert_eq!(Service::default().take(&Rate::Steps(vec![(5, 0.0)]), 0, 1), None);
    }

    #[test]
    fn opportunities_carry_so_much_and_are_lost_when_nothing_waits() {
        let rate = Rate::mahimahi("1\n2\n2\n10\n").expect("a trace");
        let mut service = Service::default();
        assert_eq!(service.take(&rate, 0, 1504), Some(1000));
        assert_eq!(service.take(&rate, 0, 752), Some(2000));
        // Half of this one is left, the other half comes from the next.
        assert_eq!(service.take(&rate, 0, 1504), Some(2000));
        assert_eq!(service.take(&rate, 3000, 100), Some(10_000));
        // The trace is 10 ms long: its first opportunity comes again at 11.
        assert_eq!(service.take(&rate, 10_001, 1504), Some(11_000));
    }

    #[test]
    fn what_is_no_trace_is_refused_with_its_line() {
        assert_eq!(Rate::mahimahi("1\nx\n"), Err(TraceError::Line { line: 2 }));
        assert_eq!(Rate::mahimahi("5\n4\n"), Err(TraceError::Backwards { line: 2 }));
        assert_eq!(Rate::mahimahi("\n"), Err(TraceError::Empty));
        assert_eq!(Rate::mahimahi("0\n"), Err(TraceError::Empty));
    }
}
