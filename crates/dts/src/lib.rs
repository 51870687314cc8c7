//! PeerDTS, the transmission: what a content is, how its symbols are chosen, asked for, verified, put together and served.
//!
//! This crate knows nothing of connections, prices or tasks. Sources are numbers, and how fast they are is told from outside.
#![forbid(unsafe_code)]

mod assembly;
mod bitmap;
mod late;
mod layout;
mod live;
mod manifest;
mod plan;
mod playing;
mod publisher;
mod serve;
mod source;
mod state;
mod transfer;
mod want;

pub use assembly::{Added, Assembly, Decoded, Polluter};
pub use bitmap::Bitmap;
pub use layout::{HASH_BYTES, Layout, LayoutError};
pub use live::{LIVE_SIGN_EVERY_MS, LIVE_STALE_MS, LiveEntry, LiveError, LiveNews, LiveReader, LiveWriter};
pub use manifest::{Hash, Manifest, ManifestError, Record};
pub use peeredge_code::{CodedId, Encoder, Encoding};
pub use plan::{Need, Reader, plan};
pub use playing::Playing;
pub use publisher::{PublishError, Published, Publisher};
pub use serve::{
    Answer, Due, QUEUE_ANSWERS_MAX, QUEUE_ORDERS_MAX, QUEUE_SYMBOLS_MAX, SHARE_AHEAD, ServeQueue,
};
pub use source::{Holdings, SourceId};
pub use state::StoredState;
pub use transfer::{Received, Transfer, WholeBlock, block_cost};
pub use want::Want;
