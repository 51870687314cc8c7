//! Lines for whoever started the command. Their reader may be gone, or their disk full: no thread ends by that, as it would by `println!`.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::fmt::Display;
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicBool, Ordering};

/// Whether standard output was closed when the process began.
static CLOSED: AtomicBool = AtomicBool::new(false);

/// The standard library puts `/dev/null` in the place of a closed descriptor before it calls `main`: this is called earlier.
#[used]
#[cfg_attr(target_os = "linux", unsafe(link_section = ".init_array"))]
#[cfg_attr(target_os = "macos", unsafe(link_section = "__DATA,__mod_init_func"))]
static BEFORE_MAIN: extern "C" fn() = look;

extern "C" fn look() {
    // SAFETY: the number is only asked about, for as long as the call lasts; no thread has been started that could close it.
    let out = unsafe { BorrowedFd::borrow_raw(1) };
    CLOSED.store(rustix::io::fcntl_getfd(out).is_err(), Ordering::Relaxed);
}

/// `Err` where standard output was closed: what is written to it would be lost without a word.
pub fn is_open() -> io::Result<()> {
    match CLOSED.load(Ordering::Relaxed) {
        true => Err(rustix::io::Errno::BADF.into()),
        false => Ok(()),
    }
}

/// A line on standard output, for scripts. `Err` when it did not get there.
pub fn out(text: impl Display) -> io::Result<()> {
    let mut out = io::stdout().lock();
    let said = is_open().and_then(|()| writeln!(out, "{text}")).and_then(|()| out.flush());
    said.map_err(|error| io::Error::new(error.kind(), format!("standard output: {error}")))
}

/// A line on standard output for whoever reads just now; nobody waits for one who does not.
pub fn offer(text: impl Display) {
    let mut out = io::stdout().lock();
    if takes_now(&out) {
        // Nobody is left to be told that nobody reads.
        let _ = writeln!(out, "{text}").and_then(|()| out.flush());
    }
}

/// Whether a few kB may be written without waiting. What cannot be asked is written to, as everybody does.
pub fn takes_now(to: &impl AsFd) -> bool {
    let mut wanted = [PollFd::new(to, PollFlags::OUT)];
    poll(&mut wanted, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })).map_or(true, |ready| ready > 0)
}

/// A line on standard error, for people.
pub fn err(text: impl Display) {
    // Nobody is left to be told that nobody reads.
    let _ = writeln!(io::stderr(), "{text}");
}
