//! What an endpoint uses in place of a server's address: HTTP goes through the network as TCP would, and WebSockets, which carry
//! the signals, with the path's delay and with the candidates in them rewritten.

use std::cell::Cell;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use futures_util::{SinkExt, Stream, StreamExt};
use peeredge_lab::network::{EndpointId, FlowId};
use peeredge_wire::relay::{FromRelay, ToRelay};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::spawn_local;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::Role;
use tokio_tungstenite::tungstenite::{Error, Message};

use crate::shell::Lab;
use crate::udp::{learn, show};

const HEAD_BYTES_MAX: usize = 64 << 10;
/// Bytes that have arrived and that the receiver has not taken: beyond, no more is sent.
const UNTAKEN_BYTES_MAX: usize = 4 << 20;

/// Who is in front of a gate, and what is behind it.
#[derive(Clone, Copy)]
pub struct Gate {
    pub client: EndpointId,
    pub server: EndpointId,
    pub address: SocketAddr,
}

/// Opens a gate on a free port.
pub async fn open(lab: Rc<Lab>, gate: Gate) -> io::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    spawn_local(async move {
        loop {
            if let Ok((client, _)) = listener.accept().await {
                let lab = lab.clone();
                // A connection that breaks is the business of its two ends.
                spawn_local(async move { _ = pass(lab, gate, client).await });
            }
        }
    });
    Ok(address)
}

async fn pass(lab: Rc<Lab>, gate: Gate, mut client: TcpStream) -> io::Result<()> {
    client.set_nodelay(true)?;
    let head = read_head(&mut client).await?;
    let (there, back) = {
        let network = lab.network.borrow();
        (network.delay_us(gate.client, gate.server), network.delay_us(gate.server, gate.client))
    };
    // The handshake.
    sleep(Duration::from_micros(there + back)).await;
    let server = TcpStream::connect(gate.address).await?;
    server.set_nodelay(true)?;
    if is_upgrade(&head) {
        return web_socket(
            lab,
            gate,
            client,
            server,
            head,
            Duration::from_micros(there),
            Duration::from_micros(back),
        )
        .await;
    }
    let (client_read, client_write) = client.into_split();
    let (server_read, server_write) = server.into_split();
    let up = async { stream(&lab, gate.client, gate.server, &head, client_read, server_write).await };
    let down = async { stream(&lab, gate.server, gate.client, &[], server_read, client_write).await };
    // A client may close its half and still wait for the answer; a server that closes is done.
    tokio::pin!(up, down);
    tokio::select! {
        result = &mut up => match result {
            Ok(()) => down.await,
            Err(error) => Err(error),
        },
        result = &mut down => result,
    }
}

async fn read_head(client: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        if head.len() > HEAD_BYTES_MAX || client.read_buf(&mut head).await? == 0 {
            return Err(io::ErrorKind::InvalidData.into());
        }
    }
    Ok(head)
}

fn is_upgrade(head: &[u8]) -> bool {
    String::from_utf8_lossy(head).to_ascii_lowercase().contains("\r\nupgrade: websocket")
}

/// Forgets its stream when it goes, whatever the reason.
struct Opened {
    lab: Rc<Lab>,
    flow: FlowId,
}

impl Drop for Opened {
    fn drop(&mut self) {
        self.lab.streams.borrow_mut().remove(&self.flow);
        self.lab.network.borrow_mut().abort(self.flow);
    }
}

/// Carries one direction until it ends.
async fn stream(
    lab: &Rc<Lab>,
    from: EndpointId,
    to: EndpointId,
    first: &[u8],
    mut source: impl AsyncRead + Unpin,
    mut target: impl AsyncWrite + Unpin,
) -> io::Result<()> {
    let flow = lab.network.borrow_mut().open(from, to);
    let _opened = Opened { lab: lab.clone(), flow };
    let (arriving, mut arrived) = mpsc::unbounded_channel();
    lab.streams.borrow_mut().insert(flow, arriving);
    let (written, taken) = (Cell::new(0_usize), Cell::new(0_usize));
    let write = |bytes: &[u8]| {
        written.set(written.get() + bytes.len());
        lab.with(|network, now| network.write(now, flow, bytes));
    };
    if !first.is_empty() {
        write(first);
    }
    let sending = async {
        let mut buffer = vec![0; 64 << 10];
        loop {
            let room = lab.network.borrow().room(flow).unwrap_or(0);
            if room < buffer.len() || written.get() - taken.get() > UNTAKEN_BYTES_MAX {
                sleep(Duration::from_millis(1)).await;
                continue;
            }
            match source.read(&mut buffer).await {
                Ok(0) | Err(_) => break,
                Ok(length) => write(&buffer[..length]),
            }
        }
        lab.with(|network, _| network.finish(flow));
        std::future::pending::<()>().await;
    };
    let receiving = async {
        while let Some(bytes) = arrived.recv().await {
            target.write_all(&bytes).await?;
            taken.set(taken.get() + bytes.len());
        }
        target.shutdown().await
    };
    tokio::select! {
        () = sending => Ok(()),
        result = receiving => result,
    }
}

