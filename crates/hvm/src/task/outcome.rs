use core::fmt;

/// How a run of a task ended. The numbers go over the wire and into receipts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum End {
    /// The last step was made and the output taken.
    Done = 0,
    /// More gas was needed than the limit allows.
    OutOfGas = 1,
    /// The task trapped: an unreachable, an access out of bounds, a division by zero.
    Trap = 2,
    /// Calls nested deeper than the bound that the rewrite puts in.
    Stack = 3,
    /// The output lies outside of the memory or is longer than its limit, or an input was given no room.
    Output = 4,
    /// The host could not give the memory that the limits allow. Says nothing about the task.
    Memory = 5,
    /// Whoever asked for the run stopped it, or its deadline passed. Says nothing about the task.
    Cancelled = 6,
    /// Stopped between two steps, with a checkpoint from which any host can go on. Says nothing about the task.
    Paused = 7,
}

impl End {
    /// All of them, in the order of their numbers.
    pub const ALL: [End; 8] = [
        End::Done,
        End::OutOfGas,
        End::Trap,
        End::Stack,
        End::Output,
        End::Memory,
        End::Cancelled,
        End::Paused,
    ];

    /// The end that has this number.
    pub fn from_number(number: u8) -> Option<End> {
        Self::ALL.get(usize::from(number)).copied()
    }

    /// Whether every honest host comes to this end with the same output and gas, so that it can be compared. The others
    /// happen to a host, not to a task.
    pub fn is_of_task(self) -> bool {
        self < End::Memory
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            End::Done => "done",
            End::OutOfGas => "out of gas",
            End::Trap => "trap",
            End::Stack => "stack",
            End::Output => "output",
            End::Memory => "memory",
            End::Cancelled => "cancelled",
            End::Paused => "paused",
        })
    }
}

/// What came of a run. Equal on every host where [`End::is_of_task`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// How it ended.
    pub end: End,
    /// The output; empty unless [`End::Done`].
    pub output: Vec<u8>,
    /// Gas used, over all steps and hosts. The whole limit when out of gas. At a trap, what was used when gas was last stored:
    /// equal on every host, too, but up to one function's worth short.
    pub gas: u64,
}

impl Outcome {
    /// An end without output.
    pub fn without_output(end: End, gas: u64) -> Self {
        Outcome { end, output: Vec::new(), gas }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_end_has_its_number() {
        for end in End::ALL {
            assert_eq!(End::from_number(end as u8), Some(end));
        }
        assert_eq!(End::from_number(8), None);
        assert_eq!(End::ALL.iter().filter(|end| end.is_of_task()).count(), 5);
    }
}
