//! Splits words into a command's own flags, settings, and the rest.

use super::Failure;
use crate::config::{Flag, KEYS, nearest};
use lexopt::Arg;
use std::ffi::OsString;
use std::path::PathBuf;

/// A command's words.
#[derive(Debug, Default)]
pub(super) struct Args {
    /// Whether help was asked for.
    pub help: bool,
    /// `--config FILE`.
    pub config: Option<PathBuf>,
    /// Flags that name settings.
    pub settings: Vec<Flag>,
    /// The command's own flags; those without a value have an empty one.
    pub own: Vec<(&'static str, OsString)>,
    /// Words that are no flags.
    pub words: Vec<OsString>,
}

impl Args {
    /// The last value of one of the command's own flags.
    pub fn own(&self, name: &str) -> Option<&OsString> {
        self.own.iter().rev().find(|(own, _)| *own == name).map(|(_, value)| value)
    }

    /// The same, as text.
    pub fn own_text(&self, name: &str) -> Result<Option<String>, Failure> {
        let text = |value: &OsString| {
            let wrong = || Failure::usage(format_args!("--{name} is not valid UTF-8"));
            value.to_str().map(str::to_owned).ok_or_else(wrong)
        };
        self.own(name).map(text).transpose()
    }

    /// Refuses words that are no flags.
    pub fn no_more_words(&self, why: &str) -> Result<(), Failure> {
        match self.words.first() {
            None => Ok(()),
            Some(word) => Err(Failure::usage(format_args!("unexpected {}: {why}", word.to_string_lossy()))),
        }
    }
}

/// One of a command's own flags.
#[derive(Clone, Copy, Debug)]
pub(super) struct Own {
    pub name: &'static str,
    pub short: Option<char>,
    /// What its value is; none for a flag without.
    pub value: Option<&'static str>,
    pub doc: &'static str,
}

const fn own(name: &'static str, short: Option<char>, value: Option<&'static str>, doc: &'static str) -> Own {
    Own { name, short, value, doc }
}

const PUBLISH: &[Own] = &[
    own("name", None, Some("NAME"), "Name of the content instead of the file's (one FILE only)."),
    own("type", None, Some("TYPE"), "Media type instead of the one that the name's ending stands for."),
    own("quiet", Some('q'), None, "Print links only, no progress."),
];

const GET: &[Own] = &[
    own(
        "output",
        Some('o'),
        Some("FILE"),
        "Where to write; `-` is standard output. Default: the content's name.",
    ),
    own("relay", Some('r'), Some("URL"), "Relay to ask, when the link names none or another is nearer."),
    own("range", None, Some("A-B"), "Only bytes A to B, both inclusive; B may be left out."),
    own("seed", None, None, "Go on sharing after the download, until stopped."),
    own("no-http", None, None, "Peers only: never fall back to plain HTTP."),
    own("quiet", Some('q'), None, "No progress."),
];

const WORK: &[Own] = &[
    own("relay", Some('r'), Some("URL"), "Relay to work for."),
    own("slots", None, Some("N"), "Tasks at once. Default: the cores."),
    own("duty", None, Some("N"), "Thousandths of the time in which each computes. Default 1000."),
    own("memory", None, Some("MIB"), "Memory that each may have. Default 256."),
];

const RUN: &[Own] = &[
    own("input", Some('i'), Some("FILE"), "The task's input; `-` is standard input. Default: empty."),
    own("output", Some('o'), Some("FILE"), "Where to write what it puts out. Default: standard output."),
    own("relay", Some('r'), Some("URL"), "Relay to ask. Default: the one of this machine's settings."),
    own("replicas", None, Some("N"), "Equal answers of distinct owners that are needed. Default 2."),
    own("assurance", None, Some("HOW"), "Instead of replicas: `cheap` or `strict`, by the workers' records."),
    own("gas", None, Some("N"), "Gas that a run may use. Default 100 billion, about a minute of one core."),
    own("memory", None, Some("MIB"), "Memory that it may grow to. Default 64."),
    own("output-mib", None, Some("MIB"), "What it may put out at most. Default 16."),
    own(
        "checkpoint-steps",
        None,
        Some("N"),
        "Steps between checkpoints, from which it goes on elsewhere. Default: none.",
    ),
    own("quiet", Some('q'), None, "The output only."),
];

const VERIFY: &[Own] = &[own("quiet", Some('q'), None, "Print only what is wrong.")];

const CHECK: &[Own] =
    &[own("repair", None, None, "Take in again what can be proved to be whole. Deletes nothing.")];

/// The flags that only this command knows.
pub(super) fn own_flags(command: &str) -> &'static [Own] {
    match command {
        "publish" => PUBLISH,
        "get" => GET,
        "work" => WORK,
        "run" => RUN,
        "verify" => VERIFY,
        "check" => CHECK,
        _ => &[],
    }
}

