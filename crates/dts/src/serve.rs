use core::time::Duration;
use peeredge_wire::peer::{Marker, Pick};
use peeredge_wire::{ContentId, Time};
use std::collections::{BTreeSet, VecDeque};

/// What one receiver has asked of this holder by one connection and not yet got. This is all that a sender keeps about a receiver, and it is
/// bounded: what does not fit is refused at once, and what was not sent by its deadline is dropped. What is needed first comes first:
/// answers without which nothing can be asked, then symbols.
///
/// Where many receivers share a full uplink, each front has a **turn**: the time when it is needed, or, as receivers may say what they
/// like, the time by which this receiver has had its share of the uplink, whichever is later (start-time fair queueing, Goyal, Vin,
/// Cheng, SIGCOMM 1996, with deadlines). So who calls everything urgent gets its share first, and the rest after what others need soon.
#[derive(Debug, Default)]
pub struct ServeQueue {
    answers: BTreeSet<(Answer, ContentId)>,
    /// By what is needed first.
    queue: VecDeque<Order>,
    symbols: u32,
    /// Until when this receiver's share of the uplink is used.
    share_until: Time,
}

#[derive(Clone, Copy, Debug)]
struct Order {
    content: ContentId,
    block: u32,
    pick: Pick,
    until: Time,
    due: Time,
}

/// A share is used at most so far ahead: what nobody else needed is not held against its receiver for long. As wants say that they are needed
/// within as long at most (`playing.rs`), who has used it up comes after all of them.
pub const SHARE_AHEAD: Duration = Duration::from_secs(4);

/// What is sent once, however often it was asked for meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Answer {
    /// What is held of the content.
    Holdings,
    /// The content's manifest.
    Manifest,
    /// The record of a block.
    Record(u32),
}

/// One thing to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// An answer.
    Answer {
        /// Of which content.
        content: ContentId,
        /// What.
        answer: Answer,
    },
    /// A symbol.
    Symbol {
        /// Of which content.
        content: ContentId,
        /// Of which block.
        block: u32,
        /// Which symbol.
        marker: Marker,
    },
}

/// Symbols that one receiver may have queued: 64 MiB of 16 KiB symbols.
pub const QUEUE_SYMBOLS_MAX: u32 = 4096;
/// Runs and coded symbols that one receiver may have queued, about 100 bytes each here.
pub const QUEUE_ORDERS_MAX: usize = 2048;
/// Answers that one receiver may have queued.
pub const QUEUE_ANSWERS_MAX: usize = 1024;

impl ServeQueue {
    /// Takes what was asked to be answered; false when there is no room.
    pub fn answer(&mut self, content: ContentId, answer: Answer) -> bool {
        let queued = self.answers.contains(&(answer, content));
        queued || (self.answers.len() < QUEUE_ANSWERS_MAX && self.answers.insert((answer, content)))
    }

    /// Takes the picks of a want, needed at `due` and worthless after `until`; those that do not fit come back.
    pub fn push(
        &mut self,
        content: ContentId,
        block: u32,
        until: Time,
        due: Time,
        picks: &[Pick],
    ) -> Vec<Pick> {
        let (mut taken, mut refused) = (VecDeque::new(), Vec::new());
        for &pick in picks {
            let full = self.queue.len() + taken.len() >= QUEUE_ORDERS_MAX;
            // Checked without adding the untrusted count to anything.
            if full || pick.symbols() > QUEUE_SYMBOLS_MAX - self.symbols {
                refused.push(pick);
                continue;
            }
            self.symbols += pick.symbols();
            taken.push_back(Order { content, block, pick, until, due });
        }
        // What comes later moves once, not once a pick.
        let mut later = self.queue.split_off(self.queue.partition_point(|order| order.due <= due));
        self.queue.append(&mut taken);
        self.queue.append(&mut later);
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
        self.answers.retain(|(_, of)| of != content);
        self.recount();
    }

    fn recount(&mut self) {
        self.symbols = self.queue.iter().map(|o| o.pick.symbols()).sum();
    }

