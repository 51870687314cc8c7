//! Lines for whoever started the command. Their reader may be gone, or their disk full: no thread ends by that, as it would by `println!`.

use std::fmt::Display;
use std::io::{self, Write};

/// A line on standard output, for scripts. `Err` when it did not get there.
pub fn out(text: impl Display) -> io::Result<()> {
    let mut out = io::stdout().lock();
    let said = writeln!(out, "{text}").and_then(|()| out.flush());
    said.map_err(|error| io::Error::new(error.kind(), format!("standard output: {error}")))
}

/// A line on standard error, for people.
pub fn err(text: impl Display) {
    // Nobody is left to be told that nobody reads.
    let _ = writeln!(io::stderr(), "{text}");
}
