//! Plain HTTP: the sure way. It gives the first bytes while peers are being met, everything when there are none, what a waiting
//! reader needs when peers let it starve, and its full rate as long as all peers together are slower than it alone: so nothing
//! takes longer than by plain HTTP. What it brings is verified like what comes from a peer.

use crate::Node;
use crate::connections::Connection;
use crate::contents::{Content, HttpUseOfContent, ServerUse};
use crate::input::HttpFailure;
use crate::output::{Output, Resource, Server};
use crate::servers::{Host, Servers};
use core::ops::Range;
use core::time::Duration;
use peeredge_dts::{HASH_BYTES, Manifest, ManifestError, Received, Record, SourceId};
use peeredge_wire::peer::Marker;
use peeredge_wire::{ConnectionId, ContentId, Time, Token};

/// The source numbers of plain HTTP.
const RELAY: SourceId = SourceId(u32::MAX);
const ORIGIN: SourceId = SourceId(u32::MAX - 1);
const TIMEOUT_MS: u32 = 15_000;
/// For a manifest and records, which are small.
const TIMEOUT_SMALL_MS: u32 = 5000;
/// A server that owes an answer for so long, and for several times as long as its rate promises, is late: the other one is raced
/// against it.
const LATE: Duration = Duration::from_millis(1500);
const LATE_TIMES: f64 = 3.0;
/// Symbols of the first request that helps a reader whom peers let starve.
const RUN_SHORT: u32 = 16;
/// Where HTTP carries everything a request is what it brings in this time, within these bounds; so many symbols as long as its rate
/// is unknown.
const RUN_S: f64 = 0.25;
const RUN_MIN: u32 = 4;
const RUN_MAX: u32 = 64;
const RUN_FIRST: u32 = 8;
/// Requests at a time when HTTP carries everything: while one is answered the next is under way.
const IN_FLIGHT_MAX: u32 = 3;
/// Records of so many bytes are fetched at once, and of one block at least.
const RECORDS_BYTES: u64 = 64 << 10;
/// What HTTP is asked for at most while peers are being met.
const MEETING_BYTES_MAX: u64 = 1_000_000;
/// Peers are slower than HTTP when they give less than this share of its rate.
const PEERS_SLOWER: f64 = 0.9;
/// Peers that give this share beside HTTP might give all of it without: they are tried alone, for so long.
const PEERS_PROMISING: f64 = 0.5;
const TRIAL: Duration = Duration::from_secs(1);
/// The first trial, when they have just been met. What HTTP was asked for before lasts about as long, so it costs nothing.
const TRIAL_FIRST: Duration = Duration::from_millis(300);
/// Bytes a second of the relay's HTTP below which its data channel is used as well: loss may hold the one back, not the other.
const HTTP_ENOUGH_BYTES_PER_S: f64 = 1e6;
/// Until peers are tried again; doubled each time.
pub(crate) const TRIAL_WAIT_FIRST: Duration = Duration::from_secs(10);
/// Weight of the newest measurement of HTTP's rate.
const RATE_WEIGHT: f64 = 0.5;
/// A server that does not have the content is asked again after so long: it may have got it meanwhile.
const REST_NOT_FOUND: Duration = Duration::from_secs(5);
const REST_FAILED: Duration = Duration::from_secs(2);
/// Each failure in a row doubles the rest, up to this.
const REST_MAX: Duration = Duration::from_secs(60);

/// What a request is for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HttpUse {
    content: ContentId,
    server: Server,
    host: Host,
    what: What,
    asked: Time,
}

/// What came of an answer.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Taken {
    Whole,
    /// Less than was asked for, or what may be an answer cut short.
    Short,
    /// The whole content or more than the range that was asked for: each request would cost all of it.
    NoRanges,
    /// Bytes that contradict the link.
    Wrong,
}

fn source_of_server(server: Server) -> SourceId {
    match server {
        Server::Relay => RELAY,
        Server::Origin => ORIGIN,
    }
}

#[derive(Clone, Copy, Debug)]
enum What {
    Manifest,
    Records { first: u32, count: u32 },
    Run { block: u32, first: u32, count: u32 },
}

