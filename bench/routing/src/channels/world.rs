//! Four real mobile links between one receiver and four senders that hold everything: a round trip, messages that are lost and sent
//! again, and senders that leave, half of them without a word. A sender works off what it was asked in order; what it sends
//! passes its link at the rate that was recorded, and arrives in order.

use crate::dice::Dice;
use crate::perception::traces::Trace;
use std::collections::VecDeque;

/// Bytes of one symbol on the link.
pub const SYMBOL_BYTES: f64 = 16_384.0;
/// How often a receiver looks at the clock, in seconds.
const TICK_S: f64 = 0.1;
/// A run that takes longer than so many seconds has failed.
const GIVE_UP_S: f64 = 3600.0;
/// A connection whose other end is gone without a word is found to be dead after so many seconds.
const FOUND_OUT_S: f64 = 5.0;

/// Names what is asked for; only the receiver knows what it means.
pub type Symbol = u64;

/// One link and its senders, one after the other.
pub struct Link {
    trace: Trace,
    /// When each step ends, in seconds into the trace.
    ends_s: Vec<f64>,
    /// Seconds into the trace at which the run begins.
    from_s: f64,
    /// Round trip in seconds.
    pub round_trip_s: f64,
    /// Share of messages that are sent twice, the second a round trip later.
    loss: f64,
    /// When its senders are there, and whether the end of each is silent.
    pub stays: Vec<Stay>,
}

/// A sender's stay.
#[derive(Clone, Copy)]
pub struct Stay {
    /// Seconds after the beginning of the run.
    pub from_s: f64,
    /// When it leaves.
    pub to_s: f64,
    /// Nobody tells the receiver.
    pub silent: bool,
}

impl Link {
    /// A link on a part of `trace`, with senders that stay for `stay_s` on average and are away for a tenth of that.
    pub fn new(dice: &mut Dice, trace: &Trace, round_trip_s: f64, loss: f64, stay_s: f64) -> Self {
        let mut length_s = 0.0;
        let ends_s: Vec<f64> = trace
            .iter()
            .map(|step| {
                length_s += step.seconds;
                length_s
            })
            .collect();
        let mut stays = Vec::new();
        let mut at = 0.0;
        while at < GIVE_UP_S {
            let to_s = at + dice.exponential(stay_s);
            let silent = dice.unit() < 0.5;
            stays.push(Stay { from_s: at, to_s, silent });
            // Another one takes its place only when it is known to be gone.
            at = to_s + if silent { FOUND_OUT_S } else { 0.0 } + dice.exponential(stay_s / 10.0);
        }
        let from_s = dice.unit() * length_s;
        Link { trace: trace.clone(), ends_s, from_s, round_trip_s, loss, stays }
    }

    /// The rate at a moment of the run, and for how long it lasts. The trace begins anew when it ends.
    fn rate(&self, at_s: f64) -> (f64, f64) {
        let length_s = self.ends_s[self.ends_s.len() - 1];
        let at = (self.from_s + at_s) % length_s;
        let step = self.ends_s.partition_point(|&end| end <= at).min(self.trace.len() - 1);
        (self.trace[step].rate(), (self.ends_s[step] - at).max(1e-6))
    }

    /// When `bytes` that begin to be sent at `at_s` are through.
    fn through(&self, mut at_s: f64, mut bytes: f64) -> f64 {
        loop {
            let (rate, lasts) = self.rate(at_s);
            if rate * lasts >= bytes && rate > 0.0 {
                return at_s + bytes / rate;
            }
            bytes -= rate * lasts;
            at_s += lasts.max(1e-6);
            if at_s > GIVE_UP_S {
                return GIVE_UP_S;
            }
        }
    }

    fn stay_at(&self, at_s: f64) -> Option<usize> {
        self.stays.iter().position(|stay| stay.from_s <= at_s && at_s < stay.to_s)
    }
}

/// Bytes that all links together carry until `to_s`, if nothing is lost and nobody waits for anything.
pub fn carried(links: &[Link], to_s: f64) -> f64 {
    let mut sum = 0.0;
    for link in links {
        for stay in link.stays.iter().take_while(|stay| stay.from_s < to_s) {
            let (mut at, end) = (stay.from_s, stay.to_s.min(to_s));
            while at < end {
                let (rate, lasts) = link.rate(at);
                let span = lasts.min(end - at).max(1e-6);
                sum += rate * span;
                at += span;
            }
        }
    }
    sum
}

/// When the links could have carried `bytes` at the earliest.
pub fn fluid_bound_s(links: &[Link], bytes: f64) -> f64 {
    let (mut low, mut high) = (0.0, GIVE_UP_S);
    for _ in 0..40 {
        let mid = (low + high) / 2.0;
        if carried(links, mid) < bytes { low = mid } else { high = mid }
    }
    high
}

/// One who fetches something over the links.
pub trait Receiver {
    /// A sender is there.
    fn joined(&mut self, now_s: f64, link: usize);
    /// The sender said that it leaves, or its connection was seen to be dead.
    fn left(&mut self, now_s: f64, link: usize);
    /// A symbol came. Gives whether it was of use.
    fn arrived(&mut self, now_s: f64, link: usize, symbol: Symbol) -> bool;
    /// What to ask of this sender now.
    fn asks(&mut self, now_s: f64, link: usize) -> Vec<Symbol>;
    /// What senders need no longer send.
    fn cancels(&mut self) -> Vec<(usize, Symbol)>;
    /// Everything is there.
    fn is_done(&self) -> bool;
}

