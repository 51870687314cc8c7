//! The word to stop: ctrl-C or SIGTERM. A hang-up is none: a relay outlives the terminal that it was started from.
use std::future::Future;
use std::io;
use tokio::signal::unix::{SignalKind, signal};

/// Listens from the call on (not from the first poll: a signal that comes while a command still starts would
/// end the process the hard way) and is ready at the first of the two signals. Call it inside a runtime.
pub(super) fn told() -> io::Result<impl Future<Output = ()>> {
    let mut term = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hangup = signal(SignalKind::hangup())?;
    Ok(async move {
        loop {
            tokio::select! {
                _ = term.recv() => return,
                _ = interrupt.recv() => return,
                Some(()) = hangup.recv() => {
                    tracing::info!("SIGHUP changes nothing: settings are read when the process starts");
                }
            }
        }
    })
}
