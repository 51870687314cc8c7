//! What the pure network lacks: a clock, and where its outputs go.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use peeredge_lab::network::{EndpointId, FlowId, Network, Output};
use peeredge_lab::rate::Micros;
use peeredge_wire::PeerId;
use tokio::net::UdpSocket;
use tokio::sync::{Notify, mpsc};
use tokio::time::Instant;

/// Where a datagram goes when it has crossed the network.
pub struct Route {
    pub by: Rc<UdpSocket>,
    pub to: SocketAddr,
}

/// All of the lab.
pub struct Lab {
    started: Instant,
    pub network: RefCell<Network>,
    pub names: RefCell<BTreeMap<String, EndpointId>>,
    pub routes: RefCell<Vec<Route>>,
    /// The lab's address for an owner's real one, as one viewer sees it.
    pub ports: RefCell<BTreeMap<(EndpointId, SocketAddr, EndpointId), Rc<UdpSocket>>>,
    /// Whose a real address is.
    pub owners: RefCell<BTreeMap<SocketAddr, EndpointId>>,
    /// Under which id a relay seeds.
    pub relays: RefCell<BTreeMap<PeerId, EndpointId>>,
    pub streams: RefCell<BTreeMap<FlowId, mpsc::UnboundedSender<Vec<u8>>>>,
    armed: Cell<Option<Micros>>,
    earlier: Notify,
}

impl Lab {
    pub fn new(seed: u64) -> Lab {
        Lab {
            started: Instant::now(),
            network: RefCell::new(Network::new(seed)),
            names: RefCell::default(),
            routes: RefCell::default(),
            ports: RefCell::default(),
            owners: RefCell::default(),
            relays: RefCell::default(),
            streams: RefCell::default(),
            armed: Cell::new(None),
            earlier: Notify::new(),
        }
    }

    pub fn now(&self) -> Micros {
        self.started.elapsed().as_micros() as Micros
    }

    /// Changes the network, then does what is due.
    pub fn with<T>(&self, change: impl FnOnce(&mut Network, Micros) -> T) -> T {
        let now = self.now();
        let result = change(&mut self.network.borrow_mut(), now);
        self.step();
        result
    }

    fn step(&self) {
        let mut network = self.network.borrow_mut();
        network.wake(self.now());
        while let Some(output) = network.poll() {
            match output {
                Output::Datagram { token, bytes } => {
                    let routes = self.routes.borrow();
                    let route = &routes[token as usize];
                    // A receiver that is gone, or whose buffer is full, loses it: as on any path.
                    let _ = route.by.try_send_to(&bytes, route.to);
                }
                Output::Stream { flow, bytes } => {
                    if let Some(stream) = self.streams.borrow().get(&flow) {
                        let _ = stream.send(bytes);
                    }
                }
                Output::Finished { flow } => _ = self.streams.borrow_mut().remove(&flow),
            }
        }
        let deadline = network.deadline();
        let armed = self.armed.get();
        if deadline.is_some_and(|deadline| armed.is_none_or(|armed| deadline < armed)) {
            self.earlier.notify_one();
        }
    }
}

/// Wakes the network when something is due.
pub async fn keep_time(lab: Rc<Lab>) {
    loop {
        let deadline = lab.network.borrow().deadline();
        lab.armed.set(deadline);
        let sleep = async {
            match deadline {
                Some(at) => tokio::time::sleep_until(lab.started + Duration::from_micros(at)).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = sleep => lab.step(),
            () = lab.earlier.notified() => {}
        }
    }
}
