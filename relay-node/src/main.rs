//! The `peeredge` command.
use std::process::ExitCode;

fn main() -> ExitCode {
    peeredge_relay::cli::run(std::env::args_os())
}
