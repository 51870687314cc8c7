//! One PeerEdge peer as a pure machine: [`Node::handle`] takes an [`Input`], [`Node::poll`] gives [`Output`]s until there are
//! none, and [`Node::deadline`] says when to wake it. The same node runs in browsers, in the relay, in `peeredge get` and in the
//! simulator; sockets, clocks and files belong to the shell around it.
#![forbid(unsafe_code)]

mod ahead;
mod allowance;
mod announcing;
mod asking;
mod blocks;
mod caps;
mod carry;
mod connections;
mod contents;
mod error;
mod excused;
mod fetch;
mod http;
mod input;
mod lanes;
mod live;
mod output;
mod picture;
mod receive;
mod relay_link;
mod rng;
mod seats;
mod serve;
mod servers;
mod standing;
mod stats;
mod tasks;
mod timers;
mod upload;

pub use caps::Caps;
pub use error::FetchError;
pub use input::{HttpFailure, Input, RangeSpec};
pub use live::LiveInput;
pub use output::{Area, Event, Output, Resource, Role, Server};
pub use stats::{ActiveBlock, ContentStats, PeerStats, Stats};
pub use tasks::TaskInput;

pub use peeredge_dts::{
    HASH_BYTES, Layout, LiveEntry, LiveNews, Manifest, PublishError, Published, Publisher, Record,
    StoredState,
};

use ahead::Ahead;
use blocks::Blocks;
use carry::Paths;
use connections::Connections;
use contents::Content;
use core::time::Duration;
use ed25519_dalek::SigningKey;
use fetch::Request;
use http::HttpUse;
use peeredge_wire::{ContentId, PeerId, RequestId, Time, Token};
use picture::Totals;
use relay_link::RelayLink;
use rng::Rng;
use servers::Servers;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use timers::{Timer, Timers};
use upload::Upload;

/// A node that is woken so much later than it asked for was not there, and neither was its page.
const FROZEN_AFTER: Duration = Duration::from_secs(5);

/// The manifest's bytes inside a stored state, for shells that serve it by HTTP; none when the bytes are no state.
pub fn manifest_of_state(state: &[u8]) -> Option<&[u8]> {
    StoredState::manifest_bytes(state)
}

/// How a node behaves; the defaults suit a browser tab.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Ed25519 secret key (RFC 8032, section 5.1.5): 32 random bytes that the shell keeps.
    pub secret_key: [u8; 32],
    /// Seed of all of the node's randomness.
    pub seed: u64,
    /// `host[:port]` of the relay's address as this node knows it, lower case, without the scheme's own port: its proof holds for
    /// no other address. At most 255 bytes. Default `localhost`.
    pub relay_authority: String,
    /// What the visitor allows.
    pub caps: Caps,
    /// Bytes of whole blocks kept in memory. Those being filled take half as much beside, or one block of at most 64 MiB, and up to three
    /// times that while coded symbols are about. Default 64 MiB.
    pub cache_bytes_max: u64,
    /// Bytes in the store; beyond, the least recently used content that no request needs is removed. Default 1 GiB.
    pub store_bytes_max: u64,
    /// Whether plain HTTP may be used when peers cannot meet a deadline. Default true.
    pub http: bool,
    /// Milliseconds that a reader waits for bytes from peers before HTTP is asked as well. Default 400.
    pub http_after_ms: u32,
    /// Milliseconds without any progress after which a request fails. Default 30,000.
    pub give_up_after_ms: u32,
    /// Thousandths of a whole block that are asked as coded symbols from holders of the whole block, on top of what the
    /// tail of a block always does. Default 0: source symbols can be served on at once, coded ones after decoding.
    pub coded_permille: u16,
    /// Whether peers may learn addresses of this node. Without, no direct path to anyone is made: messages pass through the relay
    /// where it carries any, and the relay's own content comes by HTTP. Default true.
    pub direct: bool,
    /// Milliseconds without a direct path after which a connection that this node offered is tried through the relay as well.
    /// Default 5,000.
    pub carried_after_ms: u32,
}

impl Config {
    /// The defaults, with this key and seed.
    pub fn new(secret_key: [u8; 32], seed: u64) -> Self {
        Config {
            secret_key,
            seed,
            relay_authority: "localhost".into(),
            caps: Caps::default(),
            cache_bytes_max: 64 << 20,
            store_bytes_max: 1 << 30,
            http: true,
            http_after_ms: 400,
            give_up_after_ms: 30_000,
            coded_permille: 0,
            direct: true,
            carried_after_ms: 5000,
        }
    }
}

/// One peer.
#[derive(Debug)]
pub struct Node {
    config: Config,
    key: SigningKey,
    id: PeerId,
    now: Time,
    out: VecDeque<Output>,
    rng: Rng,
    timers: Timers,
    relay: RelayLink,
    paths: Paths,
    connections: Connections,
    contents: BTreeMap<ContentId, Content>,
    requests: BTreeMap<RequestId, Request>,
    blocks: Blocks,
    http: BTreeMap<Token, HttpUse>,
    servers: Servers,
    /// Blocks whose decoding goes on.
    decoding: BTreeSet<(ContentId, u32)>,
    upload: Upload,
    ahead: Ahead,
    tasks: tasks::Tasks,
    live: live::Live,
    totals: Totals,
    tokens: u32,
    uses: u64,
    closing: bool,
}

