//! Any sequence of inputs to a node, read from bytes: three strangers that say what they like, a page that reads and follows a publisher
//! that signs two lists, a relay, a site's server that lies, and a store.
//! What must hold whatever they do is checked after each. The fuzz target `node` in `tests/fuzz` runs the same.

use core::time::Duration;
use ed25519_dalek::SigningKey;
use peeredge_dts::{LiveEntry, LiveNews, LiveWriter, Publisher};
use peeredge_node::{Area, Caps, Config, HttpFailure, Input, LiveInput, Node, Output, RangeSpec, Resource};
use peeredge_wire::peer::{Marker, PeerMessage, Pick, RefuseReason};
use peeredge_wire::relay::FromRelay;
use peeredge_wire::{ConnectionId, ContentId, PROTOCOL_VERSION, PeerId, RequestId, Time};
use std::collections::BTreeMap;

const LENGTH: usize = 300_000;
const CACHE_BYTES: u64 = 1 << 20;
const STRANGERS: u8 = 3;
/// From this part on the publisher's two lists differ.
const FORK: u64 = 5;

/// A content with all that others may be given of it.
struct Content {
    id: ContentId,
    data: Vec<u8>,
    manifest: Vec<u8>,
    records: Vec<u8>,
    state: Vec<u8>,
}

fn content(seed: u8) -> Content {
    let data: Vec<u8> = (0..LENGTH).map(|i| (i / 3 + i * 7) as u8 ^ seed).collect();
    let mut publisher = Publisher::new(LENGTH as u64, "n", "t").expect("in range");
    publisher.push(&data).expect("its length");
    let done = publisher.finish().expect("all of it");
    let records = publisher.take_records();
    Content { id: done.content, data, manifest: done.manifest, records, state: done.state }
}

/// Bytes as decisions; zeros when they are used up.
struct Script<'a>(&'a [u8]);

impl Script<'_> {
    fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *first
    }

    fn below(&mut self, bound: u8) -> u8 {
        self.byte() % bound
    }

    /// A number that is small, or an edge.
    fn number(&mut self) -> u32 {
        match self.byte() {
            small @ 0..220 => u32::from(small % 24),
            edge => [u32::MAX, u32::MAX - 1, 1 << 31, 8000, 7999][usize::from(edge) % 5],
        }
    }

    fn raw(&mut self) -> Vec<u8> {
        let len = usize::from(self.byte()).min(self.0.len());
        let (raw, rest) = self.0.split_at(len);
        self.0 = rest;
        raw.to_vec()
    }
}

/// What a page was told of a live content: the number that comes next, and which list it was shown.
#[derive(Default)]
struct Followed {
    next: Option<u64>,
    list: Option<u8>,
}

impl Followed {
    fn told(&mut self, news: &LiveNews) {
        if news.is_new_broadcast {
            *self = Followed::default();
        }
        let gap_from = self.next.filter(|next| news.first > *next);
        assert_eq!(news.gap_from, gap_from, "nothing is left out without a word");
        assert!(self.next.is_none_or(|next| news.first >= next), "nothing is told twice");
        self.list = self.list.filter(|_| gap_from.is_none());
        for (number, entry) in (news.first..).zip(&news.entries) {
            assert_eq!(entry.length, number);
            if number >= FORK {
                let list = entry.content.0[0];
                assert_eq!(*self.list.get_or_insert(list), list, "two lists in one");
            }
            self.next = Some(number + 1);
        }
        self.next.get_or_insert(news.first);
    }
}

fn live_key() -> SigningKey {
    SigningKey::from_bytes(&[50; 32])
}

fn publisher() -> PeerId {
    PeerId(live_key().verifying_key().to_bytes())
}

struct Victim {
    node: Node,
    now: Time,
    /// One it wants, one it holds.
    contents: [Content; 2],
    /// Where each request's next byte lies.
    reads: BTreeMap<RequestId, u64>,
    connections: BTreeMap<u8, ConnectionId>,
    sessions: u64,
    sent_bytes: u64,
    followed: Followed,
}

