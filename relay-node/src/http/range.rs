use hyper::header::{self, HeaderMap};

/// What a request's `Range` header asks of a body (RFC 9110, section 14).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// Everything: no range, one that cannot be read, more than one, or one of another version.
    Whole,
    /// These bytes.
    Part {
        /// First byte.
        start: u64,
        /// First byte behind.
        end: u64,
    },
    /// Bytes that the body does not have.
    Unsatisfiable,
}

/// Reads the range for a body of `length` bytes with this tag.
pub(super) fn wanted(headers: &HeaderMap, length: u64, etag: &str) -> Wanted {
    let Some(range) = headers.get(header::RANGE).and_then(|range| range.to_str().ok()) else {
        return Wanted::Whole;
    };
    if headers.get(header::IF_RANGE).is_some_and(|tag| tag.as_bytes() != etag.as_bytes()) {
        return Wanted::Whole;
    }
    parse(range, length)
}

fn parse(range: &str, length: u64) -> Wanted {
    let Some((unit, spec)) = range.split_once('=') else { return Wanted::Whole };
    let Some((first, last)) = spec.trim().split_once('-') else { return Wanted::Whole };
    if !unit.trim().eq_ignore_ascii_case("bytes") {
        return Wanted::Whole;
    }
    match (number(first), number(last)) {
        (Some(Number::Absent), Some(Number::Is(suffix))) => match suffix.min(length) {
            0 => Wanted::Unsatisfiable,
            suffix => Wanted::Part { start: length - suffix, end: length },
        },
        (Some(Number::Is(start)), Some(last)) => {
            let end = match last {
                Number::Absent => length,
                Number::Is(last) if last < start => return Wanted::Whole,
                Number::Is(last) => last.saturating_add(1).min(length),
            };
            if start < length { Wanted::Part { start, end } } else { Wanted::Unsatisfiable }
        }
        _ => Wanted::Whole,
    }
}

enum Number {
    Absent,
    Is(u64),
}

/// Digits, or nothing. Numbers past 64 bits are as good as the largest.
fn number(text: &str) -> Option<Number> {
    let text = text.trim();
    if text.is_empty() {
        return Some(Number::Absent);
    }
    text.bytes().all(|c| c.is_ascii_digit()).then(|| Number::Is(text.parse().unwrap_or(u64::MAX)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_form_of_the_standard() {
        let part = |start, end| Wanted::Part { start, end };
        for (range, expected) in [
            ("bytes=0-0", part(0, 1)),
            ("bytes=0-499", part(0, 500)),
            ("bytes=500-", part(500, 1000)),
            ("bytes=-500", part(500, 1000)),
            ("bytes=-5000", part(0, 1000)),
            ("bytes=900-5000", part(900, 1000)),
            ("bytes=0-99999999999999999999999", part(0, 1000)),
            ("bytes=999-", part(999, 1000)),
            ("Bytes = 1-2", part(1, 3)),
            ("bytes=1000-", Wanted::Unsatisfiable),
            ("bytes=99999999999999999999999-", Wanted::Unsatisfiable),
            ("bytes=-0", Wanted::Unsatisfiable),
            ("bytes=5-4", Wanted::Whole),
            ("bytes=-", Wanted::Whole),
            ("bytes=a-b", Wanted::Whole),
            ("bytes=0-1,5-6", Wanted::Whole),
            ("bytes", Wanted::Whole),
            ("lines=0-1", Wanted::Whole),
            ("", Wanted::Whole),
        ] {
            assert_eq!(parse(range, 1000), expected, "{range}");
        }
        assert_eq!(parse("bytes=0-", 0), Wanted::Unsatisfiable);
        assert_eq!(parse("bytes=-1", 0), Wanted::Unsatisfiable);
    }
}
