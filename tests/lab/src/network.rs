//! Endpoints with an access link each, and what is under way between them. A machine: things enter, time passes, things come out.
//!
//! A packet from one endpoint to another takes the sender's uplink, then the receiver's downlink.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};

use crate::dice::Dice;
use crate::link::{Link, LinkConfig, LinkCounts};
use crate::rate::Micros;
use crate::tcp::{Ack, HEADER_BYTES, Receiver, Segment, Sender};

/// IP and UDP headers of a datagram.
pub const DATAGRAM_HEADER_BYTES: u64 = 28;

/// One endpoint: a tab, a relay, a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct EndpointId(pub usize);

/// One direction of one TCP connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct FlowId(pub u64);

/// What comes out.
#[derive(Debug, PartialEq, Eq)]
pub enum Output {
    /// A datagram has arrived.
    Datagram {
        /// What its sender called it.
        token: u64,
        /// Its bytes.
        bytes: Vec<u8>,
    },
    /// The next bytes of a stream have arrived.
    Stream {
        /// Which stream.
        flow: FlowId,
        /// They, in order.
        bytes: Vec<u8>,
    },
    /// Everything that was written to a finished stream has arrived.
    Finished {
        /// Which stream.
        flow: FlowId,
    },
}

#[derive(Debug)]
struct Endpoint {
    up: Link,
    down: Link,
}

#[derive(Debug)]
struct Flow {
    from: EndpointId,
    to: EndpointId,
    sender: Sender,
    receiver: Receiver,
    finishing: bool,
    timer: Option<Micros>,
}

#[derive(Debug)]
enum Cargo {
    Datagram { token: u64, bytes: Vec<u8> },
    Segment(FlowId, Segment),
    Ack(FlowId, Ack),
}

#[derive(Debug)]
enum Event {
    /// Through the uplink, at the door of the downlink.
    Between {
        to: EndpointId,
        cargo: Cargo,
    },
    Arrived(Cargo),
    Timer(FlowId),
}

#[derive(Debug)]
struct Due {
    at: Micros,
    order: u64,
    event: Event,
}

impl PartialEq for Due {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}
impl Eq for Due {}
impl PartialOrd for Due {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Due {
    /// The earliest is the greatest: a heap gives that first.
    fn cmp(&self, other: &Self) -> Ordering {
        (other.at, other.order).cmp(&(self.at, self.order))
    }
}

/// All endpoints.
#[derive(Debug)]
pub struct Network {
    dice: Dice,
    endpoints: Vec<Endpoint>,
    flows: BTreeMap<FlowId, Flow>,
    flows_made: u64,
    due: BinaryHeap<Due>,
    order: u64,
    out: VecDeque<Output>,
}

impl Network {
    /// A network without endpoints; `seed` decides about all chance in it.
    pub fn new(seed: u64) -> Network {
        Network {
            dice: Dice::new(seed),
            endpoints: Vec::new(),
            flows: BTreeMap::new(),
            flows_made: 0,
            due: BinaryHeap::new(),
            order: 0,
            out: VecDeque::new(),
        }
    }

    /// One more endpoint.
    pub fn add(&mut self, up: LinkConfig, down: LinkConfig) -> EndpointId {
        let (up, down) = (Link::new(up, self.dice.bits()), Link::new(down, self.dice.bits()));
        self.endpoints.push(Endpoint { up, down });
        EndpointId(self.endpoints.len() - 1)
    }

    /// Changes an endpoint's links for what enters them from now on.
    pub fn configure(
        &mut self,
        now: Micros,
        id: EndpointId,
        up: Option<LinkConfig>,
        down: Option<LinkConfig>,
    ) {
        let endpoint = &mut self.endpoints[id.0];
        if let Some(up) = up {
            endpoint.up.configure(now, up);
        }
        if let Some(down) = down {
            endpoint.down.configure(now, down);
        }
    }

    /// What became of the packets on an endpoint's uplink and downlink.
    pub fn counts(&self, id: EndpointId) -> (LinkCounts, LinkCounts) {
        let endpoint = &self.endpoints[id.0];
        (endpoint.up.counts(), endpoint.down.counts())
    }

    /// The least time that a packet takes from one endpoint to the other.
    pub fn delay_us(&self, from: EndpointId, to: EndpointId) -> Micros {
        self.endpoints[from.0].up.config().delay_us + self.endpoints[to.0].down.config().delay_us
    }

    /// Sends a datagram; `token` comes out with it.
    pub fn datagram(&mut self, now: Micros, from: EndpointId, to: EndpointId, token: u64, bytes: Vec<u8>) {
        self.send(now, from, to, Cargo::Datagram { token, bytes });
    }

    /// One direction of a TCP connection that is open already.
    pub fn open(&mut self, from: EndpointId, to: EndpointId) -> FlowId {
        let id = FlowId(self.flows_made);
        self.flows_made += 1;
        let flow = Flow {
            from,
            to,
            sender: Sender::default(),
            receiver: Receiver::default(),
            finishing: false,
            timer: None,
        };
        self.flows.insert(id, flow);
        id
    }

