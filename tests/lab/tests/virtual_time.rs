//! The lab's network on a virtual clock: what it carries is what its settings say.

use peeredge_lab::link::LinkConfig;
use peeredge_lab::network::{EndpointId, FlowId, Network, Output};
use peeredge_lab::rate::{Micros, Rate};

const MS: Micros = 1000;
const SECOND: Micros = 1_000_000;

fn delay(ms: u64) -> LinkConfig {
    LinkConfig { delay_us: ms * MS, ..LinkConfig::default() }
}

fn pair(up: LinkConfig, down: LinkConfig) -> (Network, EndpointId, EndpointId) {
    let mut network = Network::new(1);
    let server = network.add(up, LinkConfig::default());
    let client = network.add(LinkConfig::default(), down);
    (network, server, client)
}

/// Runs until `until`, and counts what each stream delivered.
fn drive(network: &mut Network, until: Micros, flows: &[FlowId]) -> Vec<u64> {
    let mut bytes = vec![0; flows.len()];
    let mut now = 0;
    loop {
        for (flow, _) in flows.iter().zip(&bytes) {
            if let Some(room) = network.room(*flow) {
                network.write(now, *flow, &vec![0; room]);
            }
        }
        while let Some(output) = network.poll() {
            if let Output::Stream { flow, bytes: more } = output {
                let at = flows.iter().position(|it| *it == flow).expect("one of them");
                bytes[at] += more.len() as u64;
            }
        }
        match network.deadline() {
            Some(at) if at <= until => now = at,
            _ => return bytes,
        }
        network.wake(now);
    }
}

/// Mbit/s of so many streams over one bottleneck of `mbit`, after `seconds`.
fn rates(
    mbit: f64,
    queue_bytes: u64,
    round_trip_ms: u64,
    loss: f64,
    streams: usize,
    seconds: u64,
) -> Vec<f64> {
    let up =
        LinkConfig { rate: Rate::Constant(mbit * 125_000.0), queue_bytes, loss, ..delay(round_trip_ms / 2) };
    let (mut network, server, client) = pair(up, delay(0));
    network.configure(0, client, Some(delay(round_trip_ms / 2)), None);
    let flows: Vec<_> = (0..streams).map(|_| network.open(server, client)).collect();
    let bytes = drive(&mut network, seconds * SECOND, &flows);
    bytes.into_iter().map(|bytes| bytes as f64 * 8e-6 / seconds as f64).collect()
}

#[test]
fn a_datagram_takes_both_links() {
    let (mut network, server, client) = pair(delay(20), LinkConfig { rate: Rate::Constant(1e6), ..delay(5) });
    network.datagram(0, server, client, 9, vec![1; 972]);
    network.wake(26 * MS - 1);
    assert_eq!(network.poll(), None);
    network.wake(26 * MS);
    assert_eq!(network.poll(), Some(Output::Datagram { token: 9, bytes: vec![1; 972] }));
    assert_eq!(network.deadline(), None);
}

#[test]
fn a_stream_arrives_whole_and_in_order_over_a_hostile_path() {
    let up = LinkConfig { loss: 0.05, jitter_us: 8 * MS, reorder: 0.02, ..delay(15) };
    let (mut network, server, client) = pair(up, LinkConfig { loss: 0.02, ..delay(5) });
    let flow = network.open(server, client);
    let sent: Vec<u8> = (0..3_000_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    network.write(0, flow, &sent);
    network.finish(flow);
    let mut arrived = Vec::new();
    while let Some(at) = network.deadline() {
        assert!(at < 300 * SECOND, "it does not end");
        network.wake(at);
        while let Some(output) = network.poll() {
            match output {
                Output::Stream { bytes, .. } => arrived.extend(bytes),
                Output::Finished { .. } => assert!(arrived == sent),
                Output::Datagram { .. } => unreachable!("nobody sends one"),
            }
        }
    }
    assert!(arrived == sent);
}

#[test]
fn one_stream_fills_a_link_and_two_share_it() {
    let alone = rates(20.0, 100_000, 40, 0.0, 1, 20);
    assert!((17.0..=20.0).contains(&alone[0]), "{alone:?}");
    let both = rates(20.0, 100_000, 40, 0.0, 2, 60);
    assert!(both.iter().sum::<f64>() > 17.0, "{both:?}");
    assert!(both.iter().all(|rate| *rate > 5.0), "{both:?}");
}

#[test]
fn loss_holds_a_stream_back_as_published() {
    // CUBIC's response at 1 % and 40 ms (RFC 9438 section 5.2): in the Reno-friendly region, sqrt(3/2 / p) segments a round trip.
    let [rate] = rates(1000.0, 10_000_000, 40, 0.01, 1, 60)[..] else { panic!("one stream") };
    let published = (1.5_f64 / 0.01).sqrt() * 1448.0 * 8e-6 / 0.04;
    assert!((0.6..=1.6).contains(&(rate / published)), "{rate} for {published}");
}

#[test]
fn a_recorded_trace_carries_its_opportunities() {
    let trace: String = (1..=1000).map(|n| format!("{}\n", n * 2)).collect();
    let rate = Rate::mahimahi(&trace).expect("a trace");
    let (mut network, server, client) =
        pair(LinkConfig { rate, queue_bytes: 1 << 20, ..delay(10) }, delay(0));
    let flow = network.open(server, client);
    let [bytes] = drive(&mut network, 10 * SECOND, &[flow])[..] else { panic!("one stream") };
    let most = 5000.0 * 1504.0 * (1448.0 / 1500.0);
    assert!((0.9..=1.0).contains(&(bytes as f64 / most)), "{bytes} of {most}");
}

#[test]
fn the_same_seed_gives_the_same_run() {
    let run = || rates(10.0, 60_000, 40, 0.01, 2, 5);
    assert_eq!(run(), run());
}
