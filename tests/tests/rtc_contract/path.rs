//! A path between two native ends that takes its time and loses some of what it carries.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use peeredge_relay::rtc::{RtcConfig, RtcSocket};
use tokio::net::UdpSocket;
use tokio::sync::mpsc::unbounded_channel;
use tokio::time::Instant;

use crate::link::{End, Link, loopback, pattern};

/// Two ends that reach each other only through a path with this delay each way; every `loss_every`-th datagram
/// is lost, none if that is zero.
async fn ends_across(delay: Duration, loss_every: u64) -> (End, End) {
    // Each end advertises a socket of the path, which forwards from the socket that the other end advertises.
    let (near, far) = (Arc::new(bind().await), Arc::new(bind().await));
    let (one, two) = (free_address().await, free_address().await);
    forward(near.clone(), far.clone(), one, delay, loss_every);
    forward(far.clone(), near.clone(), two, delay, loss_every);
    (End::native(config(one, &near)), End::native(config(two, &far)))
}

fn config(bind: SocketAddr, path: &UdpSocket) -> RtcConfig {
    let advertised = Some(path.local_addr().expect("it is bound"));
    RtcConfig { sockets: vec![RtcSocket { bind, advertised }], ..loopback() }
}

async fn bind() -> UdpSocket {
    UdpSocket::bind("127.0.0.1:0").await.expect("loopback can be bound")
}

async fn free_address() -> SocketAddr {
    bind().await.local_addr().expect("it is bound")
}

/// What arrives at `from` goes to `to`, sent by `by`.
fn forward(from: Arc<UdpSocket>, by: Arc<UdpSocket>, to: SocketAddr, delay: Duration, loss_every: u64) {
    let (entered, mut leaving) = unbounded_channel();
    tokio::spawn(async move {
        let mut buffer = vec![0; 2048];
        let mut count = 0_u64;
        while let Ok((length, _)) = from.recv_from(&mut buffer).await {
            count += 1;
            if loss_every > 0 && count.is_multiple_of(loss_every) {
                continue;
            }
            if entered.send((Instant::now() + delay, buffer[..length].to_vec())).is_err() {
                return;
            }
        }
    });
    tokio::spawn(async move {
        while let Some((at, datagram)) = leaving.recv().await {
            tokio::time::sleep_until(at).await;
            // A datagram to an end that is gone is lost like any other.
            let _ = by.send_to(&datagram, to).await;
        }
    });
}

async fn carry(delay: Duration, loss_every: u64, bytes: u64, message_bytes: u64) {
    let (offerer, answerer) = ends_across(delay, loss_every).await;
    let mut link = Link::join(offerer, answerer).await;
    let id = link.id;
    let (one, two) = link.sides(true);
    let sending = async {
        let mut sent = 0;
        while sent < bytes {
            let message = pattern(sent, message_bytes.min(bytes - sent) as usize);
            sent += message.len() as u64;
            one.send(id, message).await;
        }
    };
    let receiving = async {
        let mut arrived = 0;
        while arrived < bytes {
            let message = two.receive().await;
            assert!(message == pattern(arrived, message.len()), "changed after {arrived} bytes");
            arrived += message.len() as u64;
        }
        assert_eq!(arrived, bytes);
    };
    let started = Instant::now();
    tokio::join!(sending, receiving);
    let mbit = bytes as f64 * 8e-6 / started.elapsed().as_secs_f64();
    println!("{delay:?} each way, one in {loss_every} lost, {message_bytes} B messages: {mbit:.1} Mbit/s");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_path_carries_everything() {
    carry(Duration::from_millis(20), 0, 24 << 20, 16_384).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_path_carries_long_messages() {
    carry(Duration::from_millis(20), 0, 4 << 20, 262_144).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lossy_path_loses_nothing() {
    carry(Duration::from_millis(5), 50, 2 << 20, 16_384).await;
}
