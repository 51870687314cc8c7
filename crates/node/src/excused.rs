//! What a peer may still send though it is of no use any more: this side asked for it, and the other side could not know. Whatever else
//! is of no use counts against its sender.

use core::time::Duration;
use peeredge_wire::Time;

/// A symbol that was asked for may come so long after this side gave it up: the want's deadline, and the time that a slow channel
/// needs for what is in its buffer.
const LATE: Duration = Duration::from_secs(60);
/// Bytes of news of what the other side holds that may say nothing new, for each time that this side subscribes or unsubscribes: the
/// first answer is one, and what was on its way is the other.
const TALK_BYTES: u64 = 64 << 10;
const TALK_BYTES_MAX: u64 = 1 << 20;

/// Of one connection.
#[derive(Debug, Default)]
pub(crate) struct Excused {
    symbols: u32,
    symbols_until: Time,
    manifests: u32,
    records: u32,
    talk_bytes: u64,
    /// Whether coded symbols came that were taken into quarantine.
    pub(crate) sent_coded: bool,
}

impl Excused {
    /// So many symbols that were asked for are no longer counted on.
    pub(crate) fn forgets(&mut self, now: Time, symbols: u32) {
        self.expire(now);
        self.symbols = self.symbols.saturating_add(symbols);
        self.symbols_until = now + LATE;
    }

    /// Whether a symbol, or the refusal of one, may be one of those.
    pub(crate) fn symbol(&mut self, now: Time) -> bool {
        self.expire(now);
        take(&mut self.symbols)
    }

    fn expire(&mut self, now: Time) {
        if self.symbols_until < now {
            self.symbols = 0;
        }
    }

    pub(crate) fn asks_manifest(&mut self) {
        self.manifests = self.manifests.saturating_add(1);
    }

    pub(crate) fn asks_record(&mut self) {
        self.records = self.records.saturating_add(1);
    }

    /// Whether a manifest, or word that there is none, answers something.
    pub(crate) fn manifest(&mut self) -> bool {
        take(&mut self.manifests)
    }

    /// Whether a record, or its refusal, answers something.
    pub(crate) fn record(&mut self) -> bool {
        take(&mut self.records)
    }

    /// This side subscribes, or no longer does.
    pub(crate) fn talks(&mut self) {
        self.talk_bytes = (self.talk_bytes + TALK_BYTES).min(TALK_BYTES_MAX);
    }

    /// Whether news that say nothing new are to be expected.
    pub(crate) fn talk(&mut self, bytes: u64) -> bool {
        let is_excused = bytes <= self.talk_bytes;
        self.talk_bytes -= if is_excused { bytes } else { 0 };
        is_excused
    }
}

fn take(count: &mut u32) -> bool {
    let has = *count > 0;
    *count -= u32::from(has);
    has
}
