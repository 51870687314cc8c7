//! Where is the narrowest place: the receiver's downlink, a sender's uplink, or the path of one channel? Told by what moves together.
//!
//! A receiver sees how much comes over each of its channels, span by span. Where several share a narrow place, what one gets more the
//! others get less, and their sum is steadier than its parts; where that place itself grows wider and narrower, all of them move alike.
//! Channels that share nothing do neither. So for a group of channels the variance of the sum is set beside the sum of variances:
//! their ratio is 1 for strangers, near 0 for those who share what is constant, and near their number for those who share what
//! varies. (Shared bottlenecks from correlated changes: Rubenstein, Kurose and Towsley, IEEE/ACM ToN 10(3), 2002, who had delays.)
//! A channel that begins, pauses or ends is the clearest case: either the others make room, or they do not.
//!
//! Every span counts alike, however large its changes are, so that one outage decides nothing: each span's products are divided by
//! that span's sum of squares, and of strangers the ratio is then still 1 on average, as up and down are as frequent.
//!
//! What cannot be told from here: one single channel's sender from its path, and a place that both varies and is shared in shares that
//! vary as much.

use core::time::Duration;
use peeredge_wire::Time;

/// Spans in which arrivals are counted together.
const SPAN: Duration = Duration::from_millis(250);
const SPAN_S: f64 = 0.25;
/// Spans that are still open: an arrival counts evenly since the one before it on its channel, or it would be chance whether it falls
/// into this span or the next.
const OPEN: usize = 5;
/// After a pause of so many spans all begins anew: the shell slept.
const PAUSE_SPANS: u32 = 12;
/// How much the newest span counts in what is expected of a channel.
const LEVEL_GAIN: f64 = 0.5;
/// In so many spans a channel opens its pipe: that all do so at the same time says nothing of what they share.
const SPANS_OPENING: u32 = 4;
/// How much the newest span counts in what moves together.
const MOVES_GAIN: f64 = 0.05;
/// Nothing is said before so many spans.
const SPANS_MIN: u32 = 12;
/// Channels looked at, about 10 KiB for the most; further ones are not.
const CHANNELS_MAX: usize = 32;
/// A sum whose variance is below this share of its parts' is steady. Of strangers, 30 spans give 1 with an error of 0.15 to 0.2.
const STEADY: f64 = 0.6;
/// A mean correlation above this is common movement.
const COMMON: f64 = 0.3;
/// The ratio of strangers is so far above 1 by chance.
const CHANCE: f64 = 0.4;
/// Channels that carry less than this share of all are not counted in a verdict.
const SHARE_MIN: f64 = 0.02;

/// What bounds a channel's rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// What all of the receiver's channels share.
    Downlink,
    /// What the channels from one sender, or from some of the senders, share: their uplink, or a path in common.
    Uplink,
    /// Nothing that it shares with others: its own path, or its own congestion control.
    Path,
}

/// Some of the channels, a bit each.
type Group = u32;

/// Learns what a receiver's channels share.
#[derive(Clone, Debug, Default)]
pub struct Chain {
    /// One place each; a place whose bit is not in `open` is free.
    channels: Vec<Channel>,
    open: Group,
    /// How changes of two channels go together, row by row in the order of `channels`, [`CHANNELS_MAX`] a row: a mean of products over
    /// spans.
    moves: Vec<f64>,
    spans: u32,
    /// When the oldest open span began.
    began: Option<Time>,
}

#[derive(Clone, Copy, Debug)]
struct Channel {
    name: u32,
    sender: u64,
    /// Arrived in each open span, the oldest first.
    bytes: [f64; OPEN],
    /// The arrival before, if more could have been asked ever since.
    last: Option<Time>,
    /// Bytes a second to be expected.
    level: f64,
    spans: u32,
}

impl Chain {
    /// Has seen nothing.
    pub fn new() -> Self {
        Chain::default()
    }

    /// A channel from this sender; both are numbers that the caller gives.
    pub fn joined(&mut self, channel: u32, sender: u64) {
        let place = self.open.trailing_ones() as usize;
        if place == CHANNELS_MAX || self.place(channel).is_some() {
            return;
        }
        let joined = Channel { name: channel, sender, bytes: [0.0; OPEN], last: None, level: 0.0, spans: 0 };
        match self.channels.get_mut(place) {
            Some(free) => *free = joined,
            None => self.channels.push(joined),
        }
        self.moves.resize(CHANNELS_MAX * CHANNELS_MAX, 0.0);
        self.open |= 1 << place;
    }

    /// A channel ended.
    pub fn gone(&mut self, channel: u32) {
        let Some(gone) = self.place(channel) else { return };
        self.open &= !(1 << gone);
        // What is known of its sender stays, with another of its channels.
        let kept = self.of(self.channels[gone].sender).trailing_zeros() as usize;
        for (step, stride) in [(CHANNELS_MAX, 1), (1, CHANNELS_MAX)] {
            for at in 0..CHANNELS_MAX {
                let moves = core::mem::take(&mut self.moves[gone * step + at * stride]);
                if kept < CHANNELS_MAX {
                    self.moves[kept * step + at * stride] += moves;
                }
            }
        }
    }