    /// Bytes that [`Network::write`] may give to a stream now; none when it is gone.
    pub fn room(&self, flow: FlowId) -> Option<usize> {
        self.flows.get(&flow).map(|flow| flow.sender.room())
    }

    /// Appends to a stream.
    pub fn write(&mut self, now: Micros, id: FlowId, bytes: &[u8]) {
        if let Some(flow) = self.flows.get_mut(&id) {
            flow.sender.write(bytes);
            self.pump(now, id);
        }
    }

    /// Nothing more will be written to a stream; [`Output::Finished`] tells when all has arrived.
    pub fn finish(&mut self, id: FlowId) {
        if let Some(flow) = self.flows.get_mut(&id) {
            flow.finishing = true;
            self.end_if_done(id);
        }
    }

    /// Forgets a stream, with what is under way.
    pub fn abort(&mut self, id: FlowId) {
        self.flows.remove(&id);
    }

    /// When [`Network::wake`] is due.
    pub fn deadline(&self) -> Option<Micros> {
        self.due.peek().map(|due| due.at)
    }

    /// Time has come.
    pub fn wake(&mut self, now: Micros) {
        while self.due.peek().is_some_and(|due| due.at <= now) {
            let due = self.due.pop().expect("just seen");
            match due.event {
                Event::Between { to, cargo } => {
                    // At its own time, so that a late wake does not change what the links do.
                    if let Some(at) = self.endpoints[to.0].down.enter(due.at, length_of(&cargo)) {
                        self.at(at, Event::Arrived(cargo));
                    }
                }
                Event::Arrived(Cargo::Datagram { token, bytes }) => {
                    self.out.push_back(Output::Datagram { token, bytes });
                }
                Event::Arrived(Cargo::Segment(id, segment)) => self.segment(due.at, id, segment),
                Event::Arrived(Cargo::Ack(id, ack)) => {
                    if let Some(flow) = self.flows.get_mut(&id) {
                        flow.sender.acknowledge(due.at, &ack);
                        self.pump(due.at, id);
                        self.end_if_done(id);
                    }
                }
                Event::Timer(id) => self.timer(due.at, id),
            }
        }
    }

    /// The next thing that came out.
    pub fn poll(&mut self) -> Option<Output> {
        self.out.pop_front()
    }

    fn send(&mut self, now: Micros, from: EndpointId, to: EndpointId, cargo: Cargo) {
        if let Some(at) = self.endpoints[from.0].up.enter(now, length_of(&cargo)) {
            self.at(at, Event::Between { to, cargo });
        }
    }

    fn at(&mut self, at: Micros, event: Event) {
        self.order += 1;
        self.due.push(Due { at, order: self.order, event });
    }

    fn segment(&mut self, now: Micros, id: FlowId, segment: Segment) {
        let Some(flow) = self.flows.get_mut(&id) else { return };
        let (from, to) = (flow.from, flow.to);
        let (bytes, ack) = flow.receiver.receive(segment);
        if !bytes.is_empty() {
            self.out.push_back(Output::Stream { flow: id, bytes });
        }
        self.send(now, to, from, Cargo::Ack(id, ack));
    }

    fn pump(&mut self, now: Micros, id: FlowId) {
        loop {
            let Some(flow) = self.flows.get_mut(&id) else { return };
            let (from, to) = (flow.from, flow.to);
            let Some(segment) = flow.sender.transmit(now) else { break };
            self.send(now, from, to, Cargo::Segment(id, segment));
        }
        self.set_timer(id);
    }

    fn timer(&mut self, now: Micros, id: FlowId) {
        let Some(flow) = self.flows.get_mut(&id) else { return };
        flow.timer = None;
        let (from, to) = (flow.from, flow.to);
        if let Some(probe) = flow.sender.wake(now) {
            self.send(now, from, to, Cargo::Segment(id, probe));
        }
        self.pump(now, id);
    }

    /// One timer a flow is under way; one that rings too early asks again.
    fn set_timer(&mut self, id: FlowId) {
        let Some(flow) = self.flows.get_mut(&id) else { return };
        let Some(deadline) = flow.sender.deadline() else { return };
        if flow.timer.is_none_or(|timer| deadline < timer) {
            flow.timer = Some(deadline);
            self.at(deadline, Event::Timer(id));
        }
    }

    fn end_if_done(&mut self, id: FlowId) {
        if self.flows.get(&id).is_some_and(|flow| flow.finishing && flow.sender.is_done()) {
            self.flows.remove(&id);
            self.out.push_back(Output::Finished { flow: id });
        }
    }
}

fn length_of(cargo: &Cargo) -> u64 {
    match cargo {
        Cargo::Datagram { bytes, .. } => bytes.len() as u64 + DATAGRAM_HEADER_BYTES,
        Cargo::Segment(_, segment) => segment.bytes.len() as u64 + HEADER_BYTES,
        Cargo::Ack(..) => HEADER_BYTES,
    }
}
