//! A peer that speaks to the relay by hand.

use super::PATIENCE;
use ed25519_dalek::{Signer, SigningKey};
use futures_util::{SinkExt, StreamExt};
use peeredge_wire::relay::{FromRelay, ToRelay, hello_payload};
use peeredge_wire::{PROTOCOL_VERSION, PeerId};
use std::net::SocketAddr;
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

pub struct Peer {
    pub id: PeerId,
    pub socket: WebSocketStream<TcpStream>,
}

/// What a relay's socket says next.
#[derive(Debug, PartialEq)]
pub enum Heard {
    Message(FromRelay),
    /// Closed, with this code.
    Closed(Option<u16>),
}

impl Peer {
    /// Opens the socket and says nothing.
    pub async fn connect(relay: SocketAddr, seed: u8) -> Peer {
        let stream = TcpStream::connect(relay).await.unwrap();
        let url = format!("ws://{relay}/ws");
        let (socket, _) = tokio_tungstenite::client_async(url, stream).await.unwrap();
        let id = PeerId(SigningKey::from_bytes(&[seed; 32]).verifying_key().to_bytes());
        Peer { id, socket }
    }

    /// Opens the socket and proves its key.
    pub async fn join(relay: SocketAddr, seed: u8) -> Peer {
        let mut peer = Peer::connect(relay, seed).await;
        let authority = relay.to_string();
        let Heard::Message(FromRelay::Challenge { nonce, relay }) = peer.hear().await else {
            panic!("no challenge")
        };
        let payload = hello_payload(&nonce, &relay, &authority);
        let signature = SigningKey::from_bytes(&[seed; 32]).sign(&payload).to_bytes();
        peer.say(&ToRelay::Hello { version: PROTOCOL_VERSION, peer: peer.id, signature, authority }).await;
        assert!(matches!(peer.hear().await, Heard::Message(FromRelay::Welcome { .. })));
        // By which paths else it could be reached.
        assert!(matches!(peer.hear().await, Heard::Message(FromRelay::Paths { .. })));
        peer
    }

    pub async fn say(&mut self, message: &ToRelay) {
        self.socket.send(Message::Binary(message.encode().into())).await.unwrap();
    }

    /// The next message or the end; a reset counts as a close without a code.
    pub async fn hear(&mut self) -> Heard {
        loop {
            match tokio::time::timeout(PATIENCE, self.socket.next()).await.expect("the relay says something")
            {
                Some(Ok(Message::Binary(frame))) => {
                    return Heard::Message(FromRelay::decode(&frame).unwrap());
                }
                Some(Ok(Message::Close(frame))) => return Heard::Closed(frame.map(|f| f.code.into())),
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return Heard::Closed(None),
            }
        }
    }
}
