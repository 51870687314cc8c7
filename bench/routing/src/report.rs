//! What a part found: figures by key, and the files they come from.

/// Figures by key in the order in which they were found, and the files that were read for them.
#[derive(Default)]
pub struct Report {
    /// Key and number. A number that is not finite prints as null.
    pub figures: Vec<(&'static str, f64)>,
    /// The data files that were read, relative to the data folder.
    pub files: Vec<String>,
}

impl Report {
    /// Adds a figure and prints it.
    pub fn figure(&mut self, key: &'static str, value: f64) {
        println!("{key:<36} {}", number(value));
        self.figures.push((key, value));
    }

    /// Says that a file was read.
    pub fn read(&mut self, file: impl Into<String>) {
        let file = file.into();
        if !self.files.contains(&file) {
            self.files.push(file);
        }
    }

    /// Takes over what another part found.
    pub fn extend(&mut self, other: Report) {
        self.figures.extend(other.figures);
        other.files.into_iter().for_each(|file| self.read(file));
    }

    /// The line that a program reads.
    pub fn json(&self, bench: &str) -> String {
        let figures: Vec<String> =
            self.figures.iter().map(|(key, value)| format!("\"{key}\": {}", number(*value))).collect();
        format!("{{\"bench\": \"{bench}\", \"figures\": {{{}}}}}", figures.join(", "))
    }
}

fn number(value: f64) -> String {
    if !value.is_finite() {
        return "null".into();
    }
    // Six significant digits.
    let digits =
        if value == 0.0 { 0 } else { (5 - value.abs().log10().floor() as i32).clamp(0, 12) as usize };
    let text = format!("{value:.digits$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').into() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short_and_a_missing_one_is_null() {
        assert_eq!(number(0.0), "0");
        assert_eq!(number(0.123456789), "0.123457");
        assert_eq!(number(1234567.0), "1234567");
        assert_eq!(number(2.5), "2.5");
        assert_eq!(number(f64::NAN), "null");
    }

    #[test]
    fn the_last_line_is_json() {
        let mut report = Report::default();
        report.figure("a", 1.0);
        report.figure("b", f64::INFINITY);
        assert_eq!(report.json("routing"), r#"{"bench": "routing", "figures": {"a": 1, "b": null}}"#);
    }
}
