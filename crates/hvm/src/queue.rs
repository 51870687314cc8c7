//! State: tasks that wait for their first run. Submitters' owners take turns by the gas they were given; within one, value goes
//! first. Keys are free, so turns are not theirs.

use crate::Owner;
use core::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

/// One task; chosen by whoever submits it, never used for two.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TaskId(pub u64);

/// What a line holds, first first: by value, then by when it came.
type Place = (Reverse<u32>, u64);

#[derive(Debug, Default)]
struct Line {
    given: u128,
    waiting: BTreeMap<Place, (TaskId, u64)>,
}

/// The tasks that nobody has begun.
#[derive(Debug, Default)]
pub struct Queue {
    lines: BTreeMap<Owner, Line>,
    /// Lines that are not empty, least given first.
    turns: BTreeSet<(u128, Owner)>,
    places: BTreeMap<TaskId, (Owner, Place)>,
    arrivals: u64,
}

impl Queue {
    /// Tasks waiting.
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// Puts a task into its submitter's line. `gas` is what the turn will count as.
    pub fn push(&mut self, task: TaskId, submitter: Owner, value: u32, gas: u64) {
        let floor = self.turns.first().map_or(0, |(given, _)| *given);
        let line = self.lines.entry(submitter).or_default();
        if line.waiting.is_empty() {
            // Whoever was away saved nothing up: it starts level with those who wait.
            line.given = line.given.max(floor);
            self.turns.insert((line.given, submitter));
        }
        self.arrivals += 1;
        let place = (Reverse(value), self.arrivals);
        line.waiting.insert(place, (task, gas));
        self.places.insert(task, (submitter, place));
    }

    /// The next task, taken out.
    pub fn pop(&mut self) -> Option<TaskId> {
        let (_, submitter) = *self.turns.first()?;
        let task = self.lines.get(&submitter)?.waiting.first_key_value().map(|(_, (task, _))| *task)?;
        self.take(task, true);
        Some(task)
    }

    /// Takes a task out without a turn.
    pub fn remove(&mut self, task: TaskId) -> bool {
        self.take(task, false)
    }

    fn take(&mut self, task: TaskId, counts: bool) -> bool {
        let Some((submitter, place)) = self.places.remove(&task) else { return false };
        let line = self.lines.get_mut(&submitter).expect("a place lies in a line");
        let (_, gas) = line.waiting.remove(&place).expect("a place holds its task");
        self.turns.remove(&(line.given, submitter));
        if counts {
            line.given += u128::from(gas.max(1));
        }
        if line.waiting.is_empty() {
            // What it was given is remembered as long as somebody waits with less.
            if self.turns.first().is_none_or(|(given, _)| *given >= line.given) {
                self.lines.remove(&submitter);
            }
        } else {
            self.turns.insert((line.given, submitter));
        }
        if self.turns.is_empty() {
            self.lines.clear();
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: Owner = Owner(1);
    const B: Owner = Owner(2);

    fn drain(queue: &mut Queue, n: usize) -> Vec<u64> {
        (0..n).filter_map(|_| queue.pop()).map(|task| task.0).collect()
    }

    #[test]
    fn a_submitter_with_many_tasks_does_not_keep_another_waiting() {
        let mut queue = Queue::default();
        (0..100).for_each(|i| queue.push(TaskId(i), A, 0, 10));
        assert_eq!(drain(&mut queue, 2), [0, 1]);
        (100..103).for_each(|i| queue.push(TaskId(i), B, 0, 10));
        let next = drain(&mut queue, 6);
        assert_eq!(next.iter().filter(|&&task| task >= 100).count(), 3, "{next:?}");
    }

    #[test]
    fn turns_are_counted_in_gas_not_in_tasks() {
        let mut queue = Queue::default();
        (0..100).for_each(|i| queue.push(TaskId(i), A, 0, 90));
        (100..200).for_each(|i| queue.push(TaskId(i), B, 0, 10));
        let next = drain(&mut queue, 50);
        assert_eq!(next.iter().filter(|&&task| task < 100).count(), 5);
    }

    #[test]
    fn within_a_line_value_goes_first_then_age() {
        let mut queue = Queue::default();
        queue.push(TaskId(1), A, 5, 1);
        queue.push(TaskId(2), A, 9, 1);
        queue.push(TaskId(3), A, 9, 1);
        assert!(queue.remove(TaskId(1)) && !queue.remove(TaskId(1)));
        queue.push(TaskId(4), A, 1, 1);
        assert_eq!(drain(&mut queue, 9), [2, 3, 4]);
        assert!(queue.is_empty() && queue.lines.is_empty() && queue.turns.is_empty());
    }
}
