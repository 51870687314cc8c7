//! How each kind of value is read from text and written as TOML.

use super::keys::{LogFormat, MetricsAccess};
use std::net::SocketAddr;
use std::path::PathBuf;

/// A number of bytes; texts may end in KiB, MiB, GiB or TiB.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Bytes(pub u64);

/// A duration in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Millis(pub u32);

impl Millis {
    /// As std knows it.
    pub fn duration(self) -> std::time::Duration {
        std::time::Duration::from_millis(u64::from(self.0))
    }
}

/// A type that a setting can have.
pub(super) trait Setting: Sized {
    /// What a value looks like, for people.
    const KIND: &'static str;
    /// Whether it takes any number of texts.
    const IS_LIST: bool = false;
    /// Reads one text. The error says what is wrong with it, without naming the key.
    fn parse(text: &str) -> Result<Self, String>;
    /// Reads the texts of one source; a single value takes the last.
    fn parse_all(texts: &[String]) -> Result<Self, String> {
        Self::parse(texts.last().map(String::as_str).unwrap_or_default())
    }
    /// Writes it as a TOML value.
    fn show(&self) -> String;
}

/// Quotes a text as a TOML basic string.
pub(super) fn quote(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            c if c.is_control() => out.push_str(&format!("\\u{:04x}", c as u32)),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

impl Setting for String {
    const KIND: &'static str = "text";
    fn parse(text: &str) -> Result<Self, String> {
        Ok(text.to_owned())
    }
    fn show(&self) -> String {
        quote(self)
    }
}

impl Setting for PathBuf {
    const KIND: &'static str = "path";
    fn parse(text: &str) -> Result<Self, String> {
        Ok(PathBuf::from(text))
    }
    fn show(&self) -> String {
        quote(&self.to_string_lossy())
    }
}

impl Setting for SocketAddr {
    const KIND: &'static str = "address:port";
    fn parse(text: &str) -> Result<Self, String> {
        text.parse()
            .map_err(|_| format!("{} is no address and port, such as \"127.0.0.1:8080\"", quote(text)))
    }
    fn show(&self) -> String {
        quote(&self.to_string())
    }
}

impl Setting for bool {
    const KIND: &'static str = "true or false";
    fn parse(text: &str) -> Result<Self, String> {
        match text {
            "true" => Ok(true),
            "false" => Ok(false),
            _ => Err(format!("{} is neither true nor false", quote(text))),
        }
    }
    fn show(&self) -> String {
        self.to_string()
    }
}

impl Setting for u32 {
    const KIND: &'static str = "number";
    fn parse(text: &str) -> Result<Self, String> {
        text.parse().map_err(|_| format!("{} is no number from 0 to {}", quote(text), u32::MAX))
    }
    fn show(&self) -> String {
        self.to_string()
    }
}

impl Setting for Millis {
    const KIND: &'static str = "milliseconds";
    fn parse(text: &str) -> Result<Self, String> {
        match text.parse() {
            Ok(0) | Err(_) => Err(format!("{} is no number of milliseconds, such as 10000", quote(text))),
            Ok(ms) => Ok(Millis(ms)),
        }
    }
    fn show(&self) -> String {
        self.0.to_string()
    }
}

impl Setting for Bytes {
    const KIND: &'static str = "bytes";
    fn parse(text: &str) -> Result<Self, String> {
        let units = [("KiB", 10), ("MiB", 20), ("GiB", 30), ("TiB", 40), ("", 0)];
        let read = units.into_iter().find_map(|(unit, shift)| {
            let digits = text.strip_suffix(unit)?.trim_end();
            Some(digits.parse::<u64>().ok().and_then(|n| n.checked_mul(1 << shift)))
        });
        read.flatten()
            .map(Bytes)
            .ok_or_else(|| format!("{} is no number of bytes, such as 268435456 or \"256 MiB\"", quote(text)))
    }
    fn show(&self) -> String {
        self.0.to_string()
    }
}

impl Setting for LogFormat {
    const KIND: &'static str = "text or json";
    fn parse(text: &str) -> Result<Self, String> {
        match text {
            "text" => Ok(LogFormat::Text),
            "json" => Ok(LogFormat::Json),
            _ => Err(format!("{} is neither \"text\" nor \"json\"", quote(text))),
        }
    }
    fn show(&self) -> String {
        quote(if *self == LogFormat::Text { "text" } else { "json" })
    }
}

impl Setting for MetricsAccess {
    const KIND: &'static str = "admin, loopback, all or off";
    fn parse(text: &str) -> Result<Self, String> {
        match text {
            "admin" => Ok(MetricsAccess::Admin),
            "loopback" => Ok(MetricsAccess::Loopback),
            "all" => Ok(MetricsAccess::All),
            "off" => Ok(MetricsAccess::Off),
            _ => Err(format!("{} is none of \"admin\", \"loopback\", \"all\" and \"off\"", quote(text))),
        }
    }
    fn show(&self) -> String {
        quote(match self {
            MetricsAccess::Admin => "admin",
            MetricsAccess::Loopback => "loopback",
            MetricsAccess::All => "all",
            MetricsAccess::Off => "off",
        })
    }
}

impl<T: Setting> Setting for Vec<T> {
    const KIND: &'static str = "list";
    const IS_LIST: bool = true;
    fn parse(text: &str) -> Result<Self, String> {
        Ok(vec![T::parse(text)?])
    }
    fn parse_all(texts: &[String]) -> Result<Self, String> {
        texts.iter().map(|text| T::parse(text)).collect()
    }
    fn show(&self) -> String {
        format!("[{}]", self.iter().map(Setting::show).collect::<Vec<_>>().join(", "))
    }
}
