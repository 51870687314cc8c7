use core::time::Duration;
use peeredge_wire::Time;

/// Subscribers hear of new symbols so often: early enough to spread a block while it arrives, seldom enough to cost nothing.
const TELL_EVERY: Duration = Duration::from_millis(40);
/// With more subscribers than these seldomer, and what others hold, too, so many times seldomer: in a crowd, where each tells each,
/// the news would else be more packets than the content.
const TELLS_AT_ONCE: u32 = 4;

/// Until `subscribers` hear of what became held; `is_rare` if nobody near holds it.
pub(crate) fn tell_after(subscribers: usize, is_rare: bool) -> Duration {
    let crowds = (subscribers as u32).div_ceil(TELLS_AT_ONCE).max(1);
    TELL_EVERY * if is_rare || crowds == 1 { crowds } else { crowds * TELLS_AT_ONCE }
}
/// State is written so often while blocks are being filled.
pub(crate) const PERSIST_EVERY: Duration = Duration::from_millis(1000);
/// How often stalls and starving readers are looked for.
pub(crate) const CHECK_EVERY: Duration = Duration::from_millis(100);

/// All reasons for which a node wants to be woken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub(crate) enum Timer {
    /// The relay's socket is opened again.
    Relay,
    /// Contents are announced again.
    Announce,
    /// Bytes moved are reported to the relay.
    Report,
    /// Subscribers hear of symbols that became held.
    Haves,
    /// State is written to the store.
    Persist,
    /// The upload cap lets another symbol pass.
    Upload,
    /// Stalled sources, starving readers and connections that do not open are looked for.
    Check,
    /// A block's decoding, or the making of its parity, goes on.
    Decode,
    /// Heads of live contents are signed anew.
    Live,
    /// The pace of the path through the relay lets another piece pass.
    Carry,
    /// What sources said of late is looked at.
    Stir,
}

const TIMERS: usize = 11;

/// The table of wake times.
#[derive(Debug)]
pub(crate) struct Timers([Time; TIMERS]);

impl Timers {
    pub(crate) fn new() -> Self {
        Timers([Time::NEVER; TIMERS])
    }

    /// Wakes at `at` at the latest.
    pub(crate) fn by(&mut self, timer: Timer, at: Time) {
        let slot = &mut self.0[timer as usize];
        *slot = at.min(*slot);
    }

    /// Whether the timer is due; it is taken away if so.
    pub(crate) fn take(&mut self, timer: Timer, now: Time) -> bool {
        let due = self.0[timer as usize] <= now;
        if due {
            self.0[timer as usize] = Time::NEVER;
        }
        due
    }

    pub(crate) fn clear(&mut self) {
        *self = Timers::new();
    }

    /// The next wake time.
    pub(crate) fn next(&self) -> Option<Time> {
        self.0.iter().copied().min().filter(|&t| t != Time::NEVER)
    }
}