/// How readers wait for a content's bytes.
#[derive(Clone, Copy, Debug)]
struct Waits {
    since: Time,
    starving_since: Time,
    /// None if any of them wants all as soon as possible.
    pace: Option<u64>,
}

impl Waits {
    fn both(self, other: Waits) -> Waits {
        Waits {
            since: self.since.min(other.since),
            starving_since: self.starving_since.min(other.starving_since),
            pace: self.pace.zip(other.pace).map(|(one, two)| one.saturating_add(two)),
        }
    }
}

/// How much HTTP may do now.
struct Allowance {
    in_flight_max: u32,
    run: u32,
    even_under_way: bool,
    /// Whether HTTP was seen to give what a page plays, or was not seen.
    is_fast: bool,
}

impl HttpUseOfContent {
    fn of(&self, server: Server) -> &ServerUse {
        match server {
            Server::Relay => &self.relay,
            Server::Origin => &self.origin,
        }
    }

    fn of_mut(&mut self, server: Server) -> &mut ServerUse {
        match server {
            Server::Relay => &mut self.relay,
            Server::Origin => &mut self.origin,
        }
    }

    fn host(&self, server: Server) -> Host {
        match server {
            Server::Relay => Host::Relay,
            Server::Origin => Host::Site(self.origin_host),
        }
    }

    /// Whether this one may be asked now.
    fn can_ask(&self, now: Time, server: Server, servers: &Servers) -> bool {
        let of = self.of(server);
        !of.is_out && of.rest_until <= now && !servers.is_shunned(now, self.host(server))
    }

    /// Who is to be asked for bytes: the site's own server, while it can be; it is what the relay's uplink is to be spared by. Whoever
    /// is late is so only where there is another one.
    fn server(&self, now: Time, servers: &Servers) -> Option<Server> {
        let can = |server: &Server| self.can_ask(now, *server, servers);
        let is_late = match self.late {
            Some(server) => server == Server::Origin,
            None => servers.is_late(now, self.host(Server::Origin)),
        };
        let order = match is_late {
            true => [Server::Relay, Server::Origin],
            false => [Server::Origin, Server::Relay],
        };
        order.into_iter().find(can)
    }

    fn has_both(&self) -> bool {
        [&self.relay, &self.origin].into_iter().all(|of| !of.is_out && of.rest_until < Time::NEVER)
    }

    fn in_flight(&self) -> u32 {
        self.relay.in_flight + self.origin.in_flight
    }

    /// This server failed: it rests, the longer the more often it did.
    fn failed(&mut self, now: Time, server: Server, rest: Duration) {
        let of = self.of_mut(server);
        of.rest_until = now + (rest * 2u32.saturating_pow(of.failures.min(8))).min(REST_MAX);
        of.failures += 1;
        self.forgive(server);
    }

    /// This server is not asked for this content again.
    fn out(&mut self, server: Server) {
        self.of_mut(server).is_out = true;
        self.forgive(server);
    }

    /// This server owes nothing any more.
    fn forgive(&mut self, server: Server) {
        if self.late == Some(server) {
            self.late = None;
        }
    }

    /// A request that was under way since the busy time began, or later, brought so much.
    fn measure(&mut self, now: Time, bytes: u64) {
        self.busy.1 += bytes;
        let seconds = now.since(self.busy.0).as_secs_f64().max(1e-3);
        let newest = self.busy.1 as f64 / seconds;
        self.rate = Some(self.rate.map_or(newest, |rate| rate + (newest - rate) * RATE_WEIGHT));
    }

    /// A request for so much lost its race: HTTP is no faster than that.
    fn lost(&mut self, now: Time, bytes: u64) {
        let most = (self.busy.1 + bytes) as f64 / now.since(self.busy.0).as_secs_f64().max(1e-3);
        self.rate = Some(self.rate.map_or(most, |rate| rate.min(most)));
    }
}

