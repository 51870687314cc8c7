//! Blocks in memory, and their way to the store and back. What comes back from the store is verified like what comes from a
//! stranger, so a damaged disk costs a block and never a wrong byte.

use crate::Node;
use crate::contents::{Content, insert_rising};
use crate::output::{Area, Output};
use crate::timers::{PERSIST_EVERY, Timer, tell_after};
use core::ops::Range;
use peeredge_dts::{Assembly, Bitmap, CodedId, Encoder, Encoding, Record, SourceId, StoredState};
use peeredge_wire::peer::PeerMessage;
use peeredge_wire::{ContentId, Token};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Something that may have to be read first.
pub(crate) enum Fetched<T> {
    /// Here it is.
    Here(T),
    /// It is being read: ask again when it has been.
    Loading,
    /// It is not held.
    NotHeld,
}

/// Whole blocks in memory.
#[derive(Debug, Default)]
pub(crate) struct Blocks {
    cached: BTreeMap<(ContentId, u32), Cached>,
    bytes: u64,
    clock: u64,
    loads: BTreeMap<(ContentId, u32), Load>,
    reads: BTreeMap<Token, ReadFor>,
    /// Bytes of the blocks among `loads`.
    loading_bytes: u64,
    /// Blocks whose parity is being made.
    parities_due: BTreeSet<(ContentId, u32)>,
    /// Records that were read for others without their blocks, the last few.
    records: VecDeque<((ContentId, u32), Record)>,
    records_loading: BTreeSet<(ContentId, u32)>,
}

/// Records kept for those who ask for them; at most 256 kB each, 8 kB of the usual sizes.
const RECORDS_MAX: usize = 16;

#[derive(Debug)]
struct Cached {
    bytes: Vec<u8>,
    record: Record,
    /// Symbols that were checked against the record since the block came from the store: each is when it is first needed, so that
    /// one who asks for a symbol costs no more than that.
    verified: Bitmap,
    /// The code's parity, made when the first coded symbol is asked for.
    parity: Parity,
    used: u64,
}

/// Bytes of manifests that are kept though nothing else of their contents ever came.
const BARE_BYTES_MAX: u64 = 4 << 20;
/// XORed bytes of one step of making parity: a few milliseconds in a browser.
const PARITY_BUDGET_BYTES: usize = 16 << 20;

#[derive(Debug, Default)]
enum Parity {
    /// Nobody has asked for a coded symbol.
    #[default]
    None,
    /// It is being made, a step at a time.
    Making(Box<Encoding>),
    Made(Vec<u8>),
}

/// How far the parity of a block is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ParityIs {
    Absent,
    Making,
    Made,
}

/// A block on its way from the store.
#[derive(Debug)]
struct Load {
    len: u64,
    record: Option<Vec<u8>>,
    bytes: Option<Vec<u8>>,
}

#[derive(Debug)]
enum ReadFor {
    LoadRecord(ContentId, u32),
    LoadBytes(ContentId, u32),
    /// The record of a block that is to be filled.
    OpenRecord(ContentId, u32),
    /// The record of a block that others ask for.
    GiveRecord(ContentId, u32),
    /// Source symbols of a block that is being filled, from this one on.
    Restore(ContentId, u32, u32),
}

impl Node {
    fn read(&mut self, why: ReadFor, content: ContentId, area: Area, offset: u64, len: u64) {
        let token = self.next_token();
        self.blocks.reads.insert(token, why);
        self.out.push_back(Output::StoreRead { token, content, area, offset, len: len as u32 });
    }

    pub(crate) fn next_token(&mut self) -> Token {
        self.tokens += 1;
        Token(self.tokens)
    }

