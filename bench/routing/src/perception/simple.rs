//! The simple estimators that ours has to beat.

/// Predicts the next step's rate from the rates so far.
pub trait Estimator {
    /// The next step's rate; None before the first.
    fn predict(&self) -> Option<f64>;
    /// A step had this rate.
    fn observe(&mut self, rate: f64, seconds: f64);
}

/// Makes a fresh estimator for each trace.
pub type Make = fn() -> Box<dyn Estimator>;

/// All of them, by name.
pub const SIMPLE: &[(&str, Make)] = &[
    ("last", || Box::new(Ewma::new(1.0))),
    ("EWMA 0.8", || Box::new(Ewma::new(0.8))),
    ("EWMA 0.6", || Box::new(Ewma::new(0.6))),
    ("EWMA 0.4", || Box::new(Ewma::new(0.4))),
    ("EWMA 0.2", || Box::new(Ewma::new(0.2))),
    ("harmonic mean 5", || Box::new(Window::new(harmonic))),
    ("mean 5", || Box::new(Window::new(mean))),
    ("median 5", || Box::new(Window::new(median))),
    ("cumulative mean", || Box::new(Cumulative::default())),
    ("log-Kalman", || Box::new(LogKalman::default())),
];

/// Exponentially weighted moving average; 1 is the last value.
struct Ewma {
    weight: f64,
    level: Option<f64>,
}

impl Ewma {
    fn new(weight: f64) -> Self {
        Ewma { weight, level: None }
    }
}

impl Estimator for Ewma {
    fn predict(&self) -> Option<f64> {
        self.level
    }

    fn observe(&mut self, rate: f64, _: f64) {
        self.level = Some(self.level.map_or(rate, |level| level + self.weight * (rate - level)));
    }
}

/// Something of the last five.
struct Window {
    of: fn(&[f64]) -> f64,
    last: Vec<f64>,
}

impl Window {
    fn new(of: fn(&[f64]) -> f64) -> Self {
        Window { of, last: Vec::new() }
    }
}

impl Estimator for Window {
    fn predict(&self) -> Option<f64> {
        (!self.last.is_empty()).then(|| (self.of)(&self.last))
    }

    fn observe(&mut self, rate: f64, _: f64) {
        if self.last.len() == 5 {
            self.last.remove(0);
        }
        self.last.push(rate);
    }
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

fn harmonic(values: &[f64]) -> f64 {
    values.len() as f64 / values.iter().map(|v| 1.0 / v.max(1.0)).sum::<f64>()
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[sorted.len() / 2]
}

/// All bytes over all time.
#[derive(Default)]
struct Cumulative {
    bytes: f64,
    seconds: f64,
}

impl Estimator for Cumulative {
    fn predict(&self) -> Option<f64> {
        (self.seconds > 0.0).then(|| self.bytes / self.seconds)
    }

    fn observe(&mut self, rate: f64, seconds: f64) {
        self.bytes += rate * seconds;
        self.seconds += seconds;
    }
}

/// A random walk seen through noise, in the logarithm; its two variances follow from the differences of one and of two steps.
#[derive(Default)]
struct LogKalman {
    last: [f64; 2],
    count: u32,
    one: f64,
    two: f64,
    level: f64,
    variance: f64,
}

impl Estimator for LogKalman {
    fn predict(&self) -> Option<f64> {
        (self.count > 0).then(|| self.level.exp())
    }

    fn observe(&mut self, rate: f64, _: f64) {
        let seen = rate.max(1.0).ln();
        let follow = |mean: f64, of: f64, n: u32| mean + (of - mean) / f64::from(n.min(20));
        if self.count >= 1 {
            self.one = follow(self.one, (seen - self.last[0]).powi(2), self.count);
        }
        if self.count >= 2 {
            self.two = follow(self.two, (seen - self.last[1]).powi(2), self.count - 1);
        }
        self.last = [seen, self.last[0]];
        self.count += 1;
        if self.count == 1 {
            (self.level, self.variance) = (seen, 0.1);
            return;
        }
        // E one = walk + 2 noise, E two = 2 walk + 2 noise.
        let walk = if self.count > 2 { self.two - self.one } else { self.one / 2.0 };
        let walk = walk.clamp(0.05 * self.one, self.one).max(1e-6);
        let noise = ((self.one - walk) / 2.0).max(1e-6);
        let before = self.variance + walk;
        let gain = before / (before + noise);
        self.level += gain * (seen - self.level);
        self.variance = (1.0 - gain) * before;
    }
}
