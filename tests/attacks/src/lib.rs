//! What a test that plays a stranger writes down: what the stranger spent, what the victims lost, and whether the promise held.
//!
//! Every attack prints one line, `attack ` and a JSON object, which `npm run bench -- attacks` collects. The same lines come from
//! `tests/attacks/attack.mjs` where a real relay or a real page is attacked.

pub mod fuzz;
pub mod memory;

use std::fmt::Write;

/// Figures that are compared over all attacks; the worst of each is what the benchmark reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Figure {
    /// Distinct peers whose addresses one owner learns in an hour.
    AddressesAnHour,
    /// Bytes that leave the victim for each byte of the stranger's.
    ByteAmplification,
    /// Processor time of one frame as a multiple of an ordinary frame of that length.
    CpuAmplification,
    /// Bytes held for one connection of the stranger's.
    MemoryBytes,
    /// The 99th percentile of an honest client's waiting time under the attack, over the same without it.
    GoodClientP99Ratio,
}

impl Figure {
    fn name(self) -> &'static str {
        match self {
            Figure::AddressesAnHour => "addresses_an_hour",
            Figure::ByteAmplification => "byte_amplification",
            Figure::CpuAmplification => "cpu_amplification",
            Figure::MemoryBytes => "memory_bytes",
            Figure::GoodClientP99Ratio => "good_client_p99_ratio",
        }
    }
}

/// One attack. Say what was spent and lost, then [`Attack::end`] it.
#[derive(Debug)]
#[must_use = "an attack counts once it has ended"]
pub struct Attack {
    room: &'static str,
    kind: &'static str,
    name: &'static str,
    spent: String,
    lost: String,
    figures: Vec<(Figure, f64)>,
}

impl Attack {
    /// An attack on a room (`tracker`, `node`, `relay`, `store`, `get`, `page`, `worker`, `tasks`), of a kind of the threat model,
    /// named by what the stranger does.
    pub fn new(room: &'static str, kind: &'static str, name: &'static str) -> Attack {
        Attack { room, kind, name, spent: String::new(), lost: String::new(), figures: Vec::new() }
    }

    /// What the stranger spent: keys, connections, frames, bytes.
    pub fn spent(mut self, what: impl Into<String>) -> Attack {
        self.spent = what.into();
        self
    }

    /// What the victims lost; "nothing" if so.
    pub fn lost(mut self, what: impl Into<String>) -> Attack {
        self.lost = what.into();
        self
    }

    /// A figure that is compared over all attacks.
    pub fn figure(mut self, figure: Figure, value: f64) -> Attack {
        self.figures.push((figure, value));
        self
    }

    /// Prints the line, and panics unless the promise held.
    pub fn end(self, held: bool) {
        println!("attack {}", self.line(held));
        assert!(held, "{}: {} (spent {}, lost {})", self.room, self.name, self.spent, self.lost);
    }

    fn line(&self, held: bool) -> String {
        let mut line = String::from("{");
        for (key, value) in [
            ("room", self.room),
            ("kind", self.kind),
            ("name", self.name),
            ("spent", &self.spent),
            ("lost", &self.lost),
        ] {
            write!(line, "\"{key}\":{},", quoted(value)).expect("a string takes all");
        }
        write!(line, "\"held\":{held},\"figures\":{{").expect("a string takes all");
        for (index, (figure, value)) in self.figures.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            write!(line, "{comma}\"{}\":{value}", figure.name()).expect("a string takes all");
        }
        line + "}}"
    }
}

fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if c < ' ' => out.push(' '),
            c => out.push(c),
        }
    }
    out + "\""
}

/// Whether processor time is measured (the benchmark, a release build), and not only what can be counted.
pub fn measures() -> bool {
    std::env::var_os("ATTACKS_MEASURE").is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_json_with_the_names_of_the_figures() {
        let attack = Attack::new("tracker", "seats", "says \"no\"")
            .spent("1 key")
            .lost("nothing")
            .figure(Figure::MemoryBytes, 12.0)
            .figure(Figure::ByteAmplification, 0.5);
        assert_eq!(
            attack.line(true),
            r#"{"room":"tracker","kind":"seats","name":"says \"no\"","spent":"1 key","lost":"nothing","held":true,"figures":{"memory_bytes":12,"byte_amplification":0.5}}"#
        );
    }
}
