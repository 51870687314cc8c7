//! Replicas ahead of demand: what the operator published is counted as it is asked for, foreseen, and laid on peers that offered room.
//!
//! Only the relay's own node names contents and their lengths, so no stranger can fill other visitors' disks. What a peer offers is
//! its claim: a large one gets it more to hold, and nothing else.

use core::time::Duration;
use peeredge_routing::deploy::{Need, Node, Order, Placement, TargetSettings, Targets};
use peeredge_routing::registry::Member;
use peeredge_wire::{ContentId, Time};
use std::collections::BTreeMap;

/// Room that one peer is believed to have, whatever it says.
const STORAGE_BYTES_MAX: u64 = 1 << 40;

/// How replicas are placed ahead of demand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AheadSettings {
    /// Milliseconds in which demand is counted together; replicas are ordered and released between two of them. Default 900,000.
    pub slot_ms: u32,
    /// Slots of a day. Default 96.
    pub day_slots: u16,
    /// Slots of a week. Default 672.
    pub week_slots: u16,
    /// Slots that a peer has for a fill. Default 1.
    pub lead_slots: u8,
    /// What a byte that peers did not serve in time costs, in thousandths of a byte of rented upload; above 1000. Default 8000.
    pub missed_permille: u32,
    /// Contents whose demand is foreseen, each about 150 KiB; further ones are not placed. 0 turns placement off. Default 256.
    pub contents_max: u16,
    /// Bytes a second that a peer is believed to have, whatever it claims. Default 1,250,000 (10 Mbit/s).
    pub up_bytes_per_s_max: u64,
}

impl AheadSettings {
    /// Slots of so many milliseconds; none at all when that is 0. Below a minute a day is taken as 1440 slots, to bound the history.
    pub fn of_slots(slot_ms: u32) -> Self {
        if slot_ms == 0 {
            return AheadSettings { contents_max: 0, ..AheadSettings::default() };
        }
        let day_slots = (86_400_000 / slot_ms).clamp(1, 1440) as u16;
        AheadSettings { slot_ms, day_slots, week_slots: 7 * day_slots, ..AheadSettings::default() }
    }
}

impl Default for AheadSettings {
    fn default() -> Self {
        AheadSettings {
            slot_ms: 900_000,
            day_slots: 96,
            week_slots: 672,
            lead_slots: 1,
            missed_permille: 8000,
            contents_max: 256,
            up_bytes_per_s_max: 1_250_000,
        }
    }
}

/// What placement ahead has come to, since the start where it is a count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AheadStats {
    /// Contents whose demand is foreseen.
    pub contents: usize,
    /// Those of them for which the forecast is followed now; for the others, what is asked for now.
    pub forecast: usize,
    /// Peers that offer room.
    pub nodes: usize,
    /// Upload of the peers that were asked to hold something, in bytes a second.
    pub rented_bytes_per_s: u64,
    /// Bytes that those peers could have sent while they held something or fetched it.
    pub rented_bytes: u64,
    /// Bytes that they reported to have sent meanwhile: claims. Over `rented_bytes` it is U.
    pub served_bytes: u64,
    /// Fills asked for.
    pub fills: u64,
    /// Bytes of these fills.
    pub fill_bytes: u64,
}

/// The machine behind it.
#[derive(Debug)]
pub(crate) struct Ahead {
    settings: AheadSettings,
    contents: BTreeMap<ContentId, Wanted>,
    placement: Placement,
    slot_ends: Option<Time>,
    counts: AheadStats,
}

#[derive(Debug)]
struct Wanted {
    bytes: u64,
    asked: u64,
    targets: Targets,
}

impl Ahead {
    pub(crate) fn new(settings: AheadSettings) -> Self {
        let settings = AheadSettings {
            slot_ms: settings.slot_ms.max(100),
            day_slots: settings.day_slots.max(1),
            week_slots: settings.week_slots.max(settings.day_slots).max(1),
            lead_slots: settings.lead_slots.max(1),
            missed_permille: settings.missed_permille.max(1001),
            ..settings
        };
        Ahead {
            placement: Placement::new(usize::from(settings.lead_slots)),
            settings,
            contents: BTreeMap::new(),
            slot_ends: None,
            counts: AheadStats::default(),
        }
    }