impl Content {
    /// What HTTP may do where nothing else is as fast.
    fn full_rate(&self, even_under_way: bool) -> Allowance {
        let symbol_bytes = self.layout().map_or(1, |layout| layout.symbol_len());
        let run = self.http.rate.map_or(RUN_FIRST, |rate| (rate * RUN_S / f64::from(symbol_bytes)) as u32);
        Allowance {
            in_flight_max: IN_FLIGHT_MAX,
            run: run.clamp(RUN_MIN, RUN_MAX),
            even_under_way,
            is_fast: true,
        }
    }

    /// What HTTP may do for pages that play: many may play the same.
    fn paced(&self, bytes_per_s: u64) -> Allowance {
        let symbol_bytes = self.layout().map_or(1, |layout| layout.symbol_len());
        let run = (bytes_per_s as f64 * RUN_S / f64::from(symbol_bytes)).ceil() as u32;
        let is_fast = self.http.rate.is_none_or(|rate| rate >= bytes_per_s as f64);
        Allowance { in_flight_max: 1, run: run.clamp(1, RUN_MAX), even_under_way: true, is_fast }
    }
}

impl Node {
    fn http_get(&mut self, content: ContentId, server: Server, resource: Resource, what: What) {
        let token = self.next_token();
        let host = self.contents.get(&content).map_or(Host::Relay, |of| of.http.host(server));
        self.http.insert(token, HttpUse { content, server, host, what, asked: self.now });
        let timeout_ms = if matches!(what, What::Run { .. }) { TIMEOUT_MS } else { TIMEOUT_SMALL_MS };
        self.out.push_back(Output::HttpGet { token, content, resource, server, timeout_ms });
    }

    /// The site's own server has this content, too.
    pub(crate) fn origin_known(&mut self, id: ContentId) {
        if let Some(content) = self.contents.get_mut(&id)
            && content.http.origin.rest_until == Time::NEVER
        {
            content.http.origin.rest_until = Time::ZERO;
            content.touched = true;
        }
    }

    /// Which of the site's servers has this content's bytes.
    pub(crate) fn origin_host(&mut self, id: ContentId, host: u32) {
        if let Some(content) = self.contents.get_mut(&id) {
            content.http.origin_host = host;
        }
    }

    /// Fetches the manifest, unless a peer has just been asked for it.
    pub(crate) fn http_manifest(&mut self, id: ContentId) {
        let now = self.now;
        let patience = Duration::from_millis(u64::from(self.config.http_after_ms));
        let Some(content) = self.contents.get_mut(&id) else { return };
        let asked_peer = content.manifest_asked.values().any(|&at| now.since(at) < patience);
        let can_ask = content.http.can_ask(now, Server::Relay, &self.servers);
        if !self.config.http || content.http.manifest_in_flight || asked_peer || !can_ask {
            return;
        }
        content.http.manifest_in_flight = true;
        self.http_get(id, Server::Relay, Resource::Manifest, What::Manifest);
    }

