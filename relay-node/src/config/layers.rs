//! Lays the sources over each other, remembers where each value came from, and refuses what it does not know.

use super::keys::{Config, KEYS, Key};
use super::suggest::nearest;
use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use toml::de::{DeTable, DeValue};

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// Built in.
    Default,
    /// A line of the configuration file.
    File {
        /// Which file.
        path: PathBuf,
        /// Which line, from 1.
        line: usize,
    },
    /// An environment variable.
    Env(String),
    /// A flag on the command line.
    Flag(String),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::Default => write!(f, "default"),
            Source::File { path, line } => write!(f, "{}:{line}", path.display()),
            Source::Env(name) => write!(f, "environment {name}"),
            Source::Flag(flag) => write!(f, "flag {flag}"),
        }
    }
}

/// Why the settings cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConfigError {
    /// The configuration file cannot be read.
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// What the system says.
        reason: String,
    },
    /// The configuration file is no TOML.
    Syntax {
        /// Which file.
        path: PathBuf,
        /// What is wrong and where.
        reason: String,
    },
    /// No setting has this name.
    UnknownKey {
        /// The name as given, in its source's own spelling.
        key: String,
        /// Where it stands.
        source: Source,
        /// The name that was probably meant, in the same spelling.
        suggestion: Option<String>,
    },
    /// A setting's value cannot be used.
    Value {
        /// Which setting.
        key: &'static str,
        /// Where its value came from.
        source: Source,
        /// What is wrong with it.
        reason: String,
    },
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ConfigError::Unreadable { path, reason } => write!(f, "{}: {reason}", path.display()),
            ConfigError::Syntax { path, reason } => write!(f, "{}: {}", path.display(), reason.trim_end()),
            ConfigError::UnknownKey { key, source, suggestion } => {
                write!(f, "unknown setting {key} ({source})")?;
                match suggestion {
                    Some(name) => write!(f, "; did you mean {name}?"),
                    None => write!(f, "; `peeredge print-config` lists all settings"),
                }
            }
            ConfigError::Value { key, source, reason } => write!(f, "setting {key} ({source}): {reason}"),
        }
    }
}

impl std::error::Error for ConfigError {}

/// One `--name value` of the command line that names a setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flag {
    /// Without the leading dashes.
    pub name: String,
    /// Its value.
    pub value: String,
}

/// Settings, and where each came from.
#[derive(Clone, Debug)]
pub struct Effective {
    /// The settings.
    pub config: Config,
    /// By key; keys that are not here have their default.
    pub sources: BTreeMap<&'static str, Source>,
}

impl Effective {
    /// Where this key's value came from.
    pub fn source(&self, name: &str) -> Source {
        self.sources.get(name).cloned().unwrap_or(Source::Default)
    }
}

/// Environment variables that begin with our prefix and are no settings.
const ENV_OTHERS: &[&str] = &["PEEREDGE_CONFIG", "PEEREDGE_DATA"];
const ENV_OTHER_PREFIXES: &[&str] = &["PEEREDGE_BENCH_", "PEEREDGE_TEST_"];

/// Lays `file`, then `env`, then `flags` over the defaults.
pub fn load(
    file: Option<&Path>,
    env: impl IntoIterator<Item = (String, String)>,
    flags: &[Flag],
) -> Result<Effective, ConfigError> {
    let mut effective = Effective { config: Config::default(), sources: BTreeMap::new() };
    if let Some(path) = file {
        lay_file(&mut effective, path)?;
    }
    lay_env(&mut effective, env)?;
    lay_flags(&mut effective, flags)?;
    match effective.config.check() {
        Ok(()) => Ok(effective),
        Err((key, reason)) => Err(ConfigError::Value { key, source: effective.source(key), reason }),
    }
}

/// Settings that have another name now. They are not taken, as what they mean has changed, too.
const RENAMED: &[(&str, &str)] =
    &[("trust_forwarded", "trusted_proxies"), ("peers_per_ip_max", "peers_per_owner_max")];

/// What was probably meant by a name that no setting has.
fn meant(name: &str) -> Option<&'static str> {
    let renamed = RENAMED.iter().find(|(old, _)| *old == name).map(|(_, new)| *new);
    renamed.or_else(|| nearest(name, names()))
}

