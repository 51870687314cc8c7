//! What the flows have in common.
#![allow(dead_code, reason = "each test file uses a part of it")]

use peeredge_sim::{FetchEnd, Report};
use peeredge_wire::Time;

/// Bytes of the content that most flows move: several blocks, and a last symbol that is short.
pub const LENGTH: u64 = 6_000_123;

/// When the peer's first request ended; a failure says how it went instead.
#[track_caller]
pub fn done(report: &Report, peer: usize) -> Time {
    let fetch = &report.peers[peer].fetches[0];
    assert!(!fetch.corrupt, "peer {peer} was given wrong bytes: {fetch:?}");
    match fetch.end {
        FetchEnd::Done(at) => at,
        other => panic!("peer {peer} ended {other:?} with {} bytes; {:#?}", fetch.bytes, Summary(report)),
    }
}

/// What holds in every world, whatever happens in it.
#[track_caller]
pub fn sane(report: &Report) {
    for (place, peer) in report.peers.iter().enumerate() {
        assert!(!peer.store_corrupt, "peer {place} stored wrong bytes");
        assert!(peer.fetches.iter().all(|f| !f.corrupt), "peer {place} was given wrong bytes");
        assert!(!peer.blamed.contains(&peer.id), "peer {place} blamed itself");
    }
}

/// A report without its block lists, which are long.
pub struct Summary<'a>(pub &'a Report);

impl std::fmt::Debug for Summary<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let report = self.0;
        writeln!(f, "ended {:?} after {} events", report.ended, report.events)?;
        for (place, peer) in report.peers.iter().chain(&report.relay_node).enumerate() {
            let s = &peer.stats;
            write!(
                f,
                "{place}: peers {} relay {} http {}",
                s.from_peers_bytes, s.from_relay_bytes, s.from_http_bytes
            )?;
            write!(f, " sent {} twice {} bad {}", s.sent_bytes, s.duplicate_bytes, s.rejected_bytes)?;
            write!(f, " made {} blamed {}", s.connections_made, peer.blamed.len())?;
            for fetch in &peer.fetches {
                write!(
                    f,
                    " | {:?} {} of {} from {:?}",
                    fetch.end, fetch.bytes, fetch.content, fetch.first_byte
                )?;
            }
            writeln!(f)?;
        }
        if let Some(tracker) = &report.tracker {
            writeln!(f, "{tracker:?}")?;
        }
        Ok(())
    }
}
