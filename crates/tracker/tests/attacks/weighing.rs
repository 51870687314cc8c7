//! What one connection makes the tracker keep, and how long its frames take.
#![expect(clippy::disallowed_methods, clippy::disallowed_types, reason = "what frames take is measured here")]

use super::*;
use core::cell::Cell;
use core::time::Duration;
use peeredge_attacks::{Attack, Figure, measures};
use peeredge_wire::relay::{Holding, Report};
use std::alloc::{GlobalAlloc, Layout, System};
use std::time::Instant;

/// Counts what each thread has allocated and not freed.
struct Counting;

thread_local! {
    static HELD: Cell<i64> = const { Cell::new(0) };
}

fn count(bytes: i64) {
    // A thread that ends no longer counts.
    let _ = HELD.try_with(|held| held.set(held.get() + bytes));
}

// SAFETY: everything is left to the system's allocator; only sizes are added up beside it.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as i64);
        // SAFETY: the caller's promise about the layout is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(-(layout.size() as i64));
        // SAFETY: the pointer came from `alloc` above with this layout.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[test]
fn one_connection_that_takes_all_it_can_get() {
    let mut place = Place::with(|config| {
        // Without the bounds of an owner, so that the connection's own are seen.
        (config.owners.addresses_per_h, config.owners.addresses_per_h_of_one) = (10_000, 10_000);
        (config.carry.bytes_per_s_max, config.carry.bytes_per_s_all_max) = (1 << 20, 1 << 40);
    });
    let others = holders(&mut place, 40, content(0));
    for n in 0..1024 {
        for other in &others[..2] {
            place.announce(other.conn, content(n), 1000, 0);
        }
        place.pass(40);
    }
    let before = HELD.get();
    let stranger = join(&mut place, 1, STRANGER);
    for n in 0..64 {
        place.say(
            stranger.conn,
            &ToRelay::Head { name: "n".repeat(200) + &n.to_string(), head: vec![0; 4096] },
        );
        place.pass(200);
    }
    for round in 0..3 {
        for (n, other) in others.iter().enumerate().skip(2) {
            place.introduce(stranger.conn, other.conn);
            for session in 0..20 {
                place.signal(stranger.conn, other.conn, (round * 1000 + n as u64 * 20 + session) << 16);
                place.pass(40);
            }
            let to = peer_id(other.n);
            place.say(stranger.conn, &ToRelay::CarryOpen { to, session: 1 << 16, credit_bytes: u32::MAX });
            place.read(other.conn);
        }
        for n in 0..1024 {
            place.announce(stranger.conn, content(n), 500, 255);
            place.read(stranger.conn);
            place.pass(40);
        }
        for n in 0..1024 {
            if round < 2 {
                place.say(stranger.conn, &ToRelay::Withdraw { content: content(n) });
                place.pass(40);
            }
        }
    }
    place.read(stranger.conn);
    let held = HELD.get() - before;
    Attack::new("tracker", "seats", "one connection takes everything that it may")
        .spent("1 key, 3,072 announces, 64 heads, 2,400 signals")
        .lost(format!("{held} bytes of memory"))
        .figure(Figure::MemoryBytes, held as f64)
        .end(held <= 1 << 20);
}

/// Nanoseconds that one call takes: the fastest of some rounds.
fn took(rounds: u32, calls: u32, mut call: impl FnMut(u32)) -> f64 {
    (0..rounds)
        .map(|round| {
            let began = Instant::now();
            (0..calls).for_each(|n| call(round * calls + n));
            began.elapsed().as_nanos() as f64 / f64::from(calls)
        })
        .fold(f64::INFINITY, f64::min)
}

