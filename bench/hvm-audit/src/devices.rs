//! Ten thousand devices: when they are there, how fast they are, who stands behind them, and how a fifth of them cheats.

use crate::dice::Dice;
use peeredge_wire::dice::mix;

/// How a device answers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    /// Computes.
    Honest,
    /// Makes answers up in this share of its runs, each for itself.
    Lone(f64),
    /// Takes runs and returns none.
    Withholder,
    /// Hands in what it handed in before.
    Replayer,
    /// Does not compute but copies what it can find: before anything is shown, nothing.
    Copier,
    /// Right outputs, ten times the gas.
    Boaster,
    /// Lies in this share of tasks, the same ones and with the same answers as its whole ring, after so many honest runs.
    Ring { ring: u32, share: f64, after: u32 },
    /// One of a ring that hands tasks in to itself, is right in those, and once it has had so many lies in this share of all others.
    Dealer { share: f64, after: u32 },
}

/// Who cheats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cheats {
    /// Half of the cheats alone, half of them colluding: the figures are this population's.
    Mixed,
    /// All alone.
    Alone,
    /// All of them one ring of distinct owners.
    OneRing,
    /// All of them one ring, and all lie seldom: the hardest that we know.
    OneSeldomRing,
    /// All of them one ring that is honest until it is trusted.
    OneSleeperRing,
    /// A ring of distinct owners that hands in as many tasks as all others together, and is trusted for those.
    SelfDealers,
    /// The same with tasks that only the memory which the ring claims can take.
    Choosers,
    /// The same with tiny tasks, from submitters' networks of its own.
    Colluders,
}

/// One device.
#[derive(Clone, Debug)]
pub struct Device {
    /// How it answers.
    pub kind: Kind,
    /// Who stands behind it.
    pub owner: u64,
    /// Gas a second.
    pub speed: f64,
    /// When it comes, in s.
    pub comes: f64,
    /// When it goes, in s.
    pub goes: f64,
    /// Runs so far; of a dealer, those of the tasks that its ring handed in.
    pub runs: u32,
}

/// Tasks from here on are those that cheats hand in themselves.
pub const DEALT: u64 = 1 << 40;

/// Gas a second of a typical device.
pub const SPEED: f64 = 1e9;

/// Devices that come over `window_s` seconds, half of them already there at the start if their visit lasts.
pub fn devices(n: usize, cheats: Cheats, visits: &[f64], window_s: f64, dice: &mut Dice) -> Vec<Device> {
    let cheating = n / 5;
    let mut all: Vec<Device> = (0..n)
        .map(|i| {
            let stay = visits[dice.below(visits.len())];
            let comes = dice.unit() * window_s;
            let speed = SPEED * (0.6 * dice.normal()).exp().clamp(0.2, 5.0);
            let (kind, owner) = if i < cheating { cheat(i, cheating, cheats) } else { (Kind::Honest, 0) };
            let owner = if owner == 0 { 1_000_000 + i as u64 } else { owner };
            Device { kind, owner, speed, comes, goes: comes + stay, runs: 0 }
        })
        .collect();
    all.sort_by(|a, b| a.comes.total_cmp(&b.comes));
    all
}

fn cheat(i: usize, of: usize, cheats: Cheats) -> (Kind, u64) {
    let alone = [
        Kind::Lone(1.0),
        Kind::Lone(0.2),
        Kind::Lone(0.02),
        Kind::Withholder,
        Kind::Replayer,
        Kind::Copier,
        Kind::Boaster,
    ];
    let ring = [
        Kind::Ring { ring: 1, share: 1.0, after: 0 },
        Kind::Ring { ring: 1, share: 0.05, after: 0 },
        Kind::Ring { ring: 1, share: 0.3, after: 20 },
    ];
    match cheats {
        Cheats::Alone => (alone[i % alone.len()], 0),
        Cheats::OneRing => (ring[i % ring.len()], 0),
        Cheats::OneSeldomRing => (Kind::Ring { ring: 1, share: 0.01, after: 0 }, 0),
        Cheats::SelfDealers | Cheats::Choosers | Cheats::Colluders => {
            (Kind::Dealer { share: 0.3, after: 60 }, 0)
        }
        Cheats::OneSleeperRing => (Kind::Ring { ring: 1, share: 0.3, after: 100 }, 0),
        Cheats::Mixed if i < of / 2 => (alone[i % alone.len()], 0),
        // A quarter of those who collude are ten keys each of one owner.
        Cheats::Mixed if i.is_multiple_of(4) => {
            let owner = 1 + (i / 40) as u64;
            (Kind::Ring { ring: 100 + owner as u32, share: 1.0, after: 0 }, owner)
        }
        Cheats::Mixed => (ring[i % ring.len()], 0),
    }
}

impl Device {
    /// What it says to this task, as a number: the truth is the task's own; and its gas. None when it never answers.
    pub fn answer(&mut self, task: u64, gas: u64, run: u64) -> Option<(u64, u64)> {
        self.runs += u32::from(!matches!(self.kind, Kind::Dealer { .. }) || task >= DEALT);
        let truth = mix(task);
        let wrong = |who: u64| mix(task ^ mix(who + 1));
        Some(match self.kind {
            Kind::Honest => (truth, gas),
            Kind::Lone(share) if unit(mix(run ^ 0x5eed)) < share => (wrong(run + (1 << 40)), gas),
            Kind::Lone(_) => (truth, gas),
            Kind::Withholder => return None,
            Kind::Replayer | Kind::Copier => (wrong(run + (1 << 41)), gas),
            Kind::Boaster => (truth, gas * 10),
            Kind::Dealer { share, after } => {
                let lies = task < DEALT && self.runs > after && unit(mix(task ^ 0x51de)) < share;
                (if lies { wrong(7) } else { truth }, gas)
            }
            Kind::Ring { ring, share, after } => {
                let lies = self.runs > after && unit(mix(task ^ 0x51de)) < share;
                (if lies { wrong(u64::from(ring)) } else { truth }, gas)
            }
        })
    }

    /// Whether it computes what it answers. Who does not is done sooner.
    pub fn computes(&self) -> bool {
        !matches!(self.kind, Kind::Replayer | Kind::Copier | Kind::Boaster)
    }
}

fn unit(bits: u64) -> f64 {
    (bits >> 11) as f64 / (1u64 << 53) as f64
}