async fn web_socket(
    lab: Rc<Lab>,
    gate: Gate,
    mut client: TcpStream,
    mut server: TcpStream,
    head: Vec<u8>,
    there: Duration,
    back: Duration,
) -> io::Result<()> {
    // Without extensions, so that messages are what they look like.
    let head = String::from_utf8_lossy(&head);
    let plain = |line: &&str| !line.to_ascii_lowercase().starts_with("sec-websocket-extensions:");
    let head: Vec<&str> = head.split("\r\n").filter(plain).collect();
    sleep(there).await;
    server.write_all(head.join("\r\n").as_bytes()).await?;
    let answer = read_head(&mut server).await?;
    let end = answer.windows(4).position(|end| end == b"\r\n\r\n").expect("it was read until there") + 4;
    sleep(back).await;
    client.write_all(&answer[..end]).await?;
    if !answer.starts_with(b"HTTP/1.1 101") {
        client.write_all(&answer[end..]).await?;
        return client.shutdown().await;
    }
    let client = WebSocketStream::from_raw_socket(client, Role::Server, None).await;
    let server =
        WebSocketStream::from_partially_read(server, answer[end..].to_vec(), Role::Client, None).await;
    let (client_sink, client_stream) = client.split();
    let (server_sink, server_stream) = server.split();
    let up = relay_messages(client_stream, server_sink, there, |message| from_client(&lab, gate, message));
    let down = relay_messages(server_stream, client_sink, back, |message| from_server(&lab, gate, message));
    tokio::select! {
        () = up => {}
        () = down => {}
    }
    Ok(())
}

async fn relay_messages(
    mut source: impl Stream<Item = Result<Message, Error>> + Unpin,
    mut target: impl SinkExt<Message, Error = Error> + Unpin,
    delay: Duration,
    change: impl Fn(Message) -> Message,
) {
    let (entered, mut leaving) = mpsc::unbounded_channel();
    let entering = async {
        while let Some(Ok(message)) = source.next().await {
            let end = message.is_close();
            // Pings are answered by the stack itself.
            if !matches!(message, Message::Ping(_) | Message::Pong(_)) {
                let _ = entered.send((Instant::now() + delay, change(message)));
            }
            if end {
                break;
            }
        }
        drop(entered);
    };
    let leaving = async {
        while let Some((at, message)) = leaving.recv().await {
            sleep_until(at).await;
            if target.send(message).await.is_err() {
                return;
            }
        }
        let _ = target.close().await;
    };
    tokio::join!(entering, leaving);
}

fn from_client(lab: &Rc<Lab>, gate: Gate, message: Message) -> Message {
    match message {
        Message::Text(text) => {
            learn(lab, text.as_str(), gate.client);
            Message::Text(text)
        }
        Message::Binary(frame) => {
            let Ok(ToRelay::Signal { to, session, signal }) = ToRelay::decode(&frame) else {
                return Message::Binary(frame);
            };
            let text = String::from_utf8_lossy(&signal);
            learn(lab, &text, gate.client);
            let relay = lab.relays.borrow().get(&to).copied();
            let Some(relay) = relay else { return Message::Binary(frame) };
            let signal = show(lab, &text, relay, None).into_bytes();
            Message::Binary(ToRelay::Signal { to, session, signal }.encode().into())
        }
        other => other,
    }
}

fn from_server(lab: &Rc<Lab>, gate: Gate, message: Message) -> Message {
    match message {
        Message::Text(text) => Message::Text(show(lab, text.as_str(), gate.client, None).into()),
        Message::Binary(frame) => match FromRelay::decode(&frame) {
            Ok(FromRelay::Challenge { relay, .. }) => {
                lab.relays.borrow_mut().insert(relay, gate.server);
                Message::Binary(frame)
            }
            Ok(FromRelay::Signal { from, session, signal }) => {
                let text = String::from_utf8_lossy(&signal);
                let signal = show(lab, &text, gate.client, Some(gate.server)).into_bytes();
                Message::Binary(FromRelay::Signal { from, session, signal }.encode().into())
            }
            _ => Message::Binary(frame),
        },
        other => other,
    }
}
