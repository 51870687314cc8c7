//! Announces that one tracker takes in a second of processor time: the real machine, from frame to frames, matching included.

use crate::Setting;
use crate::dice::Dice;
use crate::report::Report;
use core::time::Duration;
use ed25519_dalek::{Signer, SigningKey};
use peeredge_tracker::{ConnId, Tracker, TrackerConfig, TrackerInput, TrackerOutput};
use peeredge_wire::relay::{FromRelay, ToRelay, hello_payload};
use peeredge_wire::{ContentId, PROTOCOL_VERSION, PeerId, Time};

/// User and system time of this thread.
fn cpu_s() -> f64 {
    let stat = std::fs::read_to_string("/proc/thread-self/stat").unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    // In ticks of 10 ms.
    [11, 12].iter().filter_map(|at| fields.get(*at)?.parse::<f64>().ok()).sum::<f64>() / 100.0
}

struct Peer {
    conn: ConnId,
    key: SigningKey,
}

fn join(tracker: &mut Tracker, now: Time, peer: &Peer, relay: PeerId) {
    tracker.handle(now, TrackerInput::Connected { conn: peer.conn, authorities: vec!["localhost".into()] });
    let mut nonce = None;
    while let Some(output) = tracker.poll() {
        if let TrackerOutput::Send { frame, .. } = output
            && let Ok(FromRelay::Challenge { nonce: n, .. }) = FromRelay::decode(&frame)
        {
            nonce = Some(n);
        }
    }
    let nonce = nonce.expect("a tracker challenges who connects");
    let hello = ToRelay::Hello {
        version: PROTOCOL_VERSION,
        peer: PeerId(peer.key.verifying_key().to_bytes()),
        signature: peer.key.sign(&hello_payload(&nonce, &relay, "localhost")).to_bytes(),
        authority: "localhost".into(),
    };
    tracker.handle(now, TrackerInput::Frame { conn: peer.conn, frame: hello.encode() });
    while tracker.poll().is_some() {}
}

/// Measures one tracker.
pub fn run(setting: &Setting) -> Report {
    let mut report = Report::default();
    let (peers, contents, announces) =
        if setting.quick { (2_000, 100, 100_000) } else { (10_000, 500, 1_000_000) };
    let mut dice = Dice::new(setting.seed);
    let relay = PeerId([7; 32]);
    let mut tracker = Tracker::new(TrackerConfig::new(relay, [9; 32]));
    let all: Vec<Peer> = (0..peers)
        .map(|n: u64| {
            let mut secret = [0u8; 32];
            secret.chunks_mut(8).for_each(|part| part.copy_from_slice(&dice.bits().to_le_bytes()));
            Peer { conn: ConnId(n + 1), key: SigningKey::from_bytes(&secret) }
        })
        .collect();
    let mut now = Time::from_millis(1);
    all.iter().for_each(|peer| join(&mut tracker, now, peer, relay));
    // Contents as popular as 1/rank: each peer cares for two of them.
    let weights: Vec<f64> = (1..=contents).map(|rank| 1.0 / f64::from(rank)).collect();
    let total: f64 = weights.iter().sum();
    let mut popular = || {
        let mut mark = dice.unit() * total;
        weights
            .iter()
            .position(|w| {
                mark -= w;
                mark <= 0.0
            })
            .unwrap_or(0) as u16
    };
    let cares: Vec<[u16; 2]> = (0..peers).map(|_| [popular(), popular()]).collect();
    let content = |n: u16| {
        let mut id = [3; 32];
        id[..2].copy_from_slice(&n.to_le_bytes());
        ContentId(id)
    };
    let mut sent = [0u64; 2];
    // The first round fills the registry; the second is measured.
    for (round, count) in [(0, peers as usize * 2), (1, announces)] {
        let mut spent = 0.0;
        let mut done = 0;
        while done < count {
            let batch: Vec<(ConnId, Vec<u8>)> = (0..20_000.min(count - done))
                .map(|_| {
                    let at = dice.below(peers as usize);
                    let have_permille = [0, 0, 250, 500, 1000][dice.below(5)];
                    let wants = if have_permille == 1000 { 0 } else { 4 };
                    let content = content(cares[at][dice.below(2)]);
                    (all[at].conn, ToRelay::Announce { content, have_permille, wants }.encode())
                })
                .collect();
            done += batch.len();
            let before = cpu_s();
            for (conn, frame) in batch {
                // Each peer announces about every ten seconds.
                now = now + Duration::from_micros(10_000_000 / peers);
                tracker.handle(now, TrackerInput::Frame { conn, frame });
                while tracker.poll().is_some() {
                    sent[round] += 1;
                }
            }
            spent += cpu_s() - before;
        }
        if round == 1 {
            let stats = tracker.stats();
            println!(
                "seed {}, {peers} peers, {} entries of {contents} contents: {count} announces and {} answers in {spent:.2} s of processor time",
                setting.seed, stats.announces, sent[1]
            );
            let market = stats.market;
            println!(
                "{} of {} places given, certified gap {:.2} %, prices {:?}",
                market.served,
                market.asked,
                market.gap * 100.0,
                market.prices
            );
            report.figure("tracker_announces_per_cpu_s", count as f64 / spent);
        }
    }
    report
}