    /// A block that is held, with these symbols verified, if it is in memory; else it is being loaded, or was found damaged.
    pub(crate) fn held_block(&mut self, id: ContentId, block: u32, symbols: Range<u32>) -> Option<&[u8]> {
        self.blocks.clock += 1;
        if !self.blocks.cached.contains_key(&(id, block)) {
            self.load(id, block);
            return None;
        }
        let symbol_len = self.contents.get(&id)?.layout()?.symbol_len() as usize;
        let cached = self.blocks.cached.get_mut(&(id, block))?;
        cached.used = self.blocks.clock;
        for index in symbols {
            let start = (index as usize * symbol_len).min(cached.bytes.len());
            let end = (start + symbol_len).min(cached.bytes.len());
            if !cached.verified.contains(index) && !cached.record.verifies(index, &cached.bytes[start..end]) {
                self.damaged(id, block);
                return None;
            }
            cached.verified.insert(index);
        }
        self.blocks.cached.get(&(id, block)).map(|cached| &cached.bytes[..])
    }

    /// Whether a block is on its way from the store.
    pub(crate) fn is_loading(&self, id: ContentId, block: u32) -> bool {
        self.blocks.loads.contains_key(&(id, block))
    }

    /// How far the parity of a block in memory is made.
    pub(crate) fn parity_of(&self, id: ContentId, block: u32) -> Option<ParityIs> {
        Some(match self.blocks.cached.get(&(id, block))?.parity {
            Parity::None => ParityIs::Absent,
            Parity::Making(_) => ParityIs::Making,
            Parity::Made(_) => ParityIs::Made,
        })
    }

    /// Whether so many bytes more may be read for others: what is on its way takes a quarter of the cache.
    pub(crate) fn has_room_to_load(&self, bytes: u64) -> bool {
        let sum = self.blocks.loading_bytes + bytes;
        self.blocks.loading_bytes == 0 || sum <= self.config.cache_bytes_max / 4
    }

    fn load(&mut self, id: ContentId, block: u32) {
        let Some(layout) = self.contents.get(&id).and_then(|c| c.layout()) else { return };
        if self.blocks.loads.contains_key(&(id, block)) {
            return;
        }
        let (record, bytes) = (layout.record_range(block), layout.block_range(block));
        let len = bytes.end - bytes.start;
        self.blocks.loads.insert((id, block), Load { len, record: None, bytes: None });
        self.blocks.loading_bytes += len;
        self.read(ReadFor::LoadRecord(id, block), id, Area::Records, record.start, record.end - record.start);
        self.read(ReadFor::LoadBytes(id, block), id, Area::Data, bytes.start, bytes.end - bytes.start);
    }

    /// Reads the record of a block that is to be filled.
    pub(crate) fn load_record(&mut self, id: ContentId, block: u32) {
        let Some(layout) = self.contents.get(&id).and_then(|c| c.layout()) else { return };
        let range = layout.record_range(block);
        self.read(ReadFor::OpenRecord(id, block), id, Area::Records, range.start, range.end - range.start);
    }

    /// The record of a block of which anything is held. It is read without its block.
    pub(crate) fn record_of(&mut self, id: ContentId, block: u32) -> Fetched<Record> {
        let Some(content) = self.contents.get(&id) else { return Fetched::NotHeld };
        if let Some(assembly) = content.transfer.as_ref().and_then(|t| t.assembly(block)) {
            return Fetched::Here(assembly.record().clone());
        }
        if !content.has_block(block) {
            return Fetched::NotHeld;
        }
        if let Some(cached) = self.blocks.cached.get(&(id, block)) {
            return Fetched::Here(cached.record.clone());
        }
        if let Some((_, record)) = self.blocks.records.iter().find(|(key, _)| *key == (id, block)) {
            return Fetched::Here(record.clone());
        }
        let Some(layout) = content.layout() else { return Fetched::NotHeld };
        if self.blocks.records_loading.insert((id, block)) {
            let range = layout.record_range(block);
            let why = ReadFor::GiveRecord(id, block);
            self.read(why, id, Area::Records, range.start, range.end - range.start);
        }
        Fetched::Loading
    }

    fn record_to_give(&mut self, id: ContentId, block: u32, bytes: Option<Vec<u8>>) {
        self.blocks.records_loading.remove(&(id, block));
        let Some(content) = self.contents.get_mut(&id) else { return self.pump_all() };
        let manifest = content.state.as_ref().map(|state| &state.manifest);
        match manifest.and_then(|m| Record::decode(m, block, &bytes.unwrap_or_default())) {
            Some(record) => {
                if self.blocks.records.len() == RECORDS_MAX {
                    self.blocks.records.pop_front();
                }
                self.blocks.records.push_back(((id, block), record));
            }
            None => Self::lose(content, block),
        }
        self.pump_all();
    }

