//! Whether the loops of this process still turn.
//!
//! Each loop beats its [`Pulse`] at every turn, and at least every [`BEAT_EVERY`] while it has nothing to do. A thread of its own
//! looks at all of them, so that it sees a stall even if the whole runtime stands still.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};
use tokio::sync::Notify;

/// A loop without anything to do beats this often.
pub const BEAT_EVERY: Duration = Duration::from_millis(250);
/// Less silence than this is no sign of anything.
const SILENCE_MIN: Duration = Duration::from_secs(1);

static ORIGIN: LazyLock<Instant> = LazyLock::new(Instant::now);

/// One loop's sign of life.
#[derive(Debug)]
pub struct Pulse {
    name: &'static str,
    beaten_ms: AtomicU64,
    running: AtomicBool,
    stalled: AtomicBool,
    stalls: AtomicU64,
    restarts: AtomicU64,
    wants_restart: AtomicBool,
    restart: Notify,
}

impl Pulse {
    /// Of a loop that does not run yet.
    pub fn new(name: &'static str) -> Arc<Pulse> {
        Arc::new(Pulse {
            name,
            beaten_ms: AtomicU64::new(0),
            running: AtomicBool::new(false),
            stalled: AtomicBool::new(false),
            stalls: AtomicU64::new(0),
            restarts: AtomicU64::new(0),
            wants_restart: AtomicBool::new(false),
            restart: Notify::new(),
        })
    }

    /// What it is called in logs, metrics and `/readyz`.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// The loop turns.
    pub fn beat(&self) {
        #[cfg(debug_assertions)]
        self.stand_still_if_told();
        self.beaten_ms.store(ORIGIN.elapsed().as_millis() as u64, Ordering::Relaxed);
        self.running.store(true, Ordering::Relaxed);
    }

    /// Debug builds only, for tests: the part that is named in the file `STAND_STILL_FILE` blocks its thread for ever, once.
    #[cfg(debug_assertions)]
    fn stand_still_if_told(&self) {
        static FILE: LazyLock<Option<std::path::PathBuf>> =
            LazyLock::new(|| std::env::var_os("STAND_STILL_FILE").map(Into::into));
        let Some(file) = FILE.as_ref() else { return };
        let is_meant = std::fs::read_to_string(file).is_ok_and(|part| part.trim() == self.name);
        if is_meant && std::fs::remove_file(file).is_ok() {
            loop {
                std::thread::park();
            }
        }
    }

    /// The silence so far has another reason.
    fn excuse(&self) {
        self.beaten_ms.store(ORIGIN.elapsed().as_millis() as u64, Ordering::Relaxed);
    }

    /// The loop ended, and is not waited for any more.
    pub fn rest(&self) {
        self.running.store(false, Ordering::Relaxed);
        self.stalled.store(false, Ordering::Relaxed);
    }

    /// How long it has not turned; nothing while it is not meant to.
    pub fn silence(&self) -> Duration {
        match self.running.load(Ordering::Relaxed) {
            true => {
                ORIGIN.elapsed().saturating_sub(Duration::from_millis(self.beaten_ms.load(Ordering::Relaxed)))
            }
            false => Duration::ZERO,
        }
    }

    /// Whether the watchdog found it standing still.
    pub fn is_stalled(&self) -> bool {
        self.stalled.load(Ordering::Relaxed)
    }

    /// Stalls so far.
    pub fn stalls(&self) -> u64 {
        self.stalls.load(Ordering::Relaxed)
    }

    /// Restarts so far.
    pub fn restarts(&self) -> u64 {
        self.restarts.load(Ordering::Relaxed)
    }

    /// The part begins anew.
    pub fn restarted(&self) {
        self.restarts.fetch_add(1, Ordering::Relaxed);
        self.wants_restart.store(false, Ordering::Relaxed);
    }

    /// Resolves when the watchdog wants this part to begin anew.
    pub async fn to_restart(&self) {
        while !self.wants_restart.swap(false, Ordering::Relaxed) {
            self.restart.notified().await;
        }
    }
}

/// When a loop counts as standing still.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// Silence after which `/readyz` says so.
    pub unready_after: Duration,
    /// Silence after which the part begins anew, or the process ends.
    pub restart_after: Duration,
}

impl Patience {
    /// A part begins anew after this, and shows after a quarter of it.
    pub fn of(restart_after: Duration) -> Patience {
        let restart_after = restart_after.max(2 * SILENCE_MIN);
        Patience { unready_after: (restart_after / 4).max(SILENCE_MIN), restart_after }
    }
}

/// What helps when a loop stands still.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remedy {
    /// It is asked to begin anew.
    Restart,
    /// Nothing can take its place in this process: it ends, and its supervisor starts another one.
    End,
}

