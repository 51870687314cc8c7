//! The signal blobs that two ends exchange before their channel opens.
//!
//! UTF-8 JSON, one object a blob, the same that a browser's page makes from `RTCSessionDescription` and
//! `RTCIceCandidate`:
//!
//! ```json
//! {"type":"offer","sdp":"v=0\r\n..."}
//! {"type":"answer","sdp":"v=0\r\n..."}
//! {"type":"candidate","candidate":"candidate:...","mid":"0"}
//! ```
//!
//! Candidates may come in any number after the description; an empty one marks their end. Unknown members are
//! ignored, so either side can add some.

use std::fmt;

use serde::{Deserialize, Serialize};

/// One signal, still unjudged beyond its shape.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum Signal {
    /// The offerer's description.
    Offer {
        /// Session description, RFC 8866.
        sdp: String,
    },
    /// The answerer's description.
    Answer {
        /// Session description, RFC 8866.
        sdp: String,
    },
    /// A way to reach the sender.
    Candidate {
        /// The candidate attribute, RFC 8839 section 5.1; empty at the end of candidates.
        candidate: String,
        /// The media section that it belongs to.
        #[serde(default)]
        mid: Option<String>,
    },
}

/// Why a signal could not be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SignalError {
    /// Longer than the limit.
    TooLong {
        /// Its length.
        signal_bytes: usize,
        /// [`super::RtcConfig::signal_bytes_max`].
        bytes_max: usize,
    },
    /// Not a JSON object of the agreed shape.
    Shape {
        /// Where the parser gave up, 1-based.
        line: usize,
        /// Where the parser gave up, 1-based.
        column: usize,
    },
    /// An offer to the offerer, an answer to the answerer, or a second description.
    OutOfOrder,
    /// The stack refused the description, in its own words for the log.
    Description(String),
    /// Not a candidate attribute.
    Candidate,
}

impl fmt::Display for SignalError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong { signal_bytes, bytes_max } => {
                write!(f, "{signal_bytes} bytes, at most {bytes_max}")
            }
            Self::Shape { line, column } => write!(f, "not a signal at line {line}, column {column}"),
            Self::OutOfOrder => write!(f, "a description out of order"),
            Self::Description(error) => write!(f, "description refused: {error}"),
            Self::Candidate => write!(f, "not a candidate"),
        }
    }
}

impl Signal {
    /// Reads a blob of at most `bytes_max` bytes.
    pub fn parse(blob: &[u8], bytes_max: usize) -> Result<Signal, SignalError> {
        if blob.len() > bytes_max {
            return Err(SignalError::TooLong { signal_bytes: blob.len(), bytes_max });
        }
        serde_json::from_slice(blob)
            .map_err(|error| SignalError::Shape { line: error.line(), column: error.column() })
    }

    /// Writes the blob.
    pub fn to_blob(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("strings always serialise")
    }
}

/// What to make of a candidate attribute.
#[derive(Debug, PartialEq)]
pub(super) enum CandidateUse {
    /// Try it.
    Add(Box<str0m::Candidate>),
    /// The end of candidates, or one that only a browser can use: a name to look up, or TCP.
    Skip,
}

/// Judges a candidate attribute: one that this stack cannot use is no error, one that nobody can is.
pub(super) fn judge_candidate(attribute: &str) -> Result<CandidateUse, SignalError> {
    let attribute = attribute.trim();
    let attribute = attribute.strip_prefix("a=").unwrap_or(attribute);
    if attribute.is_empty() {
        return Ok(CandidateUse::Skip);
    }
    // foundation component transport priority address port "typ" kind
    let fields: Vec<&str> = attribute.split_ascii_whitespace().take(8).collect();
    let [foundation, _component, transport, _priority, address, _port, typ, _kind] = fields[..] else {
        return Err(SignalError::Candidate);
    };
    if !foundation.starts_with("candidate:") || typ != "typ" {
        return Err(SignalError::Candidate);
    }
    // Pages hide their local addresses behind names under `.local`. The page still reaches us, and the stack
    // learns its address from that.
    let named = address.parse::<std::net::IpAddr>().is_err();
    if named && !address.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b)) {
        return Err(SignalError::Candidate);
    }
    if named || !transport.eq_ignore_ascii_case("udp") {
        return Ok(CandidateUse::Skip);
    }
    str0m::Candidate::from_sdp_string(attribute)
        .map(|candidate| CandidateUse::Add(Box::new(candidate)))
        .map_err(|_| SignalError::Candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_a_page_writes() {
        let blob = br#"{"type":"candidate","candidate":"candidate:1 1 udp 2122 127.0.0.1 9 typ host","mid":"0","x":1}"#;
        let Ok(Signal::Candidate { candidate, mid }) = Signal::parse(blob, 1024) else {
            panic!("a page's candidate is refused");
        };
        assert_eq!(mid.as_deref(), Some("0"));
        assert!(matches!(judge_candidate(&candidate), Ok(CandidateUse::Add(_))));
    }

    #[test]
    fn a_blob_survives_its_own_writing() {
        let signal = Signal::Offer { sdp: "v=0\r\n\"\u{e9}".into() };
        assert_eq!(Signal::parse(&signal.to_blob(), 1024), Ok(signal));
    }

    #[test]
    fn refuses_what_is_no_signal() {
        let blobs: [&[u8]; 8] = [
            b"",
            b"null",
            b"{}",
            b"[]",
            b"\xff\xfe",
            br#"{"type":"offer"}"#,
            br#"{"type":"rollback","sdp":""}"#,
            br#"{"type":"candidate","candidate":7}"#,
        ];
        for blob in blobs {
            assert!(matches!(Signal::parse(blob, 1024), Err(SignalError::Shape { .. })), "{blob:?}");
        }
        let long = Signal::Offer { sdp: "x".repeat(2000) }.to_blob();
        assert!(matches!(Signal::parse(&long, 1024), Err(SignalError::TooLong { bytes_max: 1024, .. })));
    }

    #[test]
    fn candidates_that_only_a_browser_can_use_are_skipped() {
        let skipped = [
            "",
            " ",
            "candidate:1 1 udp 1 6f1c-22.local 5000 typ host generation 0",
            "candidate:1 1 tcp 1 127.0.0.1 9 typ host tcptype active",
        ];
        for attribute in skipped {
            assert_eq!(judge_candidate(attribute), Ok(CandidateUse::Skip), "{attribute}");
        }
        let refused = [
            "x",
            "candidate:",
            "candidate:1 1 udp 1 127.0.0.1 9",
            "candidate:1 1 udp 1 127.0.0.1 99999 typ host",
            "candidate:1 1 udp x 127.0.0.1 9 typ host",
            "candidate:1 1 udp 1 a;b 9 typ host",
            "candidate:1 1 udp 1 127.0.0.1 9 typ wormhole",
        ];
        for attribute in refused {
            assert_eq!(judge_candidate(attribute), Err(SignalError::Candidate), "{attribute}");
        }
    }
}