    /// A coded symbol of a block that is held; none while the block is being loaded or its parity made.
    pub(crate) fn coded_symbol(&mut self, id: ContentId, block: u32, coded: CodedId) -> Option<Vec<u8>> {
        let geometry = self.contents.get(&id)?.layout()?.geometry(block)?;
        self.held_block(id, block, 0..geometry.source_symbols())?;
        let cached = self.blocks.cached.get_mut(&(id, block))?;
        if let Parity::None = cached.parity {
            cached.parity = Parity::Making(Box::new(Encoding::new(geometry, &[]).ok()?));
            self.make_parity(id, block);
        }
        let cached = self.blocks.cached.get(&(id, block))?;
        let Parity::Made(parity) = &cached.parity else { return None };
        let mut out = vec![0; geometry.symbol_len() as usize];
        Encoder::with_parity(geometry, &cached.bytes, parity).ok()?.write_coded(coded, &mut out).ok()?;
        Some(out)
    }

    /// Goes on with the parity of a block; comes back to it while it is not whole.
    fn make_parity(&mut self, id: ContentId, block: u32) {
        let Some(cached) = self.blocks.cached.get_mut(&(id, block)) else { return };
        let Parity::Making(encoding) = &mut cached.parity else { return };
        if encoding.step(&cached.bytes, &mut [], PARITY_BUDGET_BYTES) == Ok(false) {
            self.blocks.parities_due.insert((id, block));
            self.timers.by(Timer::Decode, self.now);
        } else if let Parity::Making(encoding) = core::mem::take(&mut cached.parity) {
            cached.parity = encoding.into_parity().map_or(Parity::None, Parity::Made);
        }
    }

    /// The next step of every parity that is being made. Who waits for coded symbols is served when theirs is whole.
    pub(crate) fn parities_due(&mut self) {
        let due = core::mem::take(&mut self.blocks.parities_due);
        for &(id, block) in &due {
            self.make_parity(id, block);
        }
        if due.iter().any(|key| !self.blocks.parities_due.contains(key)) {
            self.pump_all();
        }
    }

    /// A block became whole: it is kept, stored, and told of.
    pub(crate) fn keep_whole(&mut self, id: ContentId, block: u32, bytes: Vec<u8>, record: Record) {
        let Some(symbols) = self.contents.get(&id).and_then(|c| c.layout()).map(|l| l.symbols_of(block))
        else {
            return;
        };
        // Only what has not been flushed while the block was being filled is written now.
        self.flush_part(id, block, &bytes, &Bitmap::full(symbols), Some(&record));
        let Some(content) = self.contents.get_mut(&id) else { return };
        let Some(state) = &mut content.state else { return };
        state.whole.insert(block);
        state.records.insert(block);
        state.parts.remove(&block);
        content.flushed.remove(&block);
        content.unsaved = true;
        insert_rising(&mut content.news.0, block);
        content.news.1.retain(|&grown| grown != block);
        self.timers.by(Timer::Haves, self.now + tell_after(content.subscribers.len(), false));
        self.timers.by(Timer::Persist, self.now + PERSIST_EVERY);
        self.cache(id, block, bytes, record, Bitmap::full(symbols));
        self.keep_quota();
    }

    fn cache(&mut self, id: ContentId, block: u32, bytes: Vec<u8>, record: Record, verified: Bitmap) {
        self.blocks.clock += 1;
        self.blocks.bytes += bytes.len() as u64;
        let cached = Cached { bytes, record, verified, parity: Parity::None, used: self.blocks.clock };
        if let Some(old) = self.blocks.cached.insert((id, block), cached) {
            self.blocks.bytes -= old.bytes.len() as u64;
        }
        while self.blocks.bytes > self.config.cache_bytes_max && self.blocks.cached.len() > 1 {
            let Some(oldest) = self.blocks.cached.iter().min_by_key(|(_, c)| c.used).map(|(&key, _)| key)
            else {
                return;
            };
            self.evict(oldest);
        }
    }

