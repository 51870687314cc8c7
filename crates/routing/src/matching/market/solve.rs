use super::Market;
use super::units::NOWHERE;

/// The first step of prices that are found from nothing, and the first step and sweeps that mend prices which are there.
const AFRESH: f32 = 2.0;
const MEND: (f32, u32) = (0.01, 6);

impl Market {
    /// Finds prices, serves those who wait, and looks for changes that gain until there are hardly any, at most `rounds` times.
    pub fn solve(&mut self, rounds: u32) {
        let served = self.nodes.holders.iter().any(|holders| !holders.is_empty());
        let (first, sweeps) = if served { MEND } else { (AFRESH, self.settings.sweeps) };
        self.level(first, sweeps);
        self.serve();
        let units = self.units.all.len();
        for _ in 0..rounds {
            let before = self.counts;
            for node in 0..self.nodes.len() as u32 {
                self.loosen(node, 3);
            }
            self.settle(4 * self.nodes.len() as u64 + units as u64);
            for id in 0..units as u32 {
                self.revise(id);
                self.settle(16);
            }
            let done = self.counts.moves + self.counts.attracted - before.moves - before.attracted;
            if done * 1000 < units as u64 {
                break;
            }
        }
    }

    /// Serves those who wait where there is room, those first who are left with most for each unit of size.
    fn serve(&mut self) {
        let mut order: Vec<(u32, u32)> = Vec::with_capacity(self.pending.len());
        while let Some(id) = self.pending.pop_front() {
            self.units.all[id as usize].queued = false;
            let size = self.units.spots[id as usize].size;
            if let Some((_, net)) = self.best(id) {
                // Positive floats are ordered as their bits are.
                order.push((u32::MAX - (net / (size[0] + size[1]) as f32).to_bits(), id));
            } else if self.units.all[id as usize].alive {
                order.push((u32::MAX, id));
            }
        }
        order.sort_unstable();
        for (_, id) in &order {
            let size = self.units.spots[*id as usize].size;
            let (nodes, worths) = self.units.edges(*id);
            let mut best = (0.0, NOWHERE, 0.0);
            for (node, worth) in nodes.iter().zip(worths).filter(|(node, _)| self.nodes.fits(**node, size)) {
                let net = self.net(*id, *node, *worth);
                if net > best.0 && !self.clashes(*id, *node) {
                    best = (net, *node, *worth);
                }
            }
            if best.1 != NOWHERE && self.units.spots[*id as usize].node == NOWHERE {
                self.enter(*id, best.1, best.2);
            }
        }
        for (_, id) in order {
            if self.units.spots[id as usize].node == NOWHERE {
                self.queue(id);
            }
        }
        self.settle(2 * self.units.all.len() as u64);
    }

    /// Looks whether a unit could be better off.
    pub(super) fn revise(&mut self, id: u32) {
        let unit = self.units.all[id as usize];
        if !unit.alive || unit.queued {
            return;
        }
        self.counts.checks += 1;
        let spot = self.units.spots[id as usize];
        if spot.node == NOWHERE {
            self.place(id);
        } else if spot.worth < spot.size[0] as f32 * self.nodes.costs[spot.node as usize] {
            // It costs more there than it is worth.
            let node = self.leave(id).expect("it is served");
            self.queue(id);
            self.loosen(node, 2);
        } else {
            self.better(id);
        }
    }
}
