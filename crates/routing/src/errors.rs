use std::collections::VecDeque;

/// Errors of which quantiles are taken; older ones are forgotten.
const ERRORS_MAX: usize = 512;
/// So many tell of a shape; fewer are taken as drawn from a Laplace distribution of spread 1.
const ERRORS_MIN: usize = 20;
/// Share of the errors beyond which the tail is taken as exponential.
const TAIL: f64 = 0.05;

/// The errors made of late, and their quantiles.
#[derive(Clone, Debug, Default)]
pub(crate) struct Errors {
    order: VecDeque<f64>,
    sorted: Vec<f64>,
}

impl Errors {
    pub(crate) fn push(&mut self, error: f64) {
        if self.order.len() == ERRORS_MAX {
            let oldest = self.order.pop_front().expect("it is full");
            let place = self.sorted.partition_point(|e| *e < oldest);
            self.sorted.remove(place);
        }
        self.order.push_back(error);
        let place = self.sorted.partition_point(|e| *e < error);
        self.sorted.insert(place, error);
    }

    pub(crate) fn quantile(&self, share: f64) -> f64 {
        let share = share.clamp(1e-6, 1.0 - 1e-6);
        let errors = &self.sorted;
        if errors.len() < ERRORS_MIN {
            return if share < 0.5 { libm::log(2.0 * share) } else { -libm::log(2.0 - 2.0 * share) };
        }
        let last = errors.len() - 1;
        let inside = |share: f64| {
            let at = share * last as f64;
            let below = (at as usize).min(last - 1);
            errors[below] + (errors[below + 1] - errors[below]) * (at - below as f64)
        };
        // Beyond the tail's border, the excess is exponential with the mean excess seen there.
        let count = ((last as f64 * TAIL) as usize).max(1);
        let mean = |tail: &[f64], border: f64| {
            tail.iter().map(|e| (e - border).abs()).sum::<f64>() / tail.len() as f64
        };
        if share > 1.0 - TAIL {
            let border = inside(1.0 - TAIL);
            border + mean(&errors[errors.len() - count..], border) * libm::log(TAIL / (1.0 - share))
        } else if share < TAIL {
            let border = inside(TAIL);
            border - mean(&errors[..count], border) * libm::log(TAIL / share)
        } else {
            inside(share)
        }
    }
}