    /// What to send next; stays at the front until [`ServeQueue::pop`].
    pub fn front(&mut self, now: Time) -> Option<Due> {
        if let Some(&(answer, content)) = self.answers.first() {
            return Some(Due::Answer { content, answer });
        }
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
            return Some(Due::Symbol { content: order.content, block: order.block, marker });
        }
        None
    }

    /// Whose turn it is where many share an uplink: the earliest's. None when nothing is queued.
    pub fn turn(&mut self, now: Time) -> Option<Time> {
        match self.front(now)? {
            Due::Answer { .. } => Some(self.share_until),
            Due::Symbol { .. } => Some(self.queue.front()?.due.max(self.share_until)),
        }
    }

    /// This receiver takes so much of the time of an uplink that it shares.
    pub fn takes(&mut self, now: Time, time: Duration) {
        self.share_until = (self.share_until.max(now) + time).min(now + SHARE_AHEAD);
    }

    /// Takes away what [`ServeQueue::front`] gave.
    pub fn pop(&mut self) {
        if self.answers.pop_first().is_some() {
            return;
        }
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

    /// Takes away the whole order of symbols at the front: the picks come back, to be refused.
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
        self.queue.is_empty() && self.answers.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const C: ContentId = ContentId([1; 32]);

    #[test]
    fn symbols_come_in_order_and_late_ones_not_at_all() {
        let mut queue = ServeQueue::default();
        queue.push(C, 0, Time::from_millis(5), Time::ZERO, &[Pick::Sources { first: 9, count: 9 }]);
        let coded = Pick::Coded { density: 1, seed: 7 };
        assert!(
            queue
                .push(C, 2, Time::from_millis(50), Time::ZERO, &[Pick::Sources { first: 3, count: 2 }, coded])
                .is_empty()
        );
        assert_eq!(queue.len(), 12);
        let mut got = Vec::new();
        while let Some(Due::Symbol { block, marker, .. }) = queue.front(Time::from_millis(10)) {
            got.push((block, marker));
            queue.pop();
        }
        let coded = Marker::Coded { density: 1, seed: 7 };
        assert_eq!(got, [(2, Marker::Source(3)), (2, Marker::Source(4)), (2, coded)]);
        assert_eq!((queue.len(), queue.is_empty()), (0, true));
    }

    #[test]
    fn what_is_needed_first_comes_first() {
        let mut queue = ServeQueue::default();
        let pick = |first| [Pick::Sources { first, count: 1 }];
        for (first, due_ms) in [(1, 900), (2, 300), (3, 900), (4, 300)] {
            queue.push(C, 0, Time::NEVER, Time::from_millis(due_ms), &pick(first));
        }
        let mut got = Vec::new();
        while let Some(Due::Symbol { marker, .. }) = queue.front(Time::ZERO) {
            got.push(marker);
            queue.pop();
        }
        assert_eq!(
            got,
            [2, 4, 1, 3].map(Marker::Source),
            "in the order of asking where both are due at once"
        );
    }

    #[test]
    fn who_had_its_share_has_its_turn_later() {
        let mut queue = ServeQueue::default();
        let now = Time::from_millis(1000);
        assert_eq!(queue.turn(now), None);
        queue.push(C, 0, Time::NEVER, now, &[Pick::Sources { first: 0, count: 9 }]);
        assert_eq!(queue.turn(now), Some(now), "the first is sent at once");
        queue.takes(now, Duration::from_millis(300));
        queue.takes(now, Duration::from_millis(300));
        assert_eq!(queue.turn(now), Some(Time::from_millis(1600)));
        queue.takes(now, Duration::from_secs(60));
        assert_eq!(
            queue.turn(now),
            Some(now + SHARE_AHEAD),
            "what nobody else needed is not held against it"
        );
        queue.push(C, 1, Time::NEVER, now + Duration::from_secs(9), &[Pick::Sources { first: 0, count: 1 }]);
        queue.cancel(&C, 0);
        assert_eq!(queue.turn(now), Some(now + Duration::from_secs(9)));
    }

    #[test]
    fn a_greedy_want_is_refused_and_costs_nothing() {
        let mut queue = ServeQueue::default();
        let huge = Pick::Sources { first: 0, count: u32::MAX };
        let fits = Pick::Sources { first: 0, count: QUEUE_SYMBOLS_MAX };
        let one = Pick::Sources { first: 0, count: 1 };
        assert_eq!(queue.push(C, 0, Time::NEVER, Time::ZERO, &[huge, fits, one]), [huge, one]);
        queue.cancel(&C, 0);
        assert_eq!(queue.push(C, 0, Time::NEVER, Time::ZERO, &[one]), []);
        let many = vec![one; QUEUE_ORDERS_MAX];
        assert_eq!(queue.push(C, 0, Time::NEVER, Time::ZERO, &many), [one], "one was queued already");
    }

    #[test]
    fn answers_come_first_and_once() {
        let mut queue = ServeQueue::default();
        queue.push(C, 0, Time::NEVER, Time::ZERO, &[Pick::Sources { first: 0, count: 1 }]);
        for answer in [Answer::Record(7), Answer::Manifest, Answer::Record(7), Answer::Holdings] {
            assert!(queue.answer(C, answer));
        }
        let mut got = Vec::new();
        while let Some(Due::Answer { answer, .. }) = queue.front(Time::ZERO) {
            got.push(answer);
            queue.pop();
        }
        assert_eq!(got, [Answer::Holdings, Answer::Manifest, Answer::Record(7)]);
        assert_eq!(queue.len(), 1);
        let taken = (0..u32::MAX).take_while(|&block| queue.answer(C, Answer::Record(block))).count();
        assert_eq!(taken, QUEUE_ANSWERS_MAX);
        queue.cancel_content(&C);
        assert!(queue.is_empty());
    }
}