    fn evict(&mut self, (id, block): (ContentId, u32)) {
        let Some(cached) = self.blocks.cached.remove(&(id, block)) else { return };
        self.blocks.bytes -= cached.bytes.len() as u64;
        if let Some(content) = self.contents.get_mut(&id)
            && !content.stored
        {
            // It was nowhere but in memory.
            Self::lose(content, block);
        }
    }

    /// A block in memory does not meet its record: the store is damaged.
    fn damaged(&mut self, id: ContentId, block: u32) {
        self.evict((id, block));
        if let Some(content) = self.contents.get_mut(&id) {
            Self::lose(content, block);
        }
    }

    /// A block that was held is not any more: it is fetched again if anyone needs it.
    fn lose(content: &mut Content, block: u32) {
        if let Some(state) = &mut content.state {
            state.whole.remove(block);
            state.records.remove(block);
        }
        content.unsaved = true;
        content.replan = true;
    }

    /// The store answered.
    pub(crate) fn read_done(&mut self, token: Token, bytes: Option<Vec<u8>>) {
        match self.blocks.reads.remove(&token) {
            Some(ReadFor::LoadRecord(id, block)) => {
                self.loaded(id, block, |load, bytes| load.record = Some(bytes), bytes)
            }
            Some(ReadFor::LoadBytes(id, block)) => {
                self.loaded(id, block, |load, bytes| load.bytes = Some(bytes), bytes)
            }
            Some(ReadFor::OpenRecord(id, block)) => self.record_loaded(id, block, bytes),
            Some(ReadFor::GiveRecord(id, block)) => self.record_to_give(id, block, bytes),
            Some(ReadFor::Restore(id, block, first)) => self.restored(id, block, first, bytes),
            None => {}
        }
    }

    fn loaded(
        &mut self,
        id: ContentId,
        block: u32,
        put: impl FnOnce(&mut Load, Vec<u8>),
        bytes: Option<Vec<u8>>,
    ) {
        let Some(load) = self.blocks.loads.get_mut(&(id, block)) else { return };
        // What cannot be read counts as empty, and so fails verification.
        put(load, bytes.unwrap_or_default());
        if load.record.is_none() || load.bytes.is_none() {
            return;
        }
        let Some(Load { len, record: Some(record), bytes: Some(bytes) }) =
            self.blocks.loads.remove(&(id, block))
        else {
            return;
        };
        self.blocks.loading_bytes -= len;
        let Some(content) = self.contents.get_mut(&id) else { return self.pump_all() };
        let Some(state) = &content.state else { return self.pump_all() };
        let symbols = state.manifest.layout().symbols_of(block);
        let is_whole = bytes.len() as u64 == len;
        match Record::decode(&state.manifest, block, &record).filter(|_| is_whole) {
            Some(record) => self.cache(id, block, bytes, record, Bitmap::new(symbols)),
            None => Self::lose(content, block),
        }
        self.deliver(id);
        self.pump_all();
    }

    fn record_loaded(&mut self, id: ContentId, block: u32, bytes: Option<Vec<u8>>) {
        let Some(content) = self.contents.get_mut(&id) else { return };
        let Some(state) = &mut content.state else { return };
        match Record::decode(&state.manifest, block, &bytes.unwrap_or_default()) {
            Some(record) => self.record_known(id, block, record),
            None => {
                state.records.remove(block);
                content.record_asked.remove(&block);
                content.touched = true;
            }
        }
    }

    /// Reads back what the store holds of a block that is being filled again.
    pub(crate) fn restore_parts(&mut self, id: ContentId, block: u32) {
        let Some(content) = self.contents.get_mut(&id) else { return };
        let Some(layout) = content.layout() else { return };
        let Some(part) =
            content.state.as_mut().and_then(|s| s.parts.remove(&block)).filter(|_| content.stored)
        else {
            return;
        };
        let runs = part.runs(64);
        content.flushed.insert(block, part);
        for (first, count) in runs {
            let start = layout.symbol_range(block, first).start;
            let end = layout.symbol_range(block, first + count - 1).end;
            self.read(ReadFor::Restore(id, block, first), id, Area::Data, start, end - start);
        }
    }