/// Runs the script to its end.
pub fn run(script: &[u8]) {
    let mut script = Script(script);
    let mut config = Config::new([1; 32], 1);
    config.cache_bytes_max = CACHE_BYTES;
    config.http = script.below(2) == 0;
    config.coded_permille = [0, 300, 1000][usize::from(script.below(3))];
    let may_upload = script.below(3) > 0;
    config.caps = Caps { upload_allowed: may_upload, ..Caps::default() };
    let mut victim = Victim {
        node: Node::new(config),
        now: Time::from_millis(1),
        contents: [content(0), content(99)],
        reads: BTreeMap::new(),
        connections: BTreeMap::new(),
        sessions: 1,
        sent_bytes: 0,
        followed: Followed::default(),
    };
    victim.input(Input::RelayOpened);
    let challenge = FromRelay::Challenge { nonce: [7; 32], relay: PeerId([0; 32]) };
    victim.input(Input::RelayMessage(challenge.encode()));
    let welcome = FromRelay::Welcome {
        version: PROTOCOL_VERSION,
        report_every_s: 30,
        frames_per_s: 50,
        frames_burst: 400,
    };
    victim.input(Input::RelayMessage(welcome.encode()));
    let held = Input::Stored { content: victim.contents[1].id, state: victim.contents[1].state.clone() };
    victim.input(held);
    victim.fetch(0, RangeSpec::Whole);
    let follow = LiveInput::Follow { follow: RequestId(900), publisher: publisher(), name: "n".into() };
    victim.input(Input::Live(follow));
    while !script.0.is_empty() {
        victim.step(&mut script);
        victim.check(may_upload);
    }
}

impl Victim {
    fn input(&mut self, input: Input) {
        self.node.handle(self.now, input);
        let mut answers = Vec::new();
        while let Some(output) = self.node.poll() {
            match output {
                Output::Data { request, bytes } => {
                    let at = self.reads.get_mut(&request).expect("nothing comes that was not asked for");
                    let end = *at as usize + bytes.len();
                    assert_eq!(
                        self.contents[0].data.get(*at as usize..end),
                        Some(&bytes[..]),
                        "a wrong byte"
                    );
                    *at = end as u64;
                }
                Output::Head { request, start, .. } => {
                    self.reads.insert(request, start);
                }
                Output::Send { message, .. } => self.sent_bytes += symbol_bytes(&message),
                Output::Live { news, .. } => self.followed.told(&news),
                Output::Close { connection } => self.connections.retain(|_, open| *open != connection),
                Output::StoreRead { token, content, area, offset, len } => {
                    let of = self.contents.iter().find(|c| c.id == content);
                    let bytes = of.and_then(|of| {
                        let area = if area == Area::Data { &of.data } else { &of.records };
                        area.get(offset as usize..offset as usize + len as usize).map(<[u8]>::to_vec)
                    });
                    answers.push(Input::Read { token, bytes });
                }
                Output::HttpGet { token, resource, .. } => {
                    let of = &self.contents[0];
                    let result = match resource {
                        Resource::Manifest => Ok(of.manifest.clone()),
                        // A server that has the manifest and then falls silent, or lies.
                        Resource::Records { .. } => Err(HttpFailure::Status(404)),
                        Resource::Bytes { start, end } => Ok(vec![3; (end - start) as usize]),
                    };
                    answers.push(Input::Http { token, result });
                }
                _ => {}
            }
        }
        answers.into_iter().for_each(|answer| self.input(answer));
    }

    fn fetch(&mut self, request: u32, range: RangeSpec) {
        let (request, content) = (RequestId(request), self.contents[0].id);
        self.input(Input::Fetch { request, content, range });
        self.input(Input::Pull { request, bytes: 100_000 });
    }

    fn step(&mut self, script: &mut Script<'_>) {
        let who = script.below(STRANGERS);
        match script.below(16) {
            0 => {
                self.now = self.now + Duration::from_millis(u64::from(script.byte()) * 40);
                self.input(Input::Wake);
            }
            1 => self.offer(who, script.below(4) == 0),
            2 => {
                if let Some(connection) = self.connections.remove(&who) {
                    self.input(Input::Closed { connection });
                }
            }
            3 => {
                let request = u32::from(script.below(4));
                let start = u64::from(script.byte()) * 1200;
                match script.below(4) {
                    0 => self.input(Input::Abort { request: RequestId(request) }),
                    1 => self.input(Input::Pull { request: RequestId(request), bytes: 50_000 }),
                    2 => self.fetch(request + 4, RangeSpec::From { start, end: None }),
                    _ => self.fetch(request + 8, RangeSpec::Last(start + 1)),
                }
            }
            4 => match script.below(5) {
                0 => {
                    let content = self.contents[0].id;
                    self.input(Input::OriginHost { content, host: u32::from(script.byte()) });
                    self.input(Input::Origin { content });
                }
                1 | 2 => self.head(script),
                _ => self.input(Input::RelayMessage(script.raw())),
            },
            _ => {
                let Some(&connection) = self.connections.get(&who) else { return self.offer(who, false) };
                let message = self.frame(script);
                self.input(Input::Message { connection, message });
                self.input(Input::Credit { connection, bytes: 1 << 16 });
            }
        }
    }

