//! A tracker with peers around it, on a clock that the test turns.
#![allow(dead_code, reason = "each test file uses a part of it")]

use core::time::Duration;
use ed25519_dalek::{Signer, SigningKey};
use peeredge_tracker::{ConnId, Tracker, TrackerConfig, TrackerInput, TrackerOutput};
use peeredge_wire::relay::{ErrorCode, FromRelay, ToRelay, hello_payload};
use peeredge_wire::{ContentId, PROTOCOL_VERSION, PeerId, Time};
use std::collections::BTreeMap;

pub const RELAY_KEY: u8 = 200;

/// What one connection has received and not yet been asked about.
#[derive(Debug, Default)]
pub struct Mailbox {
    pub frames: Vec<FromRelay>,
    pub closed: Option<ErrorCode>,
}

pub struct Place {
    pub tracker: Tracker,
    pub now: Time,
    boxes: BTreeMap<ConnId, Mailbox>,
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
    let signature = key(n).sign(&hello_payload(nonce, &id(RELAY_KEY))).to_bytes();
    ToRelay::Hello { version: PROTOCOL_VERSION, peer: id(n), signature }
}

impl Place {
    pub fn new() -> Self {
        Place::with(|_| {})
    }

    pub fn with(change: impl FnOnce(&mut TrackerConfig)) -> Self {
        let mut config = TrackerConfig::new(id(RELAY_KEY), [42; 32]);
        change(&mut config);
        Place { tracker: Tracker::new(config), now: Time::from_millis(1), boxes: BTreeMap::new(), next: 1 }
    }

    pub fn input(&mut self, input: TrackerInput) {
        self.tracker.handle(self.now, input);
        while let Some(output) = self.tracker.poll() {
            match output {
                TrackerOutput::Send { conn, frame } => {
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

    /// A connection that has been challenged.
    pub fn open(&mut self) -> (ConnId, [u8; 32]) {
        let conn = ConnId(self.next);
        self.next += 1;
        self.input(TrackerInput::Connected { conn });
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
        self.input(TrackerInput::Frame { conn, frame: message.encode() });
    }

    pub fn announce(&mut self, conn: ConnId, content: ContentId, have_permille: u16, wants: u8) {
        self.say(conn, &ToRelay::Announce { content, have_permille, wants });
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
            [FromRelay::Error { code, detail }] if !detail.is_empty() => *code,
            other => panic!("no error but {other:?}"),
        }
    }
}
