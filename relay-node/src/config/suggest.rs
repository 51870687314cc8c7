//! "Did you mean": the nearest known name by edit distance.

/// Edits (insertions, deletions, substitutions, swaps of neighbours) that turn `a` into `b`: the optimal string alignment
/// distance. Compares bytes, since every known name is ASCII.
fn distance(a: &str, b: &str) -> usize {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    let mut rows: Vec<Vec<usize>> = (0..=a.len()).map(|i| (i..=i + b.len()).collect()).collect();
    for i in 1..=a.len() {
        for j in 1..=b.len() {
            let cost = usize::from(a[i - 1] != b[j - 1]);
            let mut best = (rows[i - 1][j] + 1).min(rows[i][j - 1] + 1).min(rows[i - 1][j - 1] + cost);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            rows[i][j] = best;
        }
    }
    rows[a.len()][b.len()]
}

/// The known name that `wrong` was probably meant to be.
pub fn nearest<'a>(wrong: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // A stranger's text may be long; no known name is, so nothing that long can be near one.
    if wrong.len() > 64 {
        return None;
    }
    let wrong = wrong.to_ascii_lowercase().replace('-', "_");
    let near = |name: &&str| {
        let edits = distance(&wrong, &name.replace('-', "_"));
        (edits <= 1 + name.len() / 4 || name.contains(wrong.as_str()) && wrong.len() >= 4).then_some(edits)
    };
    known.into_iter().filter_map(|name| Some((near(&name)?, name))).min().map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_finds_its_name_and_noise_finds_none() {
        let known = ["bind", "public_url", "peers_max", "log_level"];
        assert_eq!(nearest("binds", known), Some("bind"));
        assert_eq!(nearest("public-ulr", known), Some("public_url"));
        assert_eq!(nearest("loglevel", known), Some("log_level"));
        assert_eq!(nearest("colour", known), None);
        assert_eq!(nearest(&"b".repeat(10_000), known), None);
    }

    #[test]
    fn distance_counts_each_kind_of_edit_once() {
        assert_eq!(distance("abc", "abc"), 0);
        assert_eq!(distance("abc", "acb"), 1);
        assert_eq!(distance("abc", "ab"), 1);
        assert_eq!(distance("", "abc"), 3);
    }
}
