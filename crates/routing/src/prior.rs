//! How fast will a channel be that has carried nothing yet? From what is known of both its ends and of where they are.
//!
//! The expectation is [`LinkModel`]'s: effects of both ends, of the two together, of networks, regions and cities, each drawn to zero
//! by as much as few links say little, so that a stranger is judged by its network, and that by everybody. How far it was off of late,
//! in the logarithmic domain, is kept apart by how well the two are known, and its quantiles are the interval: nothing is assumed of
//! the shape of the errors, and who is new gets a wide one.

use crate::Rate;
use crate::errors::Errors;
use crate::links::{End, LinkModel, LinkSettings};

/// Whether the receiver, the sender, and the two together were seen before: so many kinds of acquaintance.
const KINDS: usize = 5;
/// Ends of the interval.
const SHARES: (f64, f64) = (0.1, 0.9);

/// What is to be expected of channels that have carried nothing yet.
#[derive(Clone, Debug, Default)]
pub struct Prior {
    links: LinkModel,
    errors: [Errors; KINDS],
}

impl Prior {
    /// Knows nothing.
    pub fn new(settings: LinkSettings) -> Self {
        Prior { links: LinkModel::new(settings), ..Prior::default() }
    }

    /// A link has ended: it carried so many bytes a second on average. What is not positive and finite is not looked at.
    pub fn learn(&mut self, receiver: End, sender: End, bytes_per_s: f64) {
        if let Some(expected) = self.links.predict(receiver, sender)
            && bytes_per_s.is_finite()
            && bytes_per_s > 0.0
        {
            self.errors[self.acquaintance(receiver, sender)].push(libm::log(bytes_per_s / expected));
        }
        self.links.learn(receiver, sender, bytes_per_s);
    }

    /// The rate to be expected, and the interval in which it lies four times out of five. None before anything was learned.
    pub fn rate(&self, receiver: End, sender: End) -> Option<Rate> {
        let expected = self.links.predict(receiver, sender)?;
        let errors = &self.errors[self.acquaintance(receiver, sender)];
        let at = |share| expected * libm::exp(errors.quantile(share));
        Some(Rate { bytes_per_s: at(0.5), low: at(SHARES.0), high: at(SHARES.1) })
    }

    /// What was learned, to compare senders by.
    pub fn links(&self) -> &LinkModel {
        &self.links
    }

    fn acquaintance(&self, receiver: End, sender: End) -> usize {
        let known = self.links.knows(receiver, sender);
        match (known.receiver, known.sender, known.pair) {
            (.., true) => 4,
            (true, true, _) => 3,
            (true, ..) => 2,
            (_, true, _) => 1,
            _ => 0,
        }
    }
}