    fn http_allowance(&self, id: ContentId) -> Option<Allowance> {
        let content = self.contents.get(&id)?;
        content.transfer.as_ref()?;
        if !self.config.http || content.http.server(self.now, &self.servers).is_none() {
            return None;
        }
        let patience = Duration::from_millis(u64::from(self.config.http_after_ms));
        let waiting = self.requests.values().filter(|r| r.content == id && r.range.is_some() && r.waits());
        let waits = waiting.map(|r| Waits { since: r.since, starving_since: r.starving_since, pace: r.pace });
        let waits = waits.reduce(Waits::both)?;
        if !self.has_peers(id, false) {
            // While peers are being met: one request and another, so that little is lost if none come. A page that plays gets
            // the first bytes only, since many may begin at once.
            let first = content.http.bytes == 0 && content.http.in_flight() == 0;
            let asked = content
                .transfer
                .as_ref()
                .map_or(0, |transfer| transfer.in_flight_bytes(RELAY) + transfer.in_flight_bytes(ORIGIN));
            let few = content.http.bytes + asked < MEETING_BYTES_MAX;
            return match (self.now.since(waits.since) > patience, waits.pace) {
                // While others are being met they may be about to play the same.
                (true, Some(pace)) if self.connections.opening() => Some(content.paced(pace)),
                (true, Some(pace)) => Some(Allowance { in_flight_max: IN_FLIGHT_MAX, ..content.paced(pace) }),
                (false, Some(pace)) => first.then(|| Allowance { run: 1, ..content.paced(pace) }),
                // Something may still be under way from one that fell silent.
                (true, None) => Some(content.full_rate(self.now.since(waits.starving_since) > patience)),
                (false, None) => few.then(|| content.full_rate(false)),
            };
        }
        // Peers are there. What is due though they are, is the transfer's to say.
        if let Some(pace) = waits.pace {
            let allowance = content.paced(pace);
            return (allowance.is_fast || !self.relay_channel_gives(id)).then_some(allowance);
        }
        // HTTP does more the longer a reader starves nevertheless.
        let streak = content.http.streak.min(3);
        let starves = self.now.since(waits.starving_since) > patience / (1 << streak);
        let is_spared = self.peers_are_tried(id) || self.peers_give(id, PEERS_SLOWER);
        match (is_spared, starves) {
            (false, _) => Some(content.full_rate(starves)),
            (true, true) => Some(Allowance {
                in_flight_max: 1,
                run: RUN_SHORT << streak,
                even_under_way: true,
                is_fast: true,
            }),
            (true, false) => None,
        }
    }

    /// Whether peers give this share of what HTTP would. The relay's own connection is no reason to spare the relay's HTTP: both take the same
    /// uplink, and HTTP with fewer headers.
    fn peers_give(&self, id: ContentId, share: f64) -> bool {
        let Some(http) = self.contents.get(&id).map(|c| &c.http) else { return false };
        let but_relay = http.server(self.now, &self.servers) == Some(Server::Relay);
        http.rate.is_some_and(|rate| self.peers_bytes_per_s(id, but_relay) >= rate * share)
    }

    /// Whether the relay's own connection is well: its HTTP takes the same uplink.
    fn relay_channel_gives(&self, id: ContentId) -> bool {
        let Some(transfer) = self.contents.get(&id).and_then(|c| c.transfer.as_ref()) else { return false };
        let gives = |(id, c): (&ConnectionId, &Connection)| {
            let holds = transfer.holdings(crate::connections::source_of(*id)).is_some_and(|h| h.is_seed());
            holds && self.relay.relay == Some(c.peer) && !c.pipe.is_stalled() && c.rest_until <= self.now
        };
        self.connections.all.iter().any(gives)
    }

    /// Whether a trial goes on: the first to its end, any other as long as they keep their promise.
    fn peers_are_tried(&self, id: ContentId) -> bool {
        let Some(http) = self.contents.get(&id).map(|c| &c.http) else { return false };
        let is_first = http.trial_after == http.trial_until;
        http.trial_until > self.now && (is_first || self.peers_give(id, PEERS_PROMISING))
    }

    /// Whether what this connection would give comes better by HTTP: it is the relay's own, which has but one uplink for both, and its
    /// HTTP is well. A page that plays has other reasons.
    pub(crate) fn http_stands_for(&self, id: ContentId, connection: ConnectionId) -> bool {
        let Some(http) = self.contents.get(&id).map(|c| &c.http) else { return false };
        let is_relay =
            self.connections.all.get(&connection).is_some_and(|c| self.relay.relay == Some(c.peer));
        is_relay
            && self.config.http
            && http.server(self.now, &self.servers) == Some(Server::Relay)
            && http.rate.is_none_or(|rate| rate >= HTTP_ENOUGH_BYTES_PER_S)
            && self.requests.values().any(|r| r.content == id && r.pace.is_none())
    }

