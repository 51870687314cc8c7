use peeredge_wire::peer::{Marker, Pick};
use peeredge_wire::{ContentId, Time};
use std::collections::VecDeque;

/// What one receiver has asked of this holder and not yet got. This is all that a sender keeps about a receiver, and it is
/// bounded: what does not fit is refused at once, and what was not sent by its deadline is dropped.
#[derive(Debug, Default)]
pub struct ServeQueue {
    queue: VecDeque<Order>,
    symbols: u32,
}

#[derive(Clone, Copy, Debug)]
struct Order {
    content: ContentId,
    block: u32,
    pick: Pick,
    until: Time,
}

/// One symbol to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Due {
    /// Of which content.
    pub content: ContentId,
    /// Of which block.
    pub block: u32,
    /// Which symbol.
    pub marker: Marker,
}

/// Symbols that one receiver may have queued: 64 MiB of 16 KiB symbols, a few bytes each here.
pub const QUEUE_SYMBOLS_MAX: u32 = 4096;

impl ServeQueue {
    /// Takes the picks of a want; those that do not fit come back.
    pub fn push(&mut self, content: ContentId, block: u32, until: Time, picks: &[Pick]) -> Vec<Pick> {
        let mut refused = Vec::new();
        for &pick in picks {
            // Checked without adding the untrusted count to anything.
            if pick.symbols() > QUEUE_SYMBOLS_MAX - self.symbols {
                refused.push(pick);
                continue;
            }
            self.symbols += pick.symbols();
            self.queue.push_back(Order { content, block, pick, until });
        }
        refused
    }

    /// Forgets what is queued of a block.
    pub fn cancel(&mut self, content: &ContentId, block: u32) {
        self.queue.retain(|o| o.content != *content || o.block != block);
        self.recount();
    }

    /// Forgets what is queued of a content.
    pub fn cancel_content(&mut self, content: &ContentId) {
        self.queue.retain(|o| o.content != *content);
        self.recount();
    }

    fn recount(&mut self) {
        self.symbols = self.queue.iter().map(|o| o.pick.symbols()).sum();
    }

    /// The symbol to send next; stays at the front until [`ServeQueue::pop`].
    pub fn front(&mut self, now: Time) -> Option<Due> {
        while let Some(order) = self.queue.front() {
            if order.until < now {
                self.symbols -= order.pick.symbols();
                self.queue.pop_front();
                continue;
            }
            let marker = match order.pick {
                Pick::Sources { first, .. } => Marker::Source(first),
                Pick::Coded { density, seed } => Marker::Coded { density, seed },
            };
            return Some(Due { content: order.content, block: order.block, marker });
        }
        None
    }

    /// Takes away the symbol that [`ServeQueue::front`] gave.
    pub fn pop(&mut self) {
        let Some(order) = self.queue.front_mut() else { return };
        self.symbols -= 1;
        match &mut order.pick {
            Pick::Sources { first, count } if *count > 1 => {
                *first += 1;
                *count -= 1;
            }
            _ => {
                self.queue.pop_front();
            }
        }
    }

    /// Takes away the whole order at the front: the picks come back, to be refused.
    pub fn pop_order(&mut self) -> Option<(ContentId, u32, Pick)> {
        let order = self.queue.pop_front()?;
        self.symbols -= order.pick.symbols();
        Some((order.content, order.block, order.pick))
    }

    /// Symbols queued.
    pub fn len(&self) -> u32 {
        self.symbols
    }

    /// Whether nothing is queued.
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const C: ContentId = ContentId([1; 32]);

    #[test]
    fn symbols_come_in_order_and_late_ones_not_at_all() {
        let mut queue = ServeQueue::default();
        queue.push(C, 0, Time::from_millis(5), &[Pick::Sources { first: 9, count: 9 }]);
        let coded = Pick::Coded { density: 1, seed: 7 };
        assert!(
            queue
                .push(C, 2, Time::from_millis(50), &[Pick::Sources { first: 3, count: 2 }, coded])
                .is_empty()
        );
        assert_eq!(queue.len(), 12);
        let mut got = Vec::new();
        while let Some(due) = queue.front(Time::from_millis(10)) {
            got.push((due.block, due.marker));
            queue.pop();
        }
        let coded = Marker::Coded { density: 1, seed: 7 };
        assert_eq!(got, [(2, Marker::Source(3)), (2, Marker::Source(4)), (2, coded)]);
        assert_eq!((queue.len(), queue.is_empty()), (0, true));
    }

    #[test]
    fn a_greedy_want_is_refused_and_costs_nothing() {
        let mut queue = ServeQueue::default();
        let huge = Pick::Sources { first: 0, count: u32::MAX };
        let fits = Pick::Sources { first: 0, count: QUEUE_SYMBOLS_MAX };
        let one = Pick::Sources { first: 0, count: 1 };
        assert_eq!(queue.push(C, 0, Time::NEVER, &[huge, fits, one]), [huge, one]);
        queue.cancel(&C, 0);
        assert_eq!(queue.push(C, 0, Time::NEVER, &[one]), []);
    }
}
