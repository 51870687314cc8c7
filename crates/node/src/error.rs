use core::fmt;

/// Why a request cannot be fulfilled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FetchError {
    /// No peer, relay or server had the content (or a part of it) within the time allowed.
    Unavailable,
    /// The range starts behind the content's end.
    RangeNotSatisfiable {
        /// The content's length in bytes.
        length: u64,
    },
    /// Every holder's manifest contradicts the link.
    ManifestInvalid,
    /// The link's manifest asks for blocks above [`peeredge_wire::limits::BLOCK_BYTES_MAX`], which are never held.
    BlocksTooLarge,
    /// The page aborted the request, or the node is closing.
    Aborted,
    /// The page already has a request with this number.
    DuplicateRequest,
}

impl FetchError {
    /// A stable name: the `code` of the page's error.
    pub const fn code(&self) -> &'static str {
        match self {
            FetchError::Unavailable => "unavailable",
            FetchError::RangeNotSatisfiable { .. } => "range_not_satisfiable",
            FetchError::ManifestInvalid => "manifest_invalid",
            FetchError::BlocksTooLarge => "blocks_too_large",
            FetchError::Aborted => "aborted",
            FetchError::DuplicateRequest => "duplicate_request",
        }
    }
}

impl fmt::Display for FetchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FetchError::Unavailable => write!(f, "no peer, relay or server had the content in time"),
            FetchError::RangeNotSatisfiable { length } => {
                write!(f, "the range starts behind the content's {length} bytes")
            }
            FetchError::ManifestInvalid => write!(f, "no holder's manifest meets the link"),
            FetchError::BlocksTooLarge => write!(f, "the content has blocks of more than 64 MiB"),
            FetchError::Aborted => write!(f, "aborted"),
            FetchError::DuplicateRequest => write!(f, "a request with this number is under way"),
        }
    }
}

impl core::error::Error for FetchError {}
