//! Two ends, each on a stack of its own, and the wire between them that carries signals.

use std::collections::VecDeque;
use std::time::Duration;

use peeredge_relay::rtc::{
    CloseReason, ConnectionId, Role, RtcCommand, RtcConfig, RtcEvent, RtcEvents, RtcHandle, RtcSocket, spawn,
};
use peeredge_tests::webrtc_rs_peer::WebrtcRsPeer;

/// No step of any test takes this long unless it hangs.
const HANG: Duration = Duration::from_secs(90);

/// A native configuration on loopback.
pub fn loopback() -> RtcConfig {
    RtcConfig::new(vec![RtcSocket::bound("127.0.0.1:0".parse().expect("an address"))])
}

/// One end: a stack with whatever connections the test gives it.
pub enum End {
    Native(RtcHandle, RtcEvents),
    WebrtcRs(WebrtcRsPeer),
}

impl End {
    pub fn native(config: RtcConfig) -> End {
        let (handle, events) = spawn(config).expect("loopback can be bound");
        End::Native(handle, events)
    }

    pub fn webrtc_rs() -> End {
        End::WebrtcRs(WebrtcRsPeer::start(65_536))
    }

    pub async fn tell(&self, command: RtcCommand) {
        match self {
            End::Native(handle, _) => handle.send(command).await.expect("the driver runs"),
            End::WebrtcRs(peer) => peer.tell(command),
        }
    }

    pub async fn open(&self, connection: ConnectionId, role: Role) {
        self.tell(RtcCommand::Open { connection, role }).await;
    }

    pub async fn send(&self, connection: ConnectionId, message: Vec<u8>) {
        self.tell(RtcCommand::Send { connection, message }).await;
    }

    pub async fn close(&self, connection: ConnectionId) {
        self.tell(RtcCommand::Close { connection }).await;
    }

    pub async fn signal(&self, connection: ConnectionId, signal: &[u8]) {
        self.tell(RtcCommand::Signal { connection, signal: signal.into() }).await;
    }

    pub async fn next(&mut self) -> RtcEvent {
        // Round trips may be told between any two others.
        let event = async {
            loop {
                let event = match self {
                    End::Native(_, events) => events.recv().await,
                    End::WebrtcRs(peer) => peer.next().await,
                };
                if !matches!(event, Some(RtcEvent::RoundTrip { .. })) {
                    return event;
                }
            }
        };
        tokio::time::timeout(HANG, event).await.expect("an event comes").expect("the stack runs")
    }

    /// The reason of the first connection to end, whatever else happens before.
    pub async fn closed(&mut self) -> (ConnectionId, CloseReason) {
        loop {
            if let RtcEvent::Closed { connection, reason } = self.next().await {
                return (connection, reason);
            }
        }
    }
}

/// A connection between two ends, and what a caller keeps of it.
pub struct Link {
    pub id: ConnectionId,
    pub offerer: Side,
    pub answerer: Side,
}

pub struct Side {
    pub end: End,
    pub credit_bytes: u64,
    pub inbox: VecDeque<Vec<u8>>,
    pub closed: Option<CloseReason>,
    opened: bool,
}

impl Side {
    fn new(end: End) -> Side {
        Side { end, credit_bytes: 0, inbox: VecDeque::new(), closed: None, opened: false }
    }

    /// Takes one event; a signal comes back for the other side.
    pub async fn step(&mut self) -> Option<Vec<u8>> {
        match self.end.next().await {
            RtcEvent::Signal { signal, .. } => return Some(signal),
            RtcEvent::Opened { .. } => {
                assert!(!self.opened, "opened twice");
                self.opened = true;
            }
            RtcEvent::Credit { bytes, .. } => {
                assert!(self.opened, "credit before the channel is open");
                self.credit_bytes += bytes;
            }
            RtcEvent::Message { message, .. } => {
                assert!(self.opened, "a message before the channel is open");
                self.inbox.push_back(message);
            }
            RtcEvent::RoundTrip { .. } => {}
            RtcEvent::Closed { reason, .. } => {
                assert!(self.closed.is_none(), "closed twice");
                self.closed = Some(reason);
            }
        }
        None
    }

    /// Sends one message as soon as there is credit for it.
    pub async fn send(&mut self, id: ConnectionId, message: Vec<u8>) {
        while self.credit_bytes < message.len() as u64 {
            self.step().await;
            assert_eq!(self.closed, None, "the connection ends before it gives credit");
        }
        self.credit_bytes -= message.len() as u64;
        self.end.send(id, message).await;
    }

    pub async fn receive(&mut self) -> Vec<u8> {
        while self.inbox.is_empty() {
            self.step().await;
            assert_eq!(self.closed, None, "the connection ends before the message comes");
        }
        self.inbox.pop_front().expect("just found one")
    }

    pub async fn until_closed(&mut self) -> CloseReason {
        while self.closed.is_none() {
            self.step().await;
        }
        self.closed.clone().expect("just found it")
    }
}

impl Link {
    /// Joins two ends that have no connection yet.
    pub async fn join(offerer: End, answerer: End) -> Link {
        let id = ConnectionId(1);
        let mut link = Link { id, offerer: Side::new(offerer), answerer: Side::new(answerer) };
        link.answerer.end.open(id, Role::Answerer).await;
        link.offerer.end.open(id, Role::Offerer).await;
        while link.offerer.credit_bytes == 0 || link.answerer.credit_bytes == 0 {
            let Link { offerer, answerer, .. } = &mut link;
            tokio::select! {
                signal = offerer.step() => if let Some(signal) = signal {
                    answerer.end.signal(id, &signal).await;
                },
                signal = answerer.step() => if let Some(signal) = signal {
                    offerer.end.signal(id, &signal).await;
                },
            }
            assert_eq!((&link.offerer.closed, &link.answerer.closed), (&None, &None));
        }
        link
    }

    /// The two sides, the sending one first.
    pub fn sides(&mut self, from_offerer: bool) -> (&mut Side, &mut Side) {
        match from_offerer {
            true => (&mut self.offerer, &mut self.answerer),
            false => (&mut self.answerer, &mut self.offerer),
        }
    }
}

/// Bytes that tell where they belong.
pub fn pattern(offset: u64, bytes: usize) -> Vec<u8> {
    (offset..offset + bytes as u64).map(|at| ((at as u32).wrapping_mul(2_654_435_761) >> 13) as u8).collect()
}
