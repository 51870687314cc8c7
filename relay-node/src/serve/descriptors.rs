//! File descriptors: every connection takes one, and shells start programs with far fewer than the system has.

/// What is kept for files, sockets of WebRTC and the like.
const KEPT: u64 = 192;

/// A relay by itself has about twenty, and is there for others.
pub(super) const NEEDED: u64 = 40;

/// Raises the soft limit to the hard one. Gives how many there are.
pub(super) fn raise() -> u64 {
    let raised = rlimit::increase_nofile_limit(u64::MAX);
    match raised.or_else(|_| rlimit::Resource::NOFILE.get_soft()) {
        Ok(limit) => limit,
        Err(error) => {
            tracing::debug!(%error, "the limit of open files is not known");
            u64::MAX
        }
    }
}

/// How many files of contents may stay open: what is left beside connections and the relay itself.
pub(super) fn for_contents(descriptors: u64) -> usize {
    usize::try_from(descriptors / 8).unwrap_or(usize::MAX)
}

/// How many connections that allows.
pub(super) fn for_connections(descriptors: u64, connections_max: u32) -> usize {
    let room = descriptors.saturating_sub(KEPT).max(descriptors / 2);
    if room < u64::from(connections_max) {
        tracing::warn!(
            descriptors,
            connections = room,
            "the limit of open files allows fewer connections than connections_max"
        );
    }
    usize::try_from(room).unwrap_or(usize::MAX).min(connections_max as usize)
}