    /// Begins a trial of the peers without HTTP, where they promise something.
    fn try_peers(&mut self, id: ContentId) {
        let now = self.now;
        let Some(http) = self.contents.get(&id).map(|c| &c.http) else { return };
        if http.trial_after > now {
            return;
        }
        let but_relay = http.server(now, &self.servers) == Some(Server::Relay);
        let is_first = http.trial_until == Time::ZERO;
        let trial = match is_first {
            true => self.has_peers(id, but_relay).then_some(TRIAL_FIRST),
            false => self.peers_give(id, PEERS_PROMISING).then_some(TRIAL),
        };
        let (Some(trial), Some(content)) = (trial, self.contents.get_mut(&id)) else { return };
        let http = &mut content.http;
        http.trial_until = now + trial;
        http.trial_after = http.trial_until;
        if !is_first {
            http.trial_after = http.trial_until + http.trial_wait;
            http.trial_wait *= 2;
        }
    }

    /// Whether a peer, other than the relay's own where it does not count, holds something of the blocks that are being filled, and
    /// gives.
    fn has_peers(&self, id: ContentId, but_relay: bool) -> bool {
        let Some(transfer) = self.contents.get(&id).and_then(|c| c.transfer.as_ref()) else { return false };
        self.connections.open_ids().into_iter().any(|c| {
            let held = transfer.holdings(crate::connections::source_of(c));
            held.is_some_and(|h| transfer.blocks().iter().any(|&b| h.has_some(b)))
                && self
                    .connections
                    .all
                    .get(&c)
                    .filter(|c| !(but_relay && self.relay.relay == Some(c.peer)))
                    .is_some_and(|c| !c.pipe.is_stalled() && c.rest_until <= self.now)
        })
    }

    /// What all peers together give now, but for the relay's own where it does not count.
    fn peers_bytes_per_s(&self, id: ContentId, but_relay: bool) -> f64 {
        let Some(transfer) = self.contents.get(&id).and_then(|c| c.transfer.as_ref()) else { return 0.0 };
        let gives = |(id, c): (&ConnectionId, &Connection)| {
            let source = crate::connections::source_of(*id);
            if transfer.in_flight_bytes(source) == 0 || (but_relay && self.relay.relay == Some(c.peer)) {
                return 0.0;
            }
            c.rate.rate().map_or(0.0, |rate| c.pipe.believed_bytes_per_s(self.now, Some(rate), None, true))
        };
        self.connections.all.iter().map(gives).sum()
    }

    /// Asks by HTTP for what it may deliver now.
    pub(crate) fn http_pump(&mut self, id: ContentId) {
        self.try_peers(id);
        self.note_playing(id);
        while let Some(allowance) = self.http_allowance(id) {
            let now = self.now;
            let Some(content) = self.contents.get_mut(&id) else { return };
            let (Some(layout), Some(transfer)) = (content.layout(), &mut content.transfer) else { return };
            let Some(server) = content.http.server(now, &self.servers) else { return };
            if content.http.of(server).in_flight >= allowance.in_flight_max {
                return;
            }
            let unknown = transfer.blocks_without_record().next();
            let asked = self.http.values().any(|u| u.content == id && matches!(u.what, What::Records { .. }));
            // Only the relay has them.
            let can_ask = !asked && content.http.can_ask(now, Server::Relay, &self.servers);
            if let Some(first) = unknown.filter(|_| can_ask) {
                let of_block = layout.record_range(first);
                let count = (RECORDS_BYTES / (of_block.end - of_block.start).max(1)).max(1);
                let count = u32::try_from(count).unwrap_or(u32::MAX).min(layout.blocks() - first);
                let (start, end) =
                    (layout.record_range(first).start, layout.record_range(first + count - 1).end);
                content.http.relay.in_flight += 1;
                self.http_get(
                    id,
                    Server::Relay,
                    Resource::Records { start, end },
                    What::Records { first, count },
                );
                continue;
            }
            // A race for what another server owes; peers' share of it goes the usual way.
            let is_race = content.http.late.is_some_and(|late| late != server);
            let own: &[SourceId] = if is_race { &[source_of_server(server)] } else { &[RELAY, ORIGIN] };
            let even_under_way = allowance.even_under_way || is_race;
            let Some((block, first, count)) =
                transfer.http_run(own, allowance.run, even_under_way, allowance.is_fast)
            else {
                return;
            };
            transfer.http_asked(now, source_of_server(server), block, first, count);
            if content.http.in_flight() == 0 {
                content.http.busy = (now, 0);
            }
            content.http.of_mut(server).in_flight += 1;
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
            self.http_get(id, server, Resource::Bytes { start, end }, What::Run { block, first, count });
        }
    }

