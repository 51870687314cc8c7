//! Log lines. Whoever reads them may have stopped (a pager, a terminal that is held, a collector that hangs): then they are lost, and
//! counted. No thread of the relay waits for its log.

use crate::config::LogFormat;
use crate::say;
use std::io::{self, StderrLock, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// A pipe that says that it can be written to takes so much at least without waiting (POSIX's smallest `PIPE_BUF` is less, that of
/// the systems that this is built for is this).
const PIECE_BYTES: usize = 4 << 10;

/// Writes log lines to standard error from here on. Libraries below are heard from `warn` on, unless everything is traced.
pub fn start(level: &str, format: LogFormat) {
    let level: LevelFilter = level.parse().unwrap_or(LevelFilter::INFO);
    let others = if level == LevelFilter::TRACE { level } else { level.min(LevelFilter::WARN) };
    let targets = Targets::new()
        .with_default(others)
        .with_target("peeredge_relay", level)
        .with_target("peeredge", level);
    let registry = tracing_subscriber::registry().with(targets);
    let color = io::IsTerminal::is_terminal(&io::stderr());
    // A second start in one process (tests) keeps the first.
    let _ = match format {
        LogFormat::Text => {
            registry.with(tracing_subscriber::fmt::layer().with_writer(Lossy).with_ansi(color)).try_init()
        }
        LogFormat::Json => {
            registry.with(tracing_subscriber::fmt::layer().json().with_writer(Lossy)).try_init()
        }
    };
}

/// Standard error, without waiting for it.
struct Lossy;

/// Lines lost since one was last written.
static LOST: AtomicU64 = AtomicU64::new(0);

impl<'a> MakeWriter<'a> for Lossy {
    type Writer = Line;

    fn make_writer(&'a self) -> Line {
        Line(io::stderr().lock())
    }
}

/// One line: the subscriber writes each at once.
struct Line(StderrLock<'static>);

impl Write for Line {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if !say::takes_now(&self.0) {
            LOST.fetch_add(1, Ordering::Relaxed);
            return Ok(line.len());
        }
        let lost = LOST.swap(0, Ordering::Relaxed);
        if lost > 0 {
            writeln!(self.0, "({lost} lines were lost here: nobody read them)")?;
        }
        for piece in line.chunks(PIECE_BYTES) {
            if !say::takes_now(&self.0) {
                break;
            }
            self.0.write_all(piece)?;
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}