    fn restored(&mut self, id: ContentId, block: u32, first: u32, bytes: Option<Vec<u8>>) {
        let Some(content) = self.contents.get_mut(&id) else { return };
        let Some(layout) = content.layout() else { return };
        let Some(transfer) = &mut content.transfer else { return };
        for (at, symbol) in bytes.unwrap_or_default().chunks(layout.symbol_len() as usize).enumerate() {
            let index = first + at as u32;
            if !transfer.restore(block, index, symbol)
                && let Some(flushed) = content.flushed.get_mut(&block)
            {
                flushed.remove(index);
            }
        }
        content.touched = true;
        self.symbol_held(id, block, false);
    }

    /// A block is no longer being filled: what is held of it goes to the store.
    pub(crate) fn put_away(&mut self, id: ContentId, block: u32, assembly: &Assembly) {
        self.flush_part(id, block, assembly.bytes(), assembly.have(), Some(assembly.record()));
        let Some(content) = self.contents.get_mut(&id) else { return };
        let flushed = content.flushed.remove(&block);
        if let (Some(state), Some(flushed)) = (&mut content.state, flushed)
            && !flushed.is_empty()
        {
            state.parts.insert(block, flushed);
            content.unsaved = true;
            self.timers.by(Timer::Persist, self.now + PERSIST_EVERY);
        }
    }

    fn flush_part(
        &mut self,
        id: ContentId,
        block: u32,
        bytes: &[u8],
        have: &Bitmap,
        record: Option<&Record>,
    ) {
        let Some(content) = self.contents.get_mut(&id) else { return };
        let Some(state) = content.state.as_mut().filter(|_| content.stored) else { return };
        let layout = *state.manifest.layout();
        let flushed = content.flushed.entry(block).or_insert_with(|| Bitmap::new(have.len()));
        let mut fresh = Bitmap::new(have.len());
        have.iter().filter(|&i| !flushed.contains(i)).for_each(|i| _ = fresh.insert(i));
        let base = layout.block_range(block).start;
        for (first, count) in fresh.runs(u32::MAX) {
            let start = layout.symbol_range(block, first).start;
            let end = layout.symbol_range(block, first + count - 1).end;
            (first..first + count).for_each(|i| _ = flushed.insert(i));
            let bytes = bytes[(start - base) as usize..(end - base) as usize].to_vec();
            self.out.push_back(Output::StoreWrite { content: id, area: Area::Data, offset: start, bytes });
        }
        if let Some(record) = record
            && !flushed.is_empty()
            && state.records.insert(block)
        {
            let offset = layout.record_range(block).start;
            self.out.push_back(Output::StoreWrite {
                content: id,
                area: Area::Records,
                offset,
                bytes: record.encode(),
            });
        }
    }

    /// Writes what is held of blocks being filled, then the state.
    pub(crate) fn persist(&mut self, id: ContentId) {
        let Some(content) = self.contents.get_mut(&id) else { return };
        if !content.unsaved || !content.stored || content.state.is_none() {
            return;
        }
        content.unsaved = false;
        // Taken out while its blocks are read: nothing in between looks at it.
        if let Some(transfer) = content.transfer.take() {
            for &block in transfer.blocks() {
                if let Some(assembly) = transfer.assembly(block).filter(|a| !a.have().is_empty()) {
                    self.flush_part(id, block, assembly.bytes(), assembly.have(), Some(assembly.record()));
                }
            }
            if let Some(content) = self.contents.get_mut(&id) {
                content.transfer = Some(transfer);
            }
        }
        let Some(content) = self.contents.get(&id) else { return };
        let Some(mut state) = content.state.clone() else { return };
        state
            .parts
            .extend(content.flushed.iter().filter(|(_, f)| !f.is_empty()).map(|(&b, f)| (b, f.clone())));
        self.out.push_back(Output::StoreState { content: id, state: state.encode() });
    }