/// How a run went.
pub struct Outcome {
    /// Seconds from the first ask to the last symbol.
    pub seconds: f64,
    /// Bytes sent in vain over bytes fetched.
    pub redundant: f64,
}

/// What happens.
enum Event {
    Ask(Vec<Symbol>),
    Cancel(Symbol),
    Arrive(Symbol),
    Join,
    Leave,
}

/// One sender's work.
#[derive(Default)]
struct Sender {
    queue: VecDeque<Symbol>,
    free_s: f64,
    arrival_s: f64,
}

/// Lets a receiver fetch `symbols` symbols.
pub fn run(links: &[Link], dice: &mut Dice, receiver: &mut dyn Receiver, symbols: usize) -> Outcome {
    let mut senders: Vec<Sender> = links.iter().map(|_| Sender::default()).collect();
    let mut events: Vec<(f64, u64, usize, usize, Event)> = Vec::new();
    let mut number = 0;
    for (link, l) in links.iter().enumerate() {
        for (stay, s) in l.stays.iter().enumerate() {
            // An open connection is where the count begins; later ones cost their handshake.
            let opens = if stay == 0 { 0.0 } else { s.from_s + 2.0 * l.round_trip_s };
            events.push((opens, number, link, stay, Event::Join));
            events.push((
                s.to_s + if s.silent { FOUND_OUT_S } else { 0.0 },
                number + 1,
                link,
                stay,
                Event::Leave,
            ));
            number += 2;
        }
    }
    let mut queue = std::collections::BTreeMap::new();
    let key = |at_s: f64, number: u64| ((at_s * 1e7) as u64, number);
    for (at, number, link, stay, event) in events {
        queue.insert(key(at, number), (at, link, stay, event));
    }
    let (mut now, mut tick) = (0.0, TICK_S);
    let mut wasted = 0.0;
    let mut there: Vec<Option<usize>> = vec![None; links.len()];
    while !receiver.is_done() && now < GIVE_UP_S {
        let next = queue.first_key_value().map_or(GIVE_UP_S, |(_, (at, ..))| *at);
        let mut touched: Vec<usize> = Vec::new();
        if next > tick {
            now = tick;
            tick += TICK_S;
            touched.extend(0..links.len());
        } else if let Some((_, (at, link, stay, event))) = queue.pop_first() {
            now = at;
            let alive = links[link].stay_at(now) == Some(stay);
            match event {
                Event::Join if alive => {
                    there[link] = Some(stay);
                    senders[link] = Sender { queue: VecDeque::new(), free_s: now, arrival_s: now };
                    receiver.joined(now, link);
                    touched.push(link);
                }
                Event::Leave if there[link] == Some(stay) => {
                    there[link] = None;
                    receiver.left(now, link);
                    touched.extend(0..links.len());
                }
                Event::Arrive(symbol) if there[link] == Some(stay) && links[link].stays[stay].to_s > now => {
                    if !receiver.arrived(now, link, symbol) {
                        wasted += SYMBOL_BYTES;
                    }
                    touched.push(link);
                }
                Event::Ask(symbols) if alive => senders[link].queue.extend(symbols),
                Event::Cancel(symbol) if alive => senders[link].queue.retain(|&s| s != symbol),
                _ => {}
            }
        }
        // Senders start what is due.
        for (link, l) in links.iter().enumerate() {
            let Some(stay) = l.stay_at(now) else { continue };
            let sender = &mut senders[link];
            while sender.free_s <= now + TICK_S {
                let Some(symbol) = sender.queue.pop_front() else { break };
                let begins = sender.free_s.max(now);
                sender.free_s = l.through(begins, SYMBOL_BYTES);
                let again = if dice.unit() < l.loss { l.round_trip_s } else { 0.0 };
                sender.arrival_s = sender.arrival_s.max(sender.free_s + again);
                let at = sender.arrival_s + l.round_trip_s / 2.0;
                number += 1;
                queue.insert(key(at, number), (at, link, stay, Event::Arrive(symbol)));
            }
        }
        for (link, symbol) in receiver.cancels() {
            number += 1;
            let at = now + links[link].round_trip_s / 2.0;
            if let Some(stay) = there[link] {
                queue.insert(key(at, number), (at, link, stay, Event::Cancel(symbol)));
            }
        }
        for link in touched {
            let Some(stay) = there[link] else { continue };
            let asks = receiver.asks(now, link);
            if !asks.is_empty() {
                number += 1;
                let at = now + links[link].round_trip_s / 2.0;
                queue.insert(key(at, number), (at, link, stay, Event::Ask(asks)));
            }
        }
    }
    // What had begun to be sent when nothing was needed any more.
    let under_way = queue.values().filter(|(.., event)| matches!(event, Event::Arrive(_))).count();
    wasted += under_way as f64 * SYMBOL_BYTES;
    Outcome { seconds: now, redundant: wasted / (symbols as f64 * SYMBOL_BYTES) }
}