impl Node {
    /// A node that wants its relay first.
    pub fn new(config: Config) -> Self {
        let key = SigningKey::from_bytes(&config.secret_key);
        let mut node = Node {
            id: PeerId(key.verifying_key().to_bytes()),
            key,
            now: Time::ZERO,
            out: VecDeque::new(),
            rng: Rng::new(config.seed),
            connections: Connections::new(config.caps.connections_made_max),
            config,
            timers: Timers::new(),
            relay: RelayLink::new(),
            paths: Paths::default(),
            contents: BTreeMap::new(),
            requests: BTreeMap::new(),
            blocks: Blocks::default(),
            http: BTreeMap::new(),
            servers: Servers::default(),
            decoding: BTreeSet::new(),
            upload: Upload::new(),
            ahead: Ahead::default(),
            tasks: tasks::Tasks::default(),
            live: live::Live::default(),
            totals: Totals::default(),
            tokens: 0,
            uses: 0,
            closing: false,
        };
        node.relay_connect();
        node
    }

    /// This peer's id: its public key.
    pub fn id(&self) -> PeerId {
        self.id
    }

    /// Takes one input. Call [`Node::poll`] until it gives `None` afterwards.
    pub fn handle(&mut self, now: Time, input: Input) {
        let is_late = self.timers.next().is_some_and(|due| now.since(due) > FROZEN_AFTER);
        self.now = now.max(self.now);
        if is_late {
            self.thaw();
        }
        self.handle_inner(input);
        self.run_timers();
        self.settle();
        self.carry_on();
    }

    /// The next output.
    pub fn poll(&mut self) -> Option<Output> {
        self.out.pop_front()
    }

    /// When to call `handle(now, Input::Wake)` at the latest, if nothing else happens before.
    pub fn deadline(&self) -> Option<Time> {
        self.timers.next()
    }

    fn handle_inner(&mut self, input: Input) {
        if self.is_stale(&input) {
            return;
        }
        match input {
            Input::RelayOpened => self.relay_opened(),
            Input::RelayMessage(frame) => self.relay_message(&frame),
            Input::RelayClosed => self.relay_closed(),
            Input::Signal { connection, signal } => self.local_signal(connection, signal),
            Input::Opened { connection, credit_bytes } => self.opened(connection, credit_bytes),
            Input::Message { connection, message } => self.peer_message(connection, &message),
            Input::Credit { connection, bytes } => self.credit(connection, bytes),
            Input::Closed { connection } => {
                if !self.carry_instead(connection) {
                    self.closed(connection);
                }
            }
            Input::ConnectionBudget { made_max } => {
                self.connections.seats.raise(made_max);
                self.take_up_passed_over();
            }
            Input::RoundTrip { connection, micros } => self.round_trip(connection, micros),
            Input::Owner { connection, owner } => {
                if let Some(connection) = self.connections.all.get_mut(&connection) {
                    connection.owner = Some(owner);
                }
            }
            Input::Stored { content, state } => self.stored(content, &state),
            Input::Read { token, bytes } => self.read_done(token, bytes),
            Input::StoreFailed { content } => self.store_failed(content),
            Input::Http { token, result } => self.http_done(token, result),
            Input::Fetch { request, content, range } => self.fetch(request, content, range),
            Input::Origin { content } => self.origin_known(content),
            Input::OriginHost { content, host } => self.origin_host(content, host),
            Input::Pace { request, bytes_per_s } => self.pace(request, bytes_per_s),
            Input::Pull { request, bytes } => self.pull(request, bytes),
            Input::Abort { request } => self.abort(request),
            Input::Remove { content } => self.remove(content),
            Input::Caps(caps) => {
                let could = self.may_supply();
                self.config.caps = caps;
                self.connections.seats.raise(caps.connections_made_max);
                self.upload.caps_changed();
                if !could {
                    self.tell_all_again();
                }
                self.pump_all();
                self.tell_capacity();
                self.settle_ahead();
            }
            Input::Task(task) => self.task_input(task),
            Input::Live(live) => self.live_input(live),
            Input::Wake => {}
            Input::Close => self.close(),
        }
    }

    fn run_timers(&mut self) {
        let now = self.now;
        if self.timers.take(Timer::Relay, now) {
            self.relay_connect();
        }
        if self.timers.take(Timer::Announce, now) {
            self.announce_due();
        }
        if self.timers.take(Timer::Report, now) {
            self.report_due();
        }
        if self.timers.take(Timer::Haves, now) {
            self.tell_news();
        }
        if self.timers.take(Timer::Persist, now) {
            self.persist_due();
        }
        if self.timers.take(Timer::Upload, now) {
            self.pump_all();
        }
        if self.timers.take(Timer::Decode, now) {
            self.decode_due();
            self.parities_due();
        }
        if self.timers.take(Timer::Stir, now) {
            self.stir_due();
        }
        if self.timers.take(Timer::Live, now) {
            self.live_due();
        }
        // The piece itself leaves with all others, at the end of the turn.
        self.timers.take(Timer::Carry, now);
        if self.timers.take(Timer::Check, now) {
            self.check_connections();
            self.check_requests();
            self.check_sources();
            self.manage_lanes();
            self.http_find_late();
            self.http_cancel_losers();
            if self.has_late_work() {
                self.check_soon();
            } else if !self.connections.all.is_empty() {
                self.timers.by(Timer::Check, now + Duration::from_secs(1));
            }
        }
    }

    /// Makes plans again where something changed, gives the page what is there, and asks for more. A reader that moves on
    /// changes its plan, so this goes round until nothing moves.
    fn settle(&mut self) {
        while let Some(id) = self.contents.iter().find(|(_, c)| c.replan || c.touched).map(|(&id, _)| id) {
            if self.contents.get(&id).is_some_and(|c| c.replan) {
                self.replan(id);
                self.deliver(id);
            } else {
                self.ask_all(id);
                self.http_pump(id);
            }
        }
    }
}