/// Looks at every pulse, on a thread of its own, until the last other holder of the pulses is gone. `end` is told which part it is
/// because of which the process has to end.
pub fn watch(
    pulses: Vec<(Arc<Pulse>, Remedy)>,
    patience: Patience,
    end: impl Fn(&'static str) + Send + 'static,
) -> std::io::Result<()> {
    let every = (patience.unready_after / 4).clamp(Duration::from_millis(20), SILENCE_MIN);
    std::thread::Builder::new().name("peeredge-watch".into()).spawn(move || {
        let mut asked = vec![false; pulses.len()];
        while pulses.iter().any(|(pulse, _)| Arc::strong_count(pulse) > 1) {
            let began = Instant::now();
            std::thread::sleep(every);
            // It stood still itself: the process, or the whole machine, was stopped.
            if began.elapsed() > every + patience.unready_after / 2 {
                pulses.iter().for_each(|(pulse, _)| pulse.excuse());
            }
            for ((pulse, remedy), asked) in pulses.iter().zip(&mut asked) {
                look(pulse, *remedy, asked, patience, &end);
            }
        }
    })?;
    Ok(())
}

fn look(pulse: &Pulse, remedy: Remedy, asked: &mut bool, patience: Patience, end: &dyn Fn(&'static str)) {
    let silence = pulse.silence();
    if silence < patience.unready_after {
        if pulse.stalled.swap(false, Ordering::Relaxed) {
            tracing::warn!(part = pulse.name, "goes on");
        }
        *asked = false;
        return;
    }
    if !pulse.stalled.swap(true, Ordering::Relaxed) {
        pulse.stalls.fetch_add(1, Ordering::Relaxed);
        tracing::error!(part = pulse.name, seconds = silence.as_secs_f32(), "stands still");
    }
    if silence < patience.restart_after || *asked {
        return;
    }
    *asked = true;
    match remedy {
        Remedy::Restart => {
            tracing::error!(part = pulse.name, "is started anew");
            pulse.wants_restart.store(true, Ordering::Relaxed);
            pulse.restart.notify_one();
        }
        Remedy::End => end(pulse.name),
    }
}

/// The relay's loops.
#[derive(Debug)]
pub struct Pulses {
    /// The relay's own peer.
    pub peer: Arc<Pulse>,
    /// WebRTC.
    pub rtc: Arc<Pulse>,
    /// The tracker.
    pub tracker: Arc<Pulse>,
    /// What accepts connections.
    pub port: Arc<Pulse>,
    /// What answers STUN.
    pub stun: Arc<Pulse>,
}

impl Default for Pulses {
    fn default() -> Self {
        Pulses {
            peer: Pulse::new("peer"),
            rtc: Pulse::new("rtc"),
            tracker: Pulse::new("tracker"),
            port: Pulse::new("port"),
            stun: Pulse::new("stun"),
        }
    }
}

impl Pulses {
    /// All of them, with what helps each. What the tracker knows is in its own memory and its connections are open sockets: nothing
    /// could take it over, and what the others of them do belongs to the same runtime.
    pub fn remedies(&self) -> Vec<(Arc<Pulse>, Remedy)> {
        let of = |pulse: &Arc<Pulse>, remedy| (pulse.clone(), remedy);
        vec![
            of(&self.peer, Remedy::Restart),
            of(&self.rtc, Remedy::Restart),
            of(&self.tracker, Remedy::End),
            of(&self.port, Remedy::End),
            of(&self.stun, Remedy::End),
        ]
    }

    /// All of them.
    pub fn all(&self) -> [&Arc<Pulse>; 5] {
        [&self.peer, &self.rtc, &self.tracker, &self.port, &self.stun]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stall_is_counted_once_and_asks_for_one_restart() {
        let pulse = Pulse::new("part");
        let patience =
            Patience { unready_after: Duration::from_millis(1), restart_after: Duration::from_millis(2) };
        let mut asked = false;
        let ended = std::cell::Cell::new(0);
        let end = |_| ended.set(ended.get() + 1);
        look(&pulse, Remedy::Restart, &mut asked, patience, &end);
        assert!(!pulse.is_stalled(), "what does not run does not stall");
        pulse.beat();
        std::thread::sleep(Duration::from_millis(5));
        for _ in 0..3 {
            look(&pulse, Remedy::Restart, &mut asked, patience, &end);
        }
        assert!(pulse.is_stalled() && asked);
        assert_eq!((pulse.stalls(), ended.get()), (1, 0));
        pulse.rest();
        look(&pulse, Remedy::Restart, &mut asked, patience, &end);
        assert!(!pulse.is_stalled() && !asked);
        pulse.beat();
        std::thread::sleep(Duration::from_millis(5));
        for _ in 0..3 {
            look(&pulse, Remedy::End, &mut asked, patience, &end);
        }
        assert_eq!((pulse.stalls(), ended.get()), (2, 1));
        pulse.excuse();
        let long = Patience::of(Duration::from_secs(60));
        look(&pulse, Remedy::End, &mut asked, long, &end);
        assert!(!pulse.is_stalled(), "who was stopped with the machine did not stand still");
    }
}
