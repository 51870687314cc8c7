//! What the visitor allows holds for every byte that supplies others, whatever they ask.

use crate::supply_stage::{Lone, supplies};
use peeredge_attacks::{Attack, Figure};
use peeredge_dts::Layout;
use peeredge_node::{Caps, Input};
use peeredge_wire::peer::{PeerMessage, Pick};
use peeredge_wire::{ConnectionId, ContentId};

const NOTHING: [fn(&mut Caps); 3] = [
    |caps| caps.upload_allowed = false,
    |caps| caps.upload_bytes_per_s_max = 0,
    |caps| caps.upload_bytes_max = 0,
];

/// Asks for everything there is, in one round; gives the bytes that it said.
fn asks_all(lone: &mut Lone, connection: ConnectionId, content: ContentId, blocks: u32) -> u64 {
    let mut said = 0;
    let mut say = |lone: &mut Lone, message: PeerMessage<'_>| {
        said += message.encode().len() as u64;
        lone.say(connection, &message);
    };
    say(lone, PeerMessage::Subscribe { content });
    say(lone, PeerMessage::AskManifest { content });
    for block in 0..blocks {
        say(lone, PeerMessage::AskRecord { content, block });
        let picks = vec![Pick::Sources { first: 0, count: 16 }, Pick::Coded { density: 3, seed: 1 }];
        say(lone, PeerMessage::Want { content, block, deadline_ms: 60_000, due_ms: 0, picks });
    }
    say(lone, PeerMessage::Unsubscribe { content });
    said
}

#[test]
fn nothing_but_refusals_leaves_where_no_upload_is_allowed() {
    for forbid in NOTHING {
        let (mut lone, content) = Lone::holding(8 << 20, |config| forbid(&mut config.caps));
        let connection = lone.stranger(1, 1 << 16).expect("there is room");
        lone.outs.clear();
        let (mut said, mut left) = (0, Vec::new());
        for _ in 0..20 {
            said += asks_all(&mut lone, connection, content, 32);
            lone.pass(3_000);
            left.extend(lone.sent());
        }
        let supplied = left.iter().filter(|frame| supplies(frame)).count();
        let longest = left.iter().map(Vec::len).max().unwrap_or(0);
        let sum: u64 = left.iter().map(|frame| frame.len() as u64).sum();
        let stats = lone.node.stats();
        let counted = stats.sent_bytes + stats.control_bytes;
        Attack::new("node", "caps", "asks for everything of one whose visitor said: no upload")
            .spent(format!("1 key, {said} bytes"))
            .lost(format!(
                "{supplied} frames of content, {sum} bytes of refusals, none longer than {longest}"
            ))
            .figure(Figure::ByteAmplification, sum as f64 / said as f64)
            .end(supplied == 0 && longest < 64 && sum <= said && counted >= sum);
    }
}

#[test]
fn a_rate_holds_for_whatever_is_asked() {
    const RATE: u64 = 100_000;
    // A manifest of 64 kB, records of 8 kB, a bitmap of 250 bytes.
    let layout = Layout::new(2000 * 8 * 1024, 1024, 8).expect("within the limits");
    for kind in 0..5 {
        let mut lone = Lone::new(|config| config.caps.upload_bytes_per_s_max = RATE);
        let content = lone.hold_as(2000 * 8 * 1024, layout);
        let connections: Vec<ConnectionId> =
            (0..10).map(|n| lone.stranger(n, 1 << 16).expect("there is room")).collect();
        lone.outs.clear();
        let (mut most, mut sum, mut said) = (0.0f64, 0, 0);
        let began = lone.now;
        for round in 0..100u32 {
            for &connection in &connections {
                let picks = vec![Pick::Sources { first: 0, count: 8 }];
                let block = round % 2000;
                let want = PeerMessage::Want { content, block, deadline_ms: 60_000, due_ms: 0, picks };
                let message = match kind {
                    0 => {
                        // Anew each time: to whoever is subscribed it is not said again.
                        lone.say(connection, &PeerMessage::Unsubscribe { content });
                        PeerMessage::Subscribe { content }
                    }
                    1 => PeerMessage::AskManifest { content },
                    2 => PeerMessage::AskRecord { content, block },
                    3 => want,
                    _ => {
                        asks_all(&mut lone, connection, content, 5);
                        continue;
                    }
                };
                said += 1;
                lone.say(connection, &message);
            }
            lone.pass(100);
            let frames = lone.sent();
            sum += frames.iter().filter(|f| supplies(f)).map(|f| f.len() as u64).sum::<u64>();
            let seconds = lone.now.since(began).as_secs_f64();
            // A tenth of a second, or the longest frame, may leave at once.
            most = most.max(sum as f64 - RATE as f64 * seconds - 70_000.0);
        }
        let peers = lone.node.stats().peers;
        Attack::new("node", "caps", "ten ask for everything of one whose visitor allowed 100 kB a second")
            .spent(format!("10 keys, kind {kind}, {said} frames"))
            .lost(format!(
                "{sum} bytes in ten seconds, {most} above the cap; {} still connected",
                peers.len()
            ))
            .end(most <= 0.0 && sum > 20_000);
    }
}

#[test]
fn a_total_holds_to_the_byte() {
    for total in [1, 100, 5_000, 300_000, 1_000_000] {
        let (mut lone, content) = Lone::holding(8 << 20, |config| config.caps.upload_bytes_max = total);
        let mut supplied = 0;
        for n in 0..5 {
            let connection = lone.stranger(n, 1 << 16).expect("there is room");
            lone.outs.clear();
            for _ in 0..5 {
                asks_all(&mut lone, connection, content, 32);
                lone.pass(3_000);
                supplied += lone.sent().iter().filter(|f| supplies(f)).map(|f| f.len() as u64).sum::<u64>();
            }
        }
        Attack::new("node", "caps", "five ask for everything of one whose visitor allowed so many bytes")
            .spent("5 keys")
            .lost(format!("{supplied} of {total} bytes"))
            .end(supplied <= total);
    }
}

#[test]
fn news_of_what_is_held_is_told_once_the_cap_allows_it() {
    let (mut lone, content) = Lone::holding(8 << 20, |config| config.caps.upload_allowed = false);
    let connection = lone.stranger(1, 1 << 16).expect("there is room");
    lone.say(connection, &PeerMessage::Subscribe { content });
    let none = lone.sent().iter().any(|f| *f == PeerMessage::HaveNone { content }.encode());
    lone.input(Input::Caps(Caps::default()));
    let told = lone.sent().iter().any(|frame| supplies(frame));
    Attack::new("node", "caps", "an honest receiver meets one that may not upload, and later may")
        .spent("1 key")
        .lost("nothing: it hears that there is none, and then what there is")
        .end(none && told);
}
