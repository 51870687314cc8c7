use crate::ahead::AheadStats;
use crate::purse::PurseStats;
use peeredge_hvm::{DispatchStats, Units};
use peeredge_routing::matching::MarketPicture;
use peeredge_wire::relay::{ErrorCode, Report};

/// A picture of the tracker at one moment, for metrics. Counts are since the start.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TrackerStats {
    /// Connections, those included that have not yet proved a key.
    pub connections: usize,
    /// Peers that have proved their key, the relay's own node included.
    pub peers: usize,
    /// Whether the relay's own node is one of them.
    pub relay_node: bool,
    /// Contents that somebody announces.
    pub contents: usize,
    /// Contents announced, counted once for each peer.
    pub announces: usize,
    /// Frames taken.
    pub frames: u64,
    /// Introductions made.
    pub introductions: u64,
    /// Signals carried.
    pub signals: u64,
    /// Signals whose addressee was not there.
    pub unreachable: u64,
    /// Bytes of messages that passed between peers without another path.
    pub carried_bytes: u64,
    /// Sessions in which messages may pass now.
    pub carry_sessions: usize,
    /// Live contents that somebody publishes or follows.
    pub live_contents: usize,
    /// Owners (networks) of the connections here, and those that left within an hour.
    pub owners: usize,
    /// Signals that did not pass: between two that were not introduced, and more than one owner's part.
    pub signals_refused: [u64; 2],
    /// Announces that found no place, their owner's or in all.
    pub announces_refused: u64,
    /// Wants that were told that their owner may learn of nobody else for now.
    pub quotas: u64,
    /// Blames that count.
    pub blames: u64,
    /// Blames that do not: of somebody never met, or more than an owner has in an hour.
    pub blames_refused: u64,
    /// Peers that are not introduced now, being blamed by enough others; connected or not.
    pub barred: usize,
    /// Sums over all reports, the relay's own left out: claims of the peers themselves. `channels` is the latest of each
    /// peer that is here, summed up to 65,535.
    pub reported: Report,
    /// What the peers now connected together sent and received a second, by their latest reports, the relay's own left out: claims.
    pub pooled: Units,
    /// What is placed ahead of demand.
    pub ahead: AheadStats,
    /// Receipts that count.
    pub receipts: u64,
    /// Bytes that receivers signed for, from peers and from the relay's own node.
    pub receipted_bytes: [u64; 2],
    /// Receipts that do not: not signed by who brought them, brought twice, about themselves or about somebody they never met.
    pub receipts_refused: u64,
    /// Introductions that opened, and that did not.
    pub met: [u64; 2],
    /// Introductions that opened to a holder from whom nothing came.
    pub nothing_came: u64,
    /// Rates that receivers bore out and that were within the interval that was expected of them beforehand, and those that were not:
    /// four of five should be within.
    pub rates_foretold: [u64; 2],
    /// The market that introductions come from.
    pub market: MarketPicture,
    /// What was spent for each publisher.
    pub purses: Vec<PurseStats>,
    /// Peers that offer to run tasks.
    pub workers: usize,
    /// Tasks without a result.
    pub tasks: usize,
    /// What became of tasks.
    pub dispatched: DispatchStats,
    /// What the workers now connected compute a second and hold in memory, measured by results that were verified.
    pub computing: Units,
    pub(crate) errors: [u64; ErrorCode::ALL.len()],
}

impl TrackerStats {
    /// Errors of this kind sent.
    pub fn errors(&self, code: ErrorCode) -> u64 {
        self.errors[place(code)]
    }

    pub(crate) fn count_error(&mut self, code: ErrorCode) {
        self.errors[place(code)] += 1;
    }
}

fn place(code: ErrorCode) -> usize {
    ErrorCode::ALL.iter().position(|c| *c == code).expect("ALL holds every code")
}