    pub(crate) fn persist_due(&mut self) {
        let ids: Vec<ContentId> = self.contents.keys().copied().collect();
        ids.into_iter().for_each(|id| self.persist(id));
    }

    /// The store holds this content, from before or because it was just published.
    pub(crate) fn stored(&mut self, id: ContentId, state: &[u8]) {
        let Some(state) = StoredState::decode(&id, state) else {
            return self.out.push_back(Output::StoreRemove { content: id });
        };
        let used = self.next_use();
        let content = self.contents.entry(id).or_insert_with(|| Content::new(used));
        // Published again, perhaps after a failure of the store: what the store says now is what is held.
        content.state = Some(state);
        content.stored = true;
        content.flushed.clear();
        content.last_used = used;
        content.replan = true;
        self.announce_soon(id);
        self.keep_quota();
    }

    pub(crate) fn store_failed(&mut self, id: ContentId) {
        let Some(content) = self.contents.get_mut(&id) else { return };
        content.stored = false;
        let Some(state) = &mut content.state else { return };
        // Only what is in memory is still held.
        let lost: Vec<u32> =
            state.whole.iter().filter(|&b| !self.blocks.cached.contains_key(&(id, b))).collect();
        for block in lost {
            state.whole.remove(block);
            state.records.remove(block);
        }
        state.parts.clear();
        content.flushed.clear();
        content.replan = true;
        self.announce_soon(id);
    }

    /// Forgets a content: here, in the store, and at the relay. Requests of it fail.
    pub(crate) fn remove(&mut self, id: ContentId) {
        let requests: Vec<_> =
            self.requests.iter().filter(|(_, r)| r.content == id).map(|(&r, _)| r).collect();
        requests.into_iter().for_each(|r| self.fail(r, crate::FetchError::Aborted));
        self.excuse_forgotten(id);
        let Some(mut content) = self.contents.remove(&id) else { return };
        if let Some(transfer) = &mut content.transfer {
            transfer.set_plan(Vec::new(), &[]);
            self.connections.excuse(self.now, transfer);
        }
        let keys: Vec<_> = self.blocks.cached.range((id, 0)..=(id, u32::MAX)).map(|(&k, _)| k).collect();
        keys.into_iter().for_each(|key| self.evict(key));
        for connection in content.subscribers {
            self.send(connection, &PeerMessage::HaveNone { content: id });
        }
        self.http_forget(id);
        self.wake_waiting();
        if content.announced.is_some() {
            self.relay_send(peeredge_wire::relay::ToRelay::Withdraw { content: id });
        }
        self.out.push_back(Output::StoreRemove { content: id });
    }

    /// Removes the least recently used contents that no request needs, until the store's bound is kept.
    fn keep_quota(&mut self) {
        loop {
            let held: u64 = self.contents.values().filter(|c| c.stored).map(Content::stored_bytes).sum();
            if held <= self.config.store_bytes_max {
                return;
            }
            let busy = self.requested();
            let oldest = self
                .contents
                .iter()
                .filter(|(id, c)| c.stored && c.state.is_some() && !busy.contains(id))
                .min_by_key(|(_, c)| c.last_used)
                .map(|(&id, _)| id);
            match oldest {
                Some(id) if self.contents.len() > 1 => self.remove(id),
                _ => return,
            }
        }
    }

    /// Forgets contents of which nothing but the manifest ever came, the least recently used first, until those left are few.
    pub(crate) fn keep_bare_few(&mut self) {
        loop {
            let busy = self.requested();
            let bare = self.contents.iter().filter(|(id, c)| c.is_bare && !busy.contains(id));
            let bytes: u64 = bare.clone().map(|(_, c)| c.manifest_bytes()).sum();
            match bare.min_by_key(|(_, c)| c.last_used) {
                Some((&id, _)) if bytes > BARE_BYTES_MAX => self.remove(id),
                _ => return,
            }
        }
    }

    /// The source number under which the own store answers for records.
    pub(crate) const STORE: SourceId = SourceId(u32::MAX - 1);
}
