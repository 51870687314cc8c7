/// What the visitor allows. The shell keeps it current; conditions such as a metered connection are the shell's to observe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caps {
    /// Whether anything may be uploaded now (false on a metered connection or low battery, if the visitor said so). Without, nothing
    /// leaves but what this node asks for, and refusals of a few bytes.
    pub upload_allowed: bool,
    /// Bytes of messages a second to all peers together. What this node asks for and its refusals leave at once, and what supplies
    /// others waits the longer. Default: no cap.
    pub upload_bytes_per_s_max: u64,
    /// Bytes of messages to all peers together while this node lives; then as without `upload_allowed`. Default: no cap.
    pub upload_bytes_max: u64,
    /// Peer connections at a time, several to one peer included. Default 40.
    pub connections_max: u16,
    /// Peer connections that the shell may be asked for while this node lives, until [`crate::Input::ConnectionBudget`] raises it:
    /// Chromium stops a document at about 500. Other peers' offers leave a quarter of it, at most 100, to this node's own, and lanes
    /// leave half, at most 200. Default 400; a native node has no such limit and says `u32::MAX`.
    pub connections_made_max: u32,
    /// Bytes that the relay may ask this peer to hold ahead of demand, within the store's bound. Default 0: the visitor did not agree.
    pub prefetch_bytes_max: u64,
}

impl Default for Caps {
    fn default() -> Self {
        Caps {
            upload_allowed: true,
            upload_bytes_per_s_max: u64::MAX,
            upload_bytes_max: u64::MAX,
            connections_max: 40,
            connections_made_max: 400,
            prefetch_bytes_max: 0,
        }
    }
}