    /// Bytes arrived. `busy` says that more could be asked of somebody all the time since the call before: only then does what
    /// comes show what is possible.
    pub fn arrived(&mut self, now: Time, channel: u32, bytes: u64, busy: bool) {
        let paused = self.began.is_some_and(|began| now.since(began) > SPAN * PAUSE_SPANS);
        if !busy || paused {
            self.skip();
        }
        let mut began = *self.began.get_or_insert(now);
        while now.since(began) >= SPAN * OPEN as u32 {
            self.close();
            began = began + SPAN;
            self.began = Some(began);
        }
        let Some(at) = self.place(channel) else { return };
        let channel = &mut self.channels[at];
        let last = channel.last.replace(now).unwrap_or(now).max(began);
        let since = |time: Time| now.since(began).as_secs_f64() - now.since(time).as_secs_f64();
        let (from, to) = (since(last) / SPAN_S, since(now) / SPAN_S);
        for (span, sum) in channel.bytes.iter_mut().enumerate() {
            let (begin, end) = (span as f64, span as f64 + 1.0);
            if from < to {
                *sum += bytes as f64 * (to.min(end) - from.max(begin)).max(0.0) / (to - from);
            } else if (begin..end).contains(&to) {
                *sum += bytes as f64;
            }
        }
    }

    /// What bounds this channel; None while that cannot be told.
    pub fn limit(&self, channel: u32) -> Option<Limit> {
        if self.spans < SPANS_MIN {
            return None;
        }
        let mine = self.of(self.channels[self.place(channel)?].sender);
        let all: f64 = places(self.open).map(|at| self.channels[at].level).sum();
        let mut senders = Vec::new();
        for at in places(self.open) {
            let group = self.of(self.channels[at].sender);
            if self.channels[at].level > SHARE_MIN * all && !senders.contains(&group) {
                senders.push(group);
            }
        }
        if self.shares(&senders) {
            return Some(Limit::Downlink);
        }
        let lanes: Vec<Group> = places(mine).map(|lane| 1 << lane).collect();
        // Two senders may be behind one uplink.
        let neighbours =
            senders.len() > 2 && senders.iter().any(|other| *other != mine && self.shares(&[mine, *other]));
        if self.shares(&lanes) || neighbours {
            return Some(Limit::Uplink);
        }
        (lanes.len() > 1).then_some(Limit::Path)
    }

    fn place(&self, channel: u32) -> Option<usize> {
        places(self.open).find(|at| self.channels[*at].name == channel)
    }

    /// The channels from this sender.
    fn of(&self, sender: u64) -> Group {
        places(self.open)
            .filter(|at| self.channels[*at].sender == sender)
            .fold(0, |group, at| group | 1 << at)
    }

    /// Whether these parts, each the sum of some channels, have something narrow in common.
    fn shares(&self, parts: &[Group]) -> bool {
        let (mut all, mut apart, mut alike) = (0, 0.0, 0.0);
        for part in parts {
            let own = self.variance(*part);
            all |= part;
            apart += own;
            alike += libm::sqrt(own);
        }
        if parts.len() < 2 || apart <= 0.0 {
            return false;
        }
        // If all moved alike, the ratio would be this.
        let alike = alike * alike / apart;
        let ratio = self.variance(all) / apart;
        ratio < STEADY || ratio > 1.0 + (COMMON * (alike - 1.0)).max(CHANCE)
    }

    /// Of the sum of these channels.
    fn variance(&self, group: Group) -> f64 {
        let row = |i| places(group).map(move |j| self.moves[i * CHANNELS_MAX + j]).sum::<f64>();
        places(group).map(row).sum::<f64>().max(0.0)
    }

    /// Forgets what the open spans have brought.
    fn skip(&mut self) {
        for channel in &mut self.channels {
            (channel.bytes, channel.last) = ([0.0; OPEN], None);
        }
        self.began = None;
    }

    /// Closes the oldest open span.
    fn close(&mut self) {
        let mut changes = [0.0; CHANNELS_MAX];
        let mut squares = 0.0;
        for at in places(self.open) {
            let channel = &mut self.channels[at];
            let rate = channel.bytes[0] / SPAN_S;
            // What it carries while it opens is what is expected of it.
            if channel.spans < SPANS_OPENING {
                channel.level = rate;
            }
            channel.spans = channel.spans.saturating_add(1);
            let change = rate - channel.level;
            channel.level += LEVEL_GAIN * change;
            channel.bytes.rotate_left(1);
            channel.bytes[OPEN - 1] = 0.0;
            changes[at] = change;
            squares += change * change;
        }
        if squares > 0.0 {
            let gain = MOVES_GAIN.max(1.0 / (f64::from(self.spans) + 1.0));
            for (at, moves) in self.moves.iter_mut().enumerate() {
                let product = changes[at / CHANNELS_MAX] * changes[at % CHANNELS_MAX];
                *moves += gain * (product / squares - *moves);
            }
            self.spans = self.spans.saturating_add(1);
        }
    }
}

fn places(mut group: Group) -> impl Iterator<Item = usize> {
    core::iter::from_fn(move || {
        let place = group.trailing_zeros() as usize;
        group &= group.wrapping_sub(1);
        (place < CHANNELS_MAX).then_some(place)
    })
}