    fn head(&mut self, script: &mut Script<'_>) {
        let (epoch, list) = (1 + u64::from(script.below(8) / 7), script.below(2));
        let mut writer = LiveWriter::new(live_key(), "n", epoch).expect("a name");
        for number in 0..u64::from(script.byte()) {
            let content = ContentId([if number < FORK { 9 } else { list }; 32]);
            writer.append(LiveEntry { content, length: number, duration_ms: 1 });
        }
        if script.below(40) == 0 {
            writer.end();
        }
        let mut head = writer.head(1);
        if script.below(4) == 0 {
            let at = script.number() as usize % head.len();
            head[at] ^= 1;
        }
        let head = FromRelay::Head { publisher: publisher(), name: "n".into(), head };
        self.input(Input::RelayMessage(head.encode()));
    }

    fn offer(&mut self, who: u8, as_lane: bool) {
        self.sessions += 1;
        let session = if as_lane { 1 << 16 | self.sessions } else { self.sessions << 16 };
        let before = self.node.stats().connections_made;
        let from = PeerId([100 + who; 32]);
        let offer = FromRelay::Signal { from, session, signal: b"offer".to_vec() };
        self.input(Input::RelayMessage(offer.encode()));
        let connection = ConnectionId(self.node.stats().connections_made);
        if connection.0 > before {
            self.connections.insert(who, connection);
            self.input(Input::Opened { connection, credit_bytes: 1 << 20 });
            let message = PeerMessage::Greet { version: PROTOCOL_VERSION }.encode();
            self.input(Input::Message { connection, message });
        }
    }

    fn frame(&self, script: &mut Script<'_>) -> Vec<u8> {
        let of = &self.contents[usize::from(script.below(2))];
        let content = if script.below(12) == 0 { ContentId([script.byte(); 32]) } else { of.id };
        let (kind, block, number) = (script.below(18), script.number(), script.number());
        let symbol = |index: u32| {
            let start = (block as usize % 2 * 16 + index as usize % 16) * 16384;
            of.data.get(start..(start + 16384).min(LENGTH)).unwrap_or_default()
        };
        let picks = || vec![Pick::Sources { first: number, count: 1 }, Pick::Coded { density: 1, seed: 5 }];
        match kind {
            0 => PeerMessage::Subscribe { content }.encode(),
            1 => PeerMessage::Unsubscribe { content }.encode(),
            2 => PeerMessage::HaveNone { content }.encode(),
            3 | 4 => PeerMessage::HaveBlocks { content, first: block, bits: &[script.byte(); 3] }.encode(),
            5 => PeerMessage::HaveSymbols { content, first: block, bits: &script.raw() }.encode(),
            6 => PeerMessage::AskManifest { content }.encode(),
            7 | 8 => PeerMessage::Manifest { content, bytes: &of.manifest }.encode(),
            9 => PeerMessage::AskRecord { content, block }.encode(),
            10 | 11 => {
                let block = block % 2;
                let bytes = of.records.chunks(16 * 32).nth(block as usize).unwrap_or_default();
                PeerMessage::Record { content, block, bytes }.encode()
            }
            12 => {
                let (deadline_ms, due_ms) = (number, block);
                PeerMessage::Want { content, block: block % 3, deadline_ms, due_ms, picks: picks() }.encode()
            }
            13 | 14 => {
                let marker = Marker::Source(number % 16);
                PeerMessage::Symbol { content, block: block % 2, marker, payload: symbol(number % 16) }
                    .encode()
            }
            15 => {
                let marker = Marker::Coded { density: block as u8, seed: u64::from(number) };
                PeerMessage::Symbol { content, block: block % 2, marker, payload: symbol(3) }.encode()
            }
            16 => {
                let reason = RefuseReason::NotHeld;
                PeerMessage::Refuse { content, block, reason, picks: picks() }.encode()
            }
            _ => script.raw(),
        }
    }

    fn check(&self, may_upload: bool) {
        let stats = self.node.stats();
        let filling: u64 = stats.contents.iter().map(|c| c.active.len() as u64 * 262_144).sum();
        assert!(filling <= CACHE_BYTES / 2, "{filling} bytes are being filled");
        assert!(may_upload || self.sent_bytes == 0, "it may not upload");
        assert!(stats.contents.len() <= 2 && stats.peers.len() <= 40);
    }
}

fn symbol_bytes(message: &[u8]) -> u64 {
    match PeerMessage::decode(message) {
        Ok(PeerMessage::Symbol { payload, .. }) => payload.len() as u64,
        _ => 0,
    }
}
