//! The command line: words to calls, calls to exit codes.

mod args;
mod check;
mod get;
mod help;
mod publish;
mod run;
mod stop;
mod work;

use crate::config::{Effective, KEYS, load, nearest};
use crate::tasks::compiler;
use crate::{log, say, serve};
use args::{Args, Words};
use std::ffi::OsString;
use std::fmt;
use std::process::ExitCode;

/// Every command, as suggestions know them.
const COMMANDS: &[&str] =
    &["serve", "publish", "get", "work", "run", "verify", "check", "check-config", "print-config", "help"];

/// Why a command did not do what it was asked for.
#[derive(Debug)]
pub struct Failure {
    /// What the shell sees: 1 something failed, 2 the words or settings are wrong; `get` adds its own.
    pub code: u8,
    /// For people, one line.
    pub message: String,
}

impl Failure {
    fn usage(message: impl fmt::Display) -> Failure {
        Failure { code: 2, message: message.to_string() }
    }

    fn failed(error: impl fmt::Display) -> Failure {
        Failure { code: 1, message: error.to_string() }
    }
}

/// Runs one command.
pub fn run(words: impl IntoIterator<Item = OsString>) -> ExitCode {
    stop::outlive_limits();
    let words: Vec<OsString> = words.into_iter().collect();
    if words.get(1).is_some_and(|word| word == compiler::COMMAND) {
        compiler::run();
    }
    compiler::is_the_command();
    match dispatch(words) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            say::err(format_args!("peeredge: {}", failure.message));
            ExitCode::from(failure.code)
        }
    }
}

fn dispatch(words: impl IntoIterator<Item = OsString>) -> Result<(), Failure> {
    let mut words = Words::new(words);
    let command = words.command()?;
    match command.as_deref() {
        None | Some("help") => say::out(help::overview().trim_end()).map_err(Failure::failed),
        Some("version") => {
            say::out(format_args!("peeredge {}", env!("CARGO_PKG_VERSION"))).map_err(Failure::failed)
        }
        Some(name) if COMMANDS.contains(&name) => {
            let args = words.rest(args::own_flags(name))?;
            if args.help {
                return say::out(help::command(name).trim_end()).map_err(Failure::failed);
            }
            let effective = settings(&args)?;
            match name {
                "serve" => run_serve(args, effective),
                "publish" => publish::run(args, effective),
                "get" => get::run(args, effective),
                "work" => work::run(args, effective),
                "run" => run::run(args, effective),
                "verify" => check::verify(args, effective),
                "check" => check::check(args, effective),
                "check-config" => check_config(args, effective),
                _ => print_config(args, &effective),
            }
        }
        Some(other) => {
            let hint = match nearest(other, COMMANDS.iter().copied()) {
                Some(name) => format!("did you mean {name}?"),
                None => "`peeredge --help` lists all commands".into(),
            };
            Err(Failure::usage(format_args!("unknown command {other}; {hint}")))
        }
    }
}

/// The settings from file, environment and this command line.
fn settings(args: &Args) -> Result<Effective, Failure> {
    let here = std::path::Path::new("peeredge.toml");
    let from_env = std::env::var_os("PEEREDGE_CONFIG").filter(|path| !path.is_empty()).map(Into::into);
    let named = args.config.clone().or(from_env);
    let file = named.or_else(|| here.exists().then(|| here.to_path_buf()));
    let env = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    load(file.as_deref(), env, &args.settings).map_err(Failure::usage)
}

fn run_serve(args: Args, effective: Effective) -> Result<(), Failure> {
    args.no_more_words("serve takes only flags; files to publish are --publish FILE")?;
    log::start(&effective.config.log_level, effective.config.log_format);
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(Failure::failed)?;
    let told = runtime.block_on(async { stop::told() }).map_err(Failure::failed)?;
    let grace = effective.config.shutdown_grace_ms.duration();
    let stop = async move {
        told.await;
        end_within(grace + ENDS_WITHIN);
    };
    let served = runtime.block_on(serve::serve(effective.config, stop)).map_err(Failure::failed);
    // Blocking reads may still run for clients that are gone; nothing waits for them.
    runtime.shutdown_timeout(std::time::Duration::from_secs(1));
    served
}

/// What stopping may take besides the grace for running answers.
const ENDS_WITHIN: std::time::Duration = std::time::Duration::from_secs(10);

/// Ends the process by then, whatever stands still. What was acknowledged is on the disk.
fn end_within(time: std::time::Duration) {
    std::thread::spawn(move || {
        std::thread::sleep(time);
        tracing::error!("something stands still: ending nevertheless");
        std::process::exit(1);
    });
}

fn check_config(args: Args, effective: Effective) -> Result<(), Failure> {
    args.no_more_words("check-config takes only flags")?;
    let set = effective.sources.len();
    let line = format!("ok: {set} of {} settings are not at their defaults", KEYS.len());
    say::out(line).map_err(Failure::failed)
}

fn print_config(args: Args, effective: &Effective) -> Result<(), Failure> {
    args.no_more_words("print-config takes only flags")?;
    let lines: Vec<(String, String)> = KEYS
        .iter()
        .map(|key| {
            let value = effective.config.show(key.name).expect("KEYS lists only settings");
            (format!("{} = {value}", key.name), effective.source(key.name).to_string())
        })
        .collect();
    let width = lines.iter().map(|(line, _)| line.chars().count()).max().unwrap_or(0).min(60);
    for (line, source) in lines {
        say::out(format_args!("{line:width$}  # {source}")).map_err(Failure::failed)?;
    }
    Ok(())
}
