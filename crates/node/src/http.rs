//! Plain HTTP: the sure way. It gives the first bytes while peers are being met, everything when there are none, and what a
//! waiting reader needs when peers are too slow. What it brings is verified like what comes from a peer.

use crate::Node;
use crate::input::HttpFailure;
use crate::output::{Output, Resource};
use core::time::Duration;
use peeredge_dts::{HASH_BYTES, Manifest, ManifestError, Received, Record, SourceId};
use peeredge_wire::peer::Marker;
use peeredge_wire::{ContentId, Time, Token};

/// The source number of plain HTTP.
const HTTP: SourceId = SourceId(u32::MAX);
const TIMEOUT_MS: u32 = 15_000;
/// Symbols of one request while peers are expected to take over, and when HTTP carries everything.
const RUN_SHORT: u32 = 16;
const RUN_LONG: u32 = 64;
/// Requests at a time when HTTP carries everything: while one is answered the next is under way.
const IN_FLIGHT_MAX: u32 = 3;
/// Records of so many blocks are fetched at once.
const RECORD_BLOCKS: u32 = 8;
/// A server that does not have the content is asked again after so long: it may have got it meanwhile.
const REST_NOT_FOUND: Duration = Duration::from_secs(5);
const REST_FAILED: Duration = Duration::from_secs(2);

/// What a request is for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HttpUse {
    content: ContentId,
    what: What,
}

#[derive(Clone, Copy, Debug)]
enum What {
    Manifest,
    Records { first: u32, count: u32 },
    Run { block: u32, first: u32, count: u32 },
}

/// How much HTTP may do now.
struct Allowance {
    in_flight_max: u32,
    run: u32,
    even_under_way: bool,
}

impl Node {
    fn http_get(&mut self, content: ContentId, resource: Resource, what: What) {
        let token = self.next_token();
        self.http.insert(token, HttpUse { content, what });
        self.out.push_back(Output::HttpGet { token, content, resource, timeout_ms: TIMEOUT_MS });
    }

    /// Fetches the manifest, unless a peer has just been asked for it.
    pub(crate) fn http_manifest(&mut self, id: ContentId) {
        let now = self.now;
        let patience = Duration::from_millis(u64::from(self.config.http_after_ms));
        let Some(content) = self.contents.get_mut(&id) else { return };
        let asked_peer = content.manifest_asked.values().any(|&at| now.since(at) < patience);
        if !self.config.http || content.http.manifest_in_flight || asked_peer || content.http.rest_until > now
        {
            return;
        }
        content.http.manifest_in_flight = true;
        self.http_get(id, Resource::Manifest, What::Manifest);
    }

    fn http_allowance(&self, id: ContentId) -> Option<Allowance> {
        let content = self.contents.get(&id)?;
        let transfer = content.transfer.as_ref()?;
        if !self.config.http || content.http.rest_until > self.now {
            return None;
        }
        let patience = Duration::from_millis(u64::from(self.config.http_after_ms));
        let waiting = self.requests.values().filter(|r| r.content == id && r.range.is_some() && r.waits());
        let (since, starving_since) =
            waiting.map(|r| (r.since, r.starving_since)).reduce(|a, b| (a.0.min(b.0), a.1.min(b.1)))?;
        let peers = self.connections.open_ids().into_iter().any(|c| {
            let held = transfer.holdings(crate::connections::source_of(c));
            held.is_some_and(|h| transfer.blocks().iter().any(|&b| h.has_some(b)))
                && self
                    .connections
                    .all
                    .get(&c)
                    .is_some_and(|c| !c.pipe.is_stalled() && c.rest_until <= self.now)
        });
        if !peers {
            let first = content.http.bytes == 0 && content.http.in_flight == 0;
            return match self.now.since(since) > patience {
                true => {
                    Some(Allowance { in_flight_max: IN_FLIGHT_MAX, run: RUN_LONG, even_under_way: false })
                }
                false if first => Some(Allowance { in_flight_max: 1, run: RUN_SHORT, even_under_way: false }),
                false => None,
            };
        }
        // Peers are there but the reader starves: HTTP does more the longer that goes on.
        let streak = content.http.streak.min(3);
        (self.now.since(starving_since) > patience / (1 << streak)).then_some(Allowance {
            in_flight_max: 1,
            run: RUN_SHORT << streak,
            even_under_way: true,
        })
    }

