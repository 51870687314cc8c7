//! Sockets that stand for an endpoint's real address before another endpoint.
//!
//! `port(owner, real, viewer)` is where `viewer` sends what is for `real`. What comes there from the viewer's own address crosses
//! the network, and leaves from the socket that stands for that address before `owner`: so each side sees only the lab.

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::rc::Rc;

use peeredge_lab::network::EndpointId;
use peeredge_lab::rewrite::rewrite_candidates;
use socket2::{Domain, Socket, Type};
use tokio::net::UdpSocket;

use crate::shell::{Lab, Route};

const DATAGRAM_BYTES_MAX: usize = 2048;
const BUFFER_BYTES: usize = 4 << 20;

/// The address under which `viewer` reaches `real`, which is `owner`'s.
pub fn port(
    lab: &Rc<Lab>,
    owner: EndpointId,
    real: SocketAddr,
    viewer: EndpointId,
) -> io::Result<Rc<UdpSocket>> {
    let key = (owner, real, viewer);
    if let Some(socket) = lab.ports.borrow().get(&key) {
        return Ok(socket.clone());
    }
    let socket = Rc::new(bind()?);
    lab.ports.borrow_mut().insert(key, socket.clone());
    tokio::task::spawn_local(carry(lab.clone(), socket.clone(), owner, real, viewer));
    Ok(socket)
}

fn bind() -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, None)?;
    // The lab must not lose anything itself. The system may grant less.
    let _ = socket.set_recv_buffer_size(BUFFER_BYTES);
    let _ = socket.set_send_buffer_size(BUFFER_BYTES);
    socket.set_nonblocking(true)?;
    socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into())?;
    UdpSocket::from_std(socket.into())
}

async fn carry(lab: Rc<Lab>, socket: Rc<UdpSocket>, owner: EndpointId, real: SocketAddr, viewer: EndpointId) {
    let mut tokens: BTreeMap<SocketAddr, u64> = BTreeMap::new();
    let mut buffer = vec![0; DATAGRAM_BYTES_MAX];
    loop {
        // An error tells of an earlier datagram that could not be delivered.
        let Ok((length, source)) = socket.recv_from(&mut buffer).await else { continue };
        let token = match tokens.get(&source) {
            Some(token) => *token,
            None => {
                lab.owners.borrow_mut().insert(source, viewer);
                let Ok(by) = port(&lab, viewer, source, owner) else { continue };
                let mut routes = lab.routes.borrow_mut();
                routes.push(Route { by, to: real });
                let token = routes.len() as u64 - 1;
                tokens.insert(source, token);
                token
            }
        };
        lab.with(|network, now| network.datagram(now, viewer, owner, token, buffer[..length].to_vec()));
    }
}

/// Remembers that the candidates in `text` are `owner`'s.
pub fn learn(lab: &Lab, text: &str, owner: EndpointId) {
    rewrite_candidates(text, |address| {
        lab.owners.borrow_mut().insert(address, owner);
        None
    });
}

/// Puts the lab's addresses into `text` for `viewer`. Candidates of nobody known are `otherwise`'s.
pub fn show(lab: &Rc<Lab>, text: &str, viewer: EndpointId, otherwise: Option<EndpointId>) -> String {
    rewrite_candidates(text, |address| {
        let owner = lab.owners.borrow().get(&address).copied().or(otherwise)?;
        if owner == viewer {
            return None;
        }
        port(lab, owner, address, viewer).ok()?.local_addr().ok()
    })
}
