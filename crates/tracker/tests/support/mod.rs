//! A tracker with peers around it, on a clock that the test turns.
#![allow(dead_code, reason = "each test file uses a part of it")]

use core::time::Duration;
use ed25519_dalek::{Signer, SigningKey};
use peeredge_tracker::{ConnId, Tracker, TrackerConfig, TrackerInput, TrackerOutput};
use peeredge_wire::relay::{ErrorCode, FromRelay, Receipt, ToRelay, hello_payload};
use peeredge_wire::{ContentId, PROTOCOL_VERSION, PeerId, Time};
use std::collections::BTreeMap;

pub const RELAY_KEY: u8 = 200;
/// Where the relay of these tests is reached.
pub const AUTHORITY: &str = "relay.example:8080";

/// What one connection has received and not yet been asked about.
#[derive(Debug, Default)]
pub struct Mailbox {
    pub frames: Vec<FromRelay>,
    pub closed: Option<ErrorCode>,
}

pub struct Place {
    pub tracker: Tracker,
    pub now: Time,
    /// The relay's own node, for tests that have one.
    pub relay: ConnId,
    boxes: BTreeMap<ConnId, Mailbox>,
    ids: BTreeMap<ConnId, PeerId>,
    next: u64,
}

pub fn key(n: u8) -> SigningKey {
    SigningKey::from_bytes(&[n; 32])
}

pub fn id(n: u8) -> PeerId {
    PeerId(key(n).verifying_key().to_bytes())
}

pub fn content(n: u8) -> ContentId {
    ContentId([n; 32])
}

pub fn hello(n: u8, nonce: &[u8; 32]) -> ToRelay {
    let signature = key(n).sign(&hello_payload(nonce, &id(RELAY_KEY), AUTHORITY)).to_bytes();
    ToRelay::Hello { version: PROTOCOL_VERSION, peer: id(n), signature, authority: AUTHORITY.into() }
}

impl Place {
    pub fn new() -> Self {
        Place::with(|_| {})
    }

    pub fn with(change: impl FnOnce(&mut TrackerConfig)) -> Self {
        let mut config = TrackerConfig::new(id(RELAY_KEY), [42; 32]);
        change(&mut config);
        Place {
            tracker: Tracker::new(config),
            now: Time::from_millis(1),
            relay: ConnId(0),
            boxes: BTreeMap::new(),
            ids: BTreeMap::new(),
            next: 1,
        }
    }

    pub fn input(&mut self, input: TrackerInput) {
        self.tracker.handle(self.now, input);
        while let Some(output) = self.tracker.poll() {
            match output {
                TrackerOutput::Send { conn, frame, .. } => {
                    let mailbox = self.boxes.entry(conn).or_default();
                    assert_eq!(mailbox.closed, None, "something was sent behind the close");
                    mailbox
                        .frames
                        .push(FromRelay::decode(&frame).expect("the tracker sends what can be read"));
                }
                TrackerOutput::Close { conn, code } => {
                    let mailbox = self.boxes.entry(conn).or_default();
                    assert_eq!(mailbox.closed.replace(code), None, "closed twice");
                }
            }
        }
    }

    pub fn pass(&mut self, ms: u64) {
        self.now = self.now + Duration::from_millis(ms);
        self.input(TrackerInput::Wake);
    }

    /// A connection that has been challenged; none when the relay is full.
    pub fn try_open(&mut self) -> Option<(ConnId, [u8; 32])> {
        let conn = self.connect();
        match self.read(conn).as_slice() {
            [FromRelay::Challenge { nonce, .. }] => Some((conn, *nonce)),
            _ => None,
        }
    }

    fn connect(&mut self) -> ConnId {
        let conn = ConnId(self.next);
        self.next += 1;
        let authorities = vec!["localhost".into(), AUTHORITY.into()];
        self.input(TrackerInput::Connected { conn, authorities });
        conn
    }

    /// A connection that has been challenged.
    pub fn open(&mut self) -> (ConnId, [u8; 32]) {
        let conn = self.connect();
        match self.read(conn).as_slice() {
            [FromRelay::Challenge { nonce, relay }] if *relay == id(RELAY_KEY) => (conn, *nonce),
            other => panic!("no challenge but {other:?}"),
        }
    }