    /// Asks by HTTP for what it may deliver now.
    pub(crate) fn http_pump(&mut self, id: ContentId) {
        while let Some(allowance) = self.http_allowance(id) {
            let now = self.now;
            let Some(content) = self.contents.get_mut(&id) else { return };
            let (Some(layout), Some(transfer)) = (content.layout(), &mut content.transfer) else { return };
            if content.http.in_flight >= allowance.in_flight_max {
                return;
            }
            let unknown = transfer.blocks_without_record().next();
            if let Some(first) = unknown.filter(|b| transfer.blocks().first() == Some(b)) {
                if self.http.values().any(|u| u.content == id && matches!(u.what, What::Records { .. })) {
                    return;
                }
                let count = RECORD_BLOCKS.min(layout.blocks() - first);
                let (start, end) =
                    (layout.record_range(first).start, layout.record_range(first + count - 1).end);
                content.http.in_flight += 1;
                self.http_get(id, Resource::Records { start, end }, What::Records { first, count });
                return;
            }
            let Some((block, first, count)) = transfer.http_run(allowance.run, allowance.even_under_way)
            else {
                return;
            };
            transfer.http_asked(now, HTTP, block, first, count);
            content.http.in_flight += 1;
            if allowance.even_under_way {
                content.http.streak = if now.since(content.http.rescued) < Duration::from_secs(2) {
                    content.http.streak + 1
                } else {
                    0
                };
                content.http.rescued = now;
            }
            let start = layout.symbol_range(block, first).start;
            let end = layout.symbol_range(block, first + count - 1).end;
            self.http_get(id, Resource::Bytes { start, end }, What::Run { block, first, count });
        }
    }

    pub(crate) fn http_done(&mut self, token: Token, result: Result<Vec<u8>, HttpFailure>) {
        let Some(HttpUse { content: id, what }) = self.http.remove(&token) else { return };
        let now = self.now;
        let Some(content) = self.contents.get_mut(&id) else { return };
        match what {
            What::Manifest => content.http.manifest_in_flight = false,
            _ => content.http.in_flight = content.http.in_flight.saturating_sub(1),
        }
        content.touched = true;
        let sound = match result {
            Ok(bytes) => self.http_take(id, what, &bytes),
            Err(failure) => {
                let rest = match failure {
                    HttpFailure::Status(404 | 410 | 416) => REST_NOT_FOUND,
                    _ => REST_FAILED,
                };
                content.http.rest_until = now + rest;
                if let Some(transfer) = &mut content.transfer {
                    transfer.give_up_on_flights(HTTP);
                }
                true
            }
        };
        if !sound && let Some(content) = self.contents.get_mut(&id) {
            // A server that sends wrong bytes is not asked for this content again.
            content.http.rest_until = Time::NEVER;
            if let Some(transfer) = &mut content.transfer {
                transfer.give_up_on_flights(HTTP);
            }
        }
    }

    /// Takes what HTTP brought; false when it is not what was asked for.
    fn http_take(&mut self, id: ContentId, what: What, bytes: &[u8]) -> bool {
        let Some(content) = self.contents.get_mut(&id) else { return true };
        match what {
            What::Manifest => match Manifest::decode(&id, bytes) {
                Ok(manifest) => {
                    self.manifest_known(id, manifest);
                    true
                }
                Err(ManifestError::Hash) => {
                    content.manifest_lied = true;
                    self.totals.rejected_bytes += bytes.len() as u64;
                    false
                }
                Err(_) => {
                    self.manifest_impossible(id);
                    true
                }
            },
            What::Records { first, count } => {
                let Some(state) = &content.state else { return true };
                let layout = *state.manifest.layout();
                let mut rest = bytes;
                let mut records = Vec::new();
                for block in first..first + count {
                    let Some((record, tail)) =
                        rest.split_at_checked(layout.symbols_of(block) as usize * HASH_BYTES)
                    else {
                        break;
                    };
                    rest = tail;
                    let Some(record) = Record::decode(&state.manifest, block, record) else { break };
                    records.push((block, record));
                }
                let sound = records.len() == count as usize;
                records.into_iter().for_each(|(block, record)| self.record_known(id, block, record));
                sound
            }
            What::Run { block, first, count } => {
                let Some(layout) = content.layout() else { return true };
                let chunks: Vec<&[u8]> = bytes.chunks(layout.symbol_len() as usize).collect();
                let mut sound = chunks.len() == count as usize;
                for (index, symbol) in (first..).zip(chunks) {
                    sound &= self.http_symbol(id, block, index, symbol);
                }
                sound
            }
        }
    }

    fn http_symbol(&mut self, id: ContentId, block: u32, index: u32, symbol: &[u8]) -> bool {
        let Some(content) = self.contents.get_mut(&id) else { return true };
        let Some(transfer) = &mut content.transfer else { return true };
        let bytes = symbol.len() as u64;
        match transfer.receive(HTTP, block, Marker::Source(index), symbol) {
            Received::New => {
                content.http.bytes += bytes;
                self.totals.from_http_bytes += bytes;
                content.progress = self.now;
                self.symbol_held(id, block);
                true
            }
            Received::Duplicate | Received::Unasked => {
                self.totals.duplicate_bytes += bytes;
                true
            }
            Received::Contradicts => {
                self.totals.rejected_bytes += bytes;
                false
            }
        }
    }

    /// Answers for this content are no longer needed.
    pub(crate) fn http_forget(&mut self, id: ContentId) {
        let tokens: Vec<Token> = self.http.iter().filter(|(_, u)| u.content == id).map(|(&t, _)| t).collect();
        for token in tokens {
            self.http.remove(&token);
            self.out.push_back(Output::HttpCancel { token });
        }
    }
}
