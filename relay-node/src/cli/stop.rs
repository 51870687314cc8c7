//! The word to stop: ctrl-C or SIGTERM. A hang-up is none: a relay outlives the terminal that it was started from. Nor are
//! the two signals that programs may use as they like.
use std::future::Future;
use std::io;
use tokio::signal::unix::{SignalKind, signal};

/// What the system sends to who writes a file beyond `ulimit -f` (SIGXFSZ), on all that this is built for.
const FILE_TOO_LARGE: i32 = 25;

/// A file that may grow no further is a failed write, as on a full disk, and not the end of the process.
pub(super) fn outlive_limits() {
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return };
    let _inside = runtime.enter();
    // Once it was listened to, the signal ends nothing any more.
    let _ = signal(SignalKind::from_raw(FILE_TOO_LARGE));
}

/// Listens from the call on (not from the first poll: a signal that comes while a command still starts would
/// end the process the hard way) and is ready at the first of the two signals. Call it inside a runtime.
pub(super) fn told() -> io::Result<impl Future<Output = ()>> {
    let mut term = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hangup = signal(SignalKind::hangup())?;
    // What rotates logs sends these to servers that open theirs anew.
    let mut first = signal(SignalKind::user_defined1())?;
    let mut second = signal(SignalKind::user_defined2())?;
    Ok(async move {
        loop {
            tokio::select! {
                _ = term.recv() => return,
                _ = interrupt.recv() => return,
                Some(()) = hangup.recv() => {
                    tracing::info!("SIGHUP changes nothing: settings are read when the process starts");
                }
                Some(()) = first.recv() => tracing::info!("SIGUSR1 changes nothing"),
                Some(()) = second.recv() => tracing::info!("SIGUSR2 changes nothing"),
            }
        }
    })
}