    pub(crate) fn http_done(&mut self, token: Token, result: Result<Vec<u8>, HttpFailure>) {
        let Some(HttpUse { content: id, server, host, what, .. }) = self.http.remove(&token) else { return };
        let now = self.now;
        let Some(content) = self.contents.get_mut(&id) else { return };
        match what {
            What::Manifest => content.http.manifest_in_flight = false,
            _ => content.http.of_mut(server).in_flight = content.http.of(server).in_flight.saturating_sub(1),
        }
        content.touched = true;
        if let (What::Run { .. }, Ok(bytes)) = (what, &result) {
            content.http.measure(now, bytes.len() as u64);
        }
        let (taken, rest) = match result {
            Ok(bytes) => (Some(self.http_take(id, server, what, &bytes)), REST_FAILED),
            Err(HttpFailure::Status(404 | 410 | 416)) => (None, REST_NOT_FOUND),
            Err(HttpFailure::Status(200)) => (Some(Taken::NoRanges), REST_FAILED),
            Err(_) => (None, REST_FAILED),
        };
        let Some(content) = self.contents.get_mut(&id) else { return };
        match taken {
            Some(Taken::Whole) => {
                content.http.of_mut(server).failures = 0;
                content.http.forgive(server);
                self.servers.was_well(now, host);
                return;
            }
            Some(Taken::NoRanges) => content.http.out(server),
            Some(Taken::Wrong) => {
                content.http.out(server);
                self.servers.lied(now, host, id);
            }
            Some(Taken::Short) | None => content.http.failed(now, server, rest),
        }
        if let Some(transfer) = &mut content.transfer {
            transfer.give_up_on_flights(source_of_server(server));
        }
    }

    /// Takes what HTTP brought.
    fn http_take(&mut self, id: ContentId, server: Server, what: What, bytes: &[u8]) -> Taken {
        let Some(content) = self.contents.get_mut(&id) else { return Taken::Whole };
        match what {
            What::Manifest => match Manifest::decode(&id, bytes) {
                Ok(manifest) => {
                    self.manifest_known(id, manifest);
                    Taken::Whole
                }
                Err(ManifestError::Hash) => {
                    content.manifest_lied = true;
                    self.totals.rejected_bytes += bytes.len() as u64;
                    // A lie, or an answer that was cut short.
                    Taken::Short
                }
                Err(error) => {
                    self.manifest_impossible(id, error);
                    Taken::Whole
                }
            },
            What::Records { first, count } => {
                let Some(state) = &content.state else { return Taken::Whole };
                let layout = *state.manifest.layout();
                let mut taken = Taken::Whole;
                let mut rest = bytes;
                let mut records = Vec::new();
                for block in first..first + count {
                    let Some((record, tail)) =
                        rest.split_at_checked(layout.symbols_of(block) as usize * HASH_BYTES)
                    else {
                        taken = Taken::Short;
                        break;
                    };
                    rest = tail;
                    let Some(record) = Record::decode(&state.manifest, block, record) else {
                        taken = Taken::Wrong;
                        break;
                    };
                    records.push((block, record));
                }
                records.into_iter().for_each(|(block, record)| self.record_known(id, block, record));
                taken
            }
            What::Run { block, first, count } => {
                let (taken, is_news) = self.http_run(id, server, block, first..first + count, bytes);
                // Once for all of them: readers get few large pieces rather than each symbol by itself.
                if is_news {
                    self.symbol_held(id, block, true);
                }
                taken
            }
        }
    }