/// Words not yet read.
pub(super) struct Words(lexopt::Parser);

impl Words {
    /// All words, the program's own name first.
    pub fn new(words: impl IntoIterator<Item = OsString>) -> Words {
        Words(lexopt::Parser::from_iter(words))
    }

    /// The command; `None` when only help was asked for.
    pub fn command(&mut self) -> Result<Option<String>, Failure> {
        match self.0.next().map_err(Failure::usage)? {
            None | Some(Arg::Short('h') | Arg::Long("help")) => Ok(None),
            Some(Arg::Short('V') | Arg::Long("version")) => Ok(Some("version".into())),
            Some(Arg::Value(word)) => Ok(Some(word.to_string_lossy().into_owned())),
            Some(flag) => Err(Failure::usage(format_args!(
                "{} stands before a command; see `peeredge --help`",
                spelled(&flag)
            ))),
        }
    }

    /// Everything behind the command.
    pub fn rest(mut self, known: &'static [Own]) -> Result<Args, Failure> {
        let mut args = Args::default();
        while let Some(arg) = self.0.next().map_err(Failure::usage)? {
            let own = match &arg {
                Arg::Short(short) => known.iter().find(|own| own.short == Some(*short)),
                Arg::Long(long) => known.iter().find(|own| own.name == *long),
                Arg::Value(_) => None,
            };
            if let Some(own) = own {
                let value = match own.value {
                    Some(_) => self.0.value().map_err(Failure::usage)?,
                    None => OsString::new(),
                };
                args.own.push((own.name, value));
                continue;
            }
            match arg {
                Arg::Short('h') | Arg::Long("help") => args.help = true,
                Arg::Long("config") => args.config = Some(self.0.value().map_err(Failure::usage)?.into()),
                Arg::Long(long) => {
                    let name = long.to_owned();
                    check_known(&name, known)?;
                    let value = self.0.value().map_err(Failure::usage)?;
                    let wrong = |_| Failure::usage(format_args!("the value of --{name} is not valid UTF-8"));
                    let value = value.into_string().map_err(wrong)?;
                    args.settings.push(Flag { name, value });
                }
                Arg::Short(_) => return Err(Failure::usage(format_args!("unknown flag {}", spelled(&arg)))),
                Arg::Value(word) => args.words.push(word),
            }
        }
        Ok(args)
    }
}

/// Refuses a flag before its value is asked for, so that the complaint is about the right thing.
fn check_known(name: &str, known: &[Own]) -> Result<(), Failure> {
    let settings = || KEYS.iter().map(|key| key.name);
    if settings().any(|key| key == name.replace('-', "_")) {
        return Ok(());
    }
    let all = settings().chain(known.iter().map(|own| own.name)).chain(["help", "config"]);
    Err(Failure::usage(match nearest(name, all) {
        Some(near) => format!("unknown flag --{name}; did you mean --{}?", near.replace('_', "-")),
        None => format!("unknown flag --{name}; add --help to see all flags"),
    }))
}

fn spelled(arg: &Arg<'_>) -> String {
    match arg {
        Arg::Short(short) => format!("-{short}"),
        Arg::Long(long) => format!("--{long}"),
        Arg::Value(word) => word.to_string_lossy().into_owned(),
    }
}