/// What a frame takes for each token of the rate that it costs, against an announce that is answered by introductions.
#[test]
fn no_frame_takes_much_longer_than_an_announce() {
    if !measures() {
        return;
    }
    let (rounds, calls) = (5, 200);
    let mut place = Place::with(|c| {
        (c.frames_per_s_max, c.frames_burst_max) = (u32::MAX / 2, u32::MAX / 2);
        (c.owners.addresses_per_h, c.owners.addresses_per_h_of_one) = (10_000, 10_000);
        (c.carry.bytes_per_s_max, c.carry.bytes_per_s_all_max) = (1 << 20, 1 << 40);
    });
    let others = holders(&mut place, 400, content(1));
    let mut stranger = join(&mut place, 1, STRANGER);
    let victim = others[0];
    place.contact(stranger.conn, victim.conn);
    let ordinary = {
        let takers: Vec<Peer> =
            (0..1000).map(|n| join(&mut place, 20_000 + n, 20_000 + u64::from(n))).collect();
        took(rounds, calls, |n| {
            place.announce(takers[n as usize].conn, content(1), 0, 8);
        })
    };
    let said = |n: u32, wants| Holding { content: content(n), have_permille: 500, wants };
    type Make = Box<dyn Fn(u32, &mut Peer) -> ToRelay>;
    let to = peer_id(victim.n);
    let all = u64::MAX;
    let frames: Vec<(&str, Make)> = vec![
        (
            "announce",
            Box::new(move |_, _| ToRelay::Announce { content: content(1), have_permille: 0, wants: 255 }),
        ),
        (
            "announces held",
            Box::new(move |n, _| ToRelay::Announces((0..256).map(|m| said(n % 4 * 256 + m, 0)).collect())),
        ),
        (
            "announces wanted",
            Box::new(move |n, _| ToRelay::Announces((0..256).map(|m| said(n % 4 * 256 + m, 8)).collect())),
        ),
        ("withdraw", Box::new(|n, _| ToRelay::Withdraw { content: content(n % 1024) })),
        ("signal", Box::new(move |_, _| ToRelay::Signal { to, session: 1 << 16, signal: vec![0; 900] })),
        ("report", Box::new(move |_, _| ToRelay::Report(Report { sent_bytes: all, ..Report::default() }))),
        ("blame", Box::new(move |_, _| ToRelay::Blame { accused: to, content: content(1), block: 0 })),
        (
            "capacity",
            Box::new(|n, _| ToRelay::Capacity { up_bytes_per_s: u64::from(n % 2) << 20, cost_class: 0 }),
        ),
        ("met", Box::new(move |_, _| ToRelay::Met { peer: to, opened_after_ms: None })),
        ("receipt", Box::new(move |_, peer| receipt(peer, to, content(1), 1000, 1000))),
        (
            "spare",
            Box::new(|n, _| ToRelay::Spare {
                storage_bytes: u64::from(n % 2) << 20,
                up_bytes_per_s: 1 << 20,
            }),
        ),
        (
            "carry open",
            Box::new(move |n, _| ToRelay::CarryOpen { to, session: u64::from(n) << 16, credit_bytes: 1 }),
        ),
        ("head", Box::new(|n, _| ToRelay::Head { name: format!("{}", n % 64), head: vec![0; 4096] })),
        ("follow", Box::new(move |n, _| ToRelay::Follow { publisher: to, name: format!("{}", n % 100) })),
        ("unfollow", Box::new(move |n, _| ToRelay::Unfollow { publisher: to, name: format!("{}", n % 100) })),
    ];
    let mut worst = (0.0f64, "");
    for (name, make) in frames {
        let made: Vec<Vec<u8>> = (0..rounds * calls).map(|n| make(n, &mut stranger).encode()).collect();
        let tokens = f64::from(ToRelay::cost(&made[0]));
        let nanos = took(rounds, calls, |n| {
            let frame = made[n as usize].clone();
            place.input(TrackerInput::Frame { conn: stranger.conn, frame });
        });
        place.read(stranger.conn);
        place.now = place.now + Duration::from_secs(2);
        let ratio = nanos / tokens / ordinary;
        println!("{name}: {nanos:.0} ns, {tokens} tokens, {ratio:.2} of an announce");
        if ratio > worst.0 {
            worst = (ratio, name);
        }
    }
    Attack::new("tracker", "amplifying", "the processor time of each frame, for each token of its rate")
        .spent("1,000 frames of each kind")
        .lost(format!("{:.1} times an announce's by {}", worst.0, worst.1))
        .figure(Figure::CpuAmplification, worst.0)
        .end(worst.0 <= 10.0);
}