    /// Takes a run of symbols; gives what the answer was, and whether any of them was new.
    fn http_run(
        &mut self,
        id: ContentId,
        server: Server,
        block: u32,
        indexes: Range<u32>,
        bytes: &[u8],
    ) -> (Taken, bool) {
        let mut is_news = false;
        let Some(layout) = self.contents.get(&id).and_then(|content| content.layout()) else {
            return (Taken::Whole, is_news);
        };
        let mut rest = bytes;
        for index in indexes {
            let range = layout.symbol_range(block, index);
            let Some((symbol, tail)) = rest.split_at_checked((range.end - range.start) as usize) else {
                return (Taken::Short, is_news);
            };
            rest = tail;
            match self.http_symbol(id, server, block, index, symbol) {
                Received::New => is_news = true,
                Received::Duplicate | Received::Unasked => {}
                Received::Contradicts => return (Taken::Wrong, is_news),
            }
        }
        // More than was asked for is no answer to it.
        (if rest.is_empty() { Taken::Whole } else { Taken::NoRanges }, is_news)
    }

    fn http_symbol(
        &mut self,
        id: ContentId,
        server: Server,
        block: u32,
        index: u32,
        symbol: &[u8],
    ) -> Received {
        let Some(content) = self.contents.get_mut(&id) else { return Received::Unasked };
        let Some(transfer) = &mut content.transfer else { return Received::Unasked };
        let bytes = symbol.len() as u64;
        let received = transfer.receive(source_of_server(server), block, Marker::Source(index), symbol);
        match received {
            Received::New => {
                content.http.bytes += bytes;
                self.totals.from_http_bytes += bytes;
                if server == Server::Origin {
                    self.totals.from_origin_bytes += bytes;
                }
                content.progress = self.now;
            }
            Received::Duplicate | Received::Unasked => self.totals.duplicate_bytes += bytes,
            Received::Contradicts => self.totals.rejected_bytes += bytes,
        }
        received
    }

    /// Ends requests whose symbols have all come from elsewhere meanwhile: they lost the race.
    pub(crate) fn http_cancel_losers(&mut self) {
        let mut lost = Vec::new();
        for (&token, u) in &self.http {
            let What::Run { block, first, count } = u.what else { continue };
            let Some(content) = self.contents.get(&u.content) else { continue };
            let held = |index| {
                let assembly = content.transfer.as_ref().and_then(|t| t.assembly(block));
                content.has_block(block) || assembly.is_some_and(|a| a.have().contains(index))
            };
            if (first..first + count).all(held) {
                lost.push((token, u.content));
            }
        }
        for (token, id) in lost {
            let asked = self.http.remove(&token);
            self.out.push_back(Output::HttpCancel { token });
            let Some(content) = self.contents.get_mut(&id) else { continue };
            content.touched = true;
            let symbol_bytes = content.layout().map_or(0, |layout| u64::from(layout.symbol_len()));
            if let Some(HttpUse { what: What::Run { count, .. }, server, .. }) = asked {
                content.http.of_mut(server).in_flight = content.http.of(server).in_flight.saturating_sub(1);
                content.http.lost(self.now, u64::from(count) * symbol_bytes);
                if content.http.late == Some(server) && content.http.of(server).in_flight == 0 {
                    match content.http.has_both() {
                        // It lost against the other one.
                        true => content.http.failed(self.now, server, REST_FAILED),
                        false => content.http.forgive(server),
                    }
                }
            }
        }
    }

    /// Finds servers that owe an answer for too long.
    pub(crate) fn http_find_late(&mut self) {
        let now = self.now;
        for u in self.http.values() {
            let What::Run { count, .. } = u.what else { continue };
            let Some(content) = self.contents.get_mut(&u.content) else { continue };
            let bytes = u64::from(count) * content.layout().map_or(0, |l| u64::from(l.symbol_len()));
            let promised_s = content.http.rate.map_or(0.0, |rate| bytes as f64 / rate.max(1.0));
            let owes = now.since(u.asked);
            if content.http.late.is_none()
                && owes > LATE
                && (owes.as_secs_f64() > promised_s * LATE_TIMES || content.http.bytes == 0)
            {
                content.http.late = Some(u.server);
                content.touched = true;
                if u.server == Server::Origin {
                    self.servers.was_late(now, u.host);
                }
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