    /// The relay's own node has this content.
    pub(crate) fn published(&mut self, now: Time, content: ContentId, bytes: u64) {
        if self.contents.len() >= usize::from(self.settings.contents_max) || bytes == 0 {
            return;
        }
        let s = &self.settings;
        let settings = TargetSettings {
            short_slots: usize::from(s.day_slots),
            long_slots: usize::from(s.week_slots),
            lead_slots: usize::from(s.lead_slots),
            fill_slots: 0.5,
            missed: f64::from(s.missed_permille) / 1000.0,
            stays: 1.0,
        };
        self.contents.entry(content).or_insert_with(|| Wanted {
            bytes,
            asked: 0,
            targets: Targets::new(settings),
        });
        let slot = self.slot();
        self.slot_ends.get_or_insert(now + slot);
    }

    /// Whether demand for this content is counted.
    pub(crate) fn foresees(&self, content: &ContentId) -> bool {
        self.contents.contains_key(content)
    }

    /// Somebody came who wants this content, and not because it was asked to hold it.
    pub(crate) fn asked(&mut self, member: Member, content: ContentId) {
        if self.placement.holders_of(content).any(|(holder, ..)| holder == member) {
            return;
        }
        if let Some(wanted) = self.contents.get_mut(&content) {
            wanted.asked = wanted.asked.saturating_add(wanted.bytes);
        }
    }

    /// A peer offers room, or no longer.
    pub(crate) fn offered(&mut self, member: Member, storage: u64, up_bytes_per_s: u64) {
        let upload = self.in_a_slot(up_bytes_per_s.min(self.settings.up_bytes_per_s_max));
        let storage = storage.min(STORAGE_BYTES_MAX);
        if storage == 0 {
            self.placement.leave(member);
        } else {
            self.placement.join(member, Node { upload, storage, domain: 0 });
        }
    }

    pub(crate) fn gone(&mut self, member: Member) {
        self.placement.leave(member);
    }

    /// A peer reported bytes sent.
    pub(crate) fn sent(&mut self, member: Member, bytes: u64) {
        if self.placement.is_rented(member) {
            self.counts.served_bytes = self.counts.served_bytes.saturating_add(bytes);
        }
    }

    pub(crate) fn deadline(&self) -> Option<Time> {
        self.slot_ends
    }

    /// What is to be done when a slot has ended: nothing before.
    pub(crate) fn due(&mut self, now: Time) -> Vec<Order> {
        if self.slot_ends.is_none_or(|ends| ends > now) {
            return Vec::new();
        }
        // After a sleep only one slot has passed: what happened in between is not known.
        self.slot_ends = Some(now + self.slot());
        self.counts.rented_bytes = self.counts.rented_bytes.saturating_add(self.placement.rented());
        let mut needs = Vec::new();
        for (content, wanted) in &mut self.contents {
            wanted.targets.observe(core::mem::take(&mut wanted.asked) as f64);
            let mut decision = wanted.targets.decide(&self.placement.capacity(*content));
            // Less than half a copy in a slot is not worth the copy that a fill costs.
            let crumb = wanted.bytes as f64 / 2.0;
            for bytes in [&mut decision.keep, &mut decision.add] {
                *bytes = if *bytes < crumb { 0.0 } else { *bytes };
            }
            needs.push(Need { content: *content, bytes: wanted.bytes, decision });
        }
        let orders = self.placement.step(&needs);
        for order in &orders {
            if let Order::Fill { content, .. } = order {
                self.counts.fills += 1;
                let bytes = self.contents.get(content).map_or(0, |wanted| wanted.bytes);
                self.counts.fill_bytes = self.counts.fill_bytes.saturating_add(bytes);
            }
        }
        orders
    }

    pub(crate) fn stats(&self) -> AheadStats {
        let slot_ms = u64::from(self.settings.slot_ms);
        AheadStats {
            contents: self.contents.len(),
            forecast: self.contents.values().filter(|wanted| wanted.targets.follows_forecast()).count(),
            nodes: self.placement.nodes(),
            rented_bytes_per_s: (u128::from(self.placement.rented()) * 1000 / u128::from(slot_ms)) as u64,
            ..self.counts
        }
    }

    fn slot(&self) -> Duration {
        Duration::from_millis(u64::from(self.settings.slot_ms))
    }

    fn in_a_slot(&self, bytes_per_s: u64) -> u64 {
        (u128::from(bytes_per_s) * u128::from(self.settings.slot_ms) / 1000).min(u128::from(u64::MAX)) as u64
    }
}
