//! PeerHVM: the standard [`Units`] in which every device is described and pooled, as far as moving content needs them: rates.
#![forbid(unsafe_code)]

mod units;

pub use units::{BytesPerS, Units};