fn key(name: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.name == name)
}

fn names() -> impl Iterator<Item = &'static str> {
    KEYS.iter().map(|key| key.name)
}

fn set(to: &mut Effective, key: &'static Key, texts: &[String], source: Source) -> Result<(), ConfigError> {
    match to.config.set(key.name, texts) {
        Ok(()) => {
            to.sources.insert(key.name, source);
            Ok(())
        }
        Err(reason) => Err(ConfigError::Value { key: key.name, source, reason }),
    }
}

fn lay_file(to: &mut Effective, path: &Path) -> Result<(), ConfigError> {
    let unreadable =
        |error: std::io::Error| ConfigError::Unreadable { path: path.into(), reason: error.to_string() };
    let text = std::fs::read_to_string(path).map_err(unreadable)?;
    let table = DeTable::parse(&text)
        .map_err(|error| ConfigError::Syntax { path: path.into(), reason: error.to_string() })?;
    for (name, value) in table.get_ref() {
        let line = 1 + text[..name.span().start.min(text.len())].matches('\n').count();
        let source = Source::File { path: path.into(), line };
        let name = name.get_ref().as_ref();
        let Some(key) = key(name) else {
            let suggestion = meant(name).map(str::to_owned);
            return Err(ConfigError::UnknownKey { key: name.to_owned(), source, suggestion });
        };
        let texts = match texts_of(value.get_ref(), key.is_list) {
            Ok(texts) => texts,
            Err(found) => {
                let reason = format!("expected {}, found {found}", key.kind);
                return Err(ConfigError::Value { key: key.name, source, reason });
            }
        };
        set(to, key, &texts, source)?;
    }
    Ok(())
}

/// A TOML value as the texts that a flag would have given; `Err` names the kind of value that no setting has.
fn texts_of(value: &DeValue<'_>, is_list: bool) -> Result<Vec<String>, &'static str> {
    match value {
        DeValue::Array(items) if is_list => {
            let texts = items.iter().map(|item| texts_of(item.get_ref(), false));
            Ok(texts.collect::<Result<Vec<_>, _>>()?.concat())
        }
        DeValue::String(text) => Ok(vec![text.to_string()]),
        DeValue::Integer(number) if number.radix() == 10 => Ok(vec![number.as_str().replace('_', "")]),
        DeValue::Float(number) => Ok(vec![number.as_str().replace('_', "")]),
        DeValue::Boolean(value) => Ok(vec![value.to_string()]),
        other => Err(other.type_str()),
    }
}

fn lay_env(to: &mut Effective, env: impl IntoIterator<Item = (String, String)>) -> Result<(), ConfigError> {
    for (variable, value) in env {
        let Some(name) = variable.strip_prefix("PEEREDGE_") else { continue };
        let other = ENV_OTHERS.contains(&variable.as_str())
            || ENV_OTHER_PREFIXES.iter().any(|prefix| variable.starts_with(prefix));
        if other {
            continue;
        }
        let source = Source::Env(variable.clone());
        let name = name.to_ascii_lowercase();
        let Some(key) = key(&name) else {
            let suggestion = meant(&name).map(|name| format!("PEEREDGE_{}", name.to_ascii_uppercase()));
            return Err(ConfigError::UnknownKey { key: variable, source, suggestion });
        };
        let texts: Vec<String> = match key.is_list {
            true => value.split(',').filter(|part| !part.is_empty()).map(str::to_owned).collect(),
            false => vec![value],
        };
        set(to, key, &texts, source)?;
    }
    Ok(())
}

fn lay_flags(to: &mut Effective, flags: &[Flag]) -> Result<(), ConfigError> {
    let mut texts: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for flag in flags {
        texts.entry(flag.name.replace('-', "_")).or_default().push(flag.value.clone());
    }
    for (name, texts) in texts {
        let spelling = format!("--{}", name.replace('_', "-"));
        let source = Source::Flag(spelling.clone());
        let Some(key) = key(&name) else {
            let suggestion = meant(&name).map(|name| format!("--{}", name.replace('_', "-")));
            return Err(ConfigError::UnknownKey { key: spelling, source, suggestion });
        };
        set(to, key, &texts, source)?;
    }
    Ok(())
}