    /// A connection that has proved key `n`.
    pub fn join(&mut self, n: u8) -> ConnId {
        let (conn, nonce) = self.open();
        self.say(conn, &hello(n, &nonce));
        assert!(matches!(self.read(conn).as_slice(), [FromRelay::Welcome { .. }]));
        conn
    }

    pub fn say(&mut self, conn: ConnId, message: &ToRelay) {
        if let ToRelay::Hello { peer, .. } = message {
            self.ids.insert(conn, *peer);
        }
        self.input(TrackerInput::Frame { conn, frame: message.encode() });
    }

    pub fn announce(&mut self, conn: ConnId, content: ContentId, have_permille: u16, wants: u8) {
        self.say(conn, &ToRelay::Announce { content, have_permille, wants });
    }

    /// The key that a connection proved.
    pub fn id_of(&self, conn: ConnId) -> PeerId {
        self.ids[&conn]
    }

    /// Has `a` told of `b` for a content that matters to nobody else.
    pub fn introduce(&mut self, a: ConnId, b: ConnId) {
        let mut content = ContentId([0xee; 32]);
        content.0[..8].copy_from_slice(&a.0.to_le_bytes());
        content.0[8..16].copy_from_slice(&b.0.to_le_bytes());
        content.0[16..24].copy_from_slice(&self.now.as_micros().to_le_bytes());
        self.announce(b, content, 1000, 0);
        self.announce(a, content, 0, 1);
        let told = self.read(a);
        assert!(
            told.iter().any(|f| matches!(f, FromRelay::Introduce { peer, .. } if *peer == self.ids[&b])),
            "no introduction but {told:?}"
        );
        for conn in [a, b] {
            self.say(conn, &ToRelay::Withdraw { content });
        }
    }

    /// A peer with key `n` that stays, is told of `sender` and signs that so much came from it.
    pub fn takes(&mut self, n: u8, sender: ConnId, content: ContentId, bytes: u64) -> ConnId {
        let (conn, nonce) = self.open();
        self.say(conn, &hello(n, &nonce));
        self.announce(conn, content, 0, 16);
        let sender = self.ids[&sender];
        let mut receipt =
            Receipt { sender, content, bytes, bytes_per_s: 100_000, epoch: 1, signature: [0; 64] };
        receipt.signature = key(n).sign(&receipt.payload(&nonce)).to_bytes();
        let before = self.tracker.stats().receipts;
        self.say(conn, &ToRelay::Receipt(receipt));
        assert_eq!(self.tracker.stats().receipts, before + 1, "the receipt counts");
        self.read(conn);
        conn
    }

    /// One signal from `a` to `b`, as one that makes an offer or answers one.
    pub fn signal(&mut self, a: ConnId, b: ConnId, session: u64) {
        self.say(a, &ToRelay::Signal { to: self.ids[&b], session, signal: b"sdp".to_vec() });
    }

    /// Has the two introduced, and each signal the other.
    pub fn contact(&mut self, a: ConnId, b: ConnId) {
        self.introduce(a, b);
        self.signal(a, b, 1 << 16);
        self.signal(b, a, 1 << 16);
        self.read(a);
        self.read(b);
    }

    pub fn leave(&mut self, conn: ConnId) {
        self.input(TrackerInput::Closed { conn });
    }

    /// What this connection has received since it was last asked.
    pub fn read(&mut self, conn: ConnId) -> Vec<FromRelay> {
        core::mem::take(&mut self.boxes.entry(conn).or_default().frames)
    }

    /// Whom this connection was told to offer to since it was last asked; anything else is a failure.
    pub fn introduced(&mut self, conn: ConnId) -> Vec<PeerId> {
        let peer = |frame| match frame {
            FromRelay::Introduce { peer, .. } => peer,
            other => panic!("no introduction but {other:?}"),
        };
        self.read(conn).into_iter().map(peer).collect()
    }

    pub fn closed(&self, conn: ConnId) -> Option<ErrorCode> {
        self.boxes.get(&conn).and_then(|b| b.closed)
    }

    /// The one error that this connection has received since it was last asked.
    pub fn error(&mut self, conn: ConnId) -> ErrorCode {
        match self.read(conn).as_slice() {
            [FromRelay::Error { code, detail, .. }] if !detail.is_empty() => *code,
            other => panic!("no error but {other:?}"),
        }
    }
}
