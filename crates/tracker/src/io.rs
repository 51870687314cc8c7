use peeredge_wire::relay::ErrorCode;

/// One WebSocket; chosen by the shell, never used for two.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnId(pub u64);

/// Everything that a shell can tell a tracker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TrackerInput {
    /// A WebSocket was accepted.
    Connected {
        /// The shell's number for it.
        conn: ConnId,
        /// The relay's own addresses, as `host[:port]`, one of which a peer on this connection must have connected to.
        authorities: Vec<String>,
    },
    /// Who stands behind a connection, as far as the shell can tell: a number for its network's prefix, by which everything that
    /// can be taken is bounded. Without it every key stands for itself.
    Owner {
        /// Which connection.
        conn: ConnId,
        /// The same number for the same owner.
        owner: u64,
    },
    /// Every key of this connection's owner counts for itself where receipts of bytes and votes on tasks are judged, and only
    /// there: for trying out on one machine.
    Alone {
        /// Which connection.
        conn: ConnId,
    },
    /// What the shell knows of a connection that bears on tasks.
    Site {
        /// Which connection.
        conn: ConnId,
        /// Names the site whose page it is; none for a native peer.
        site: Option<u64>,
        /// Whether it may hand tasks in. Without this input everybody may.
        may_submit: bool,
    },
    /// What a connection's bytes cost the operator, as far as the shell can tell by its address.
    CostClass {
        /// Which connection.
        conn: ConnId,
        /// A place in [`crate::TrackerConfig::cost_classes`]; 0 without this.
        class: u8,
    },
    /// One binary message arrived. The shell may cut it off behind
    /// [`RELAY_FRAME_BYTES_MAX`](peeredge_wire::limits::RELAY_FRAME_BYTES_MAX)` + 1` bytes: longer ones are refused all the same.
    Frame {
        /// On which connection.
        conn: ConnId,
        /// The message.
        frame: Vec<u8>,
    },
    /// The connection is gone.
    Closed {
        /// Which.
        conn: ConnId,
    },
    /// The deadline that [`crate::Tracker::deadline`] gave has come, or nothing in particular happened.
    Wake,
    /// The relay is going down: every peer is told, and no one is taken any more.
    Shutdown,
}

/// Everything that a tracker asks of its shell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TrackerOutput {
    /// Send this as one binary message.
    Send {
        /// On which connection.
        conn: ConnId,
        /// The message.
        frame: Vec<u8>,
        /// Whose words these are, where they are not the relay's own: the owner of the peer that they come from. The shell drops
        /// them where they would fill more of what waits for a slow reader than one owner's part.
        of: Option<u64>,
    },
    /// Close this connection once what was sent before is out. The tracker has forgotten it already.
    Close {
        /// Which.
        conn: ConnId,
        /// Why; the peer was told by an error before.
        code: ErrorCode,
    },
}
