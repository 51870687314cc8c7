//! A limit on everything that a stranger can make large.

/// Bytes in one data channel message; Chromium refuses to send more.
pub const PEER_FRAME_BYTES_MAX: usize = 262_144;
/// Bytes in one WebSocket message between peer and relay. Offers are the largest, a few KiB each.
pub const RELAY_FRAME_BYTES_MAX: usize = 32 * 1024;
/// Bytes in one offer, answer or candidate.
pub const SIGNAL_BYTES_MAX: usize = 16 * 1024;
/// Bytes in a content's name.
pub const NAME_BYTES_MAX: usize = 255;
/// Bytes in a content's media type.
pub const MEDIA_TYPE_BYTES_MAX: usize = 127;
/// Bytes in one source symbol.
pub const SYMBOL_BYTES_MAX: u32 = 64 * 1024;
/// Bytes in one source symbol; a smaller one costs more to hash than to move.
pub const SYMBOL_BYTES_MIN: u32 = 1024;
/// Source symbols in one block: its record (32 bytes each) must fit one data channel message beside its header.
pub const BLOCK_SYMBOLS_MAX: u32 = 8000;
/// Bytes in one block: a receiver holds a whole block before it can check what coded symbols give.
pub const BLOCK_BYTES_MAX: u64 = 64 << 20;
/// Blocks in one content: their hashes (32 bytes each) must fit one data channel message beside their header.
pub const BLOCKS_MAX: u32 = 8000;
/// Runs and coded symbols in one want.
pub const WANT_PICKS_MAX: usize = 512;
/// Contents that one connection between peers may subscribe to at a time.
pub const SUBSCRIPTIONS_MAX: usize = 256;
/// Contents that one peer may announce at a relay.
pub const ANNOUNCED_CONTENTS_MAX: usize = 1024;
/// Contents that one frame may announce, or refuse.
pub const ANNOUNCES_PER_FRAME_MAX: usize = 256;
/// Bytes of a task's input or output that go through the relay; larger ones are contents.
pub const TASK_INLINE_BYTES_MAX: usize = 16 * 1024;
/// Voters named with a result.
pub const TASK_VOTERS_MAX: usize = 32;
/// Bytes of one piece of a message that passes through the relay: a symbol of the usual size fits with its header.
pub const CARRIED_PIECE_BYTES_MAX: usize = 20 * 1024;
/// Bytes under way between two peers through the relay: more credit than this is never given.
pub const CARRIED_WINDOW_BYTES_MAX: u32 = 64 * 1024;
/// Entries in one head of a live content; whoever missed more gets the last ones.
pub const LIVE_ENTRIES_MAX: usize = 64;
/// Bytes of one head of a live content: name, entries and signature fit.
pub const LIVE_HEAD_BYTES_MAX: usize = 4096;
