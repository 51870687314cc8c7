use super::Market;
use super::units::NOWHERE;

/// How good a matching is, proved from the prices alone.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Certificate {
    /// Worth of all that is served, less the nodes' cost.
    pub worth: f64,
    /// No matching is worth more than this.
    pub bound: f64,
    /// Replicas served.
    pub served: usize,
    /// Replicas asked for.
    pub asked: usize,
}

impl Certificate {
    /// Share of the bound that may be missing: 0 is the optimum.
    pub fn gap(&self) -> f64 {
        if self.bound > 0.0 { ((self.bound - self.worth) / self.bound).max(0.0) } else { 0.0 }
    }
}

impl Market {
    /// Looks at every demand and node once. The bound is that of weak duality: at any prices, no matching is worth more than all
    /// capacity at its price together with what every demand would be left with at its own best choice.
    pub fn certify(&self) -> Certificate {
        let mut sum = Certificate::default();
        for (state, prices) in self.nodes.states.iter().zip(0..).map(|(s, id)| (s, self.nodes.prices(id))) {
            let capacity = state.node.capacity.map(f64::from);
            sum.bound += f64::from(prices[0]) * capacity[0] + f64::from(prices[1]) * capacity[1];
        }
        let mut domains: Vec<(u32, f32)> = Vec::new();
        for (id, unit) in self.units.all.iter().enumerate().filter(|(_, unit)| unit.alive) {
            sum.asked += 1;
            if unit.node != NOWHERE {
                let cost = self.nodes.states[unit.node as usize].node.cost;
                sum.served += 1;
                sum.worth += f64::from(unit.worth) - f64::from(unit.size[0]) * f64::from(cost);
            }
            let id = id as u32;
            if unit.ring == id {
                sum.bound += f64::from(self.best_net(id));
            } else if self.units.ring(id).all(|other| other >= id) {
                // The best node of each failure domain, as many as there are replicas.
                domains.clear();
                let (nodes, worths) = self.units.edges(id);
                for (node, worth) in nodes.iter().zip(worths) {
                    let net = self.net(id, *node, *worth);
                    let domain = self.nodes.domains[*node as usize];
                    match domains.iter_mut().find(|(d, _)| *d == domain) {
                        Some((_, best)) => *best = best.max(net),
                        None => domains.push((domain, net)),
                    }
                }
                domains.sort_by(|a, b| b.1.total_cmp(&a.1));
                let replicas = self.units.ring(id).count();
                sum.bound +=
                    domains.iter().take(replicas).map(|(_, net)| f64::from(net.max(0.0))).sum::<f64>();
            }
        }
        sum
    }

    fn net(&self, id: u32, node: u32, worth: f32) -> f32 {
        let size = self.units.all[id as usize].size;
        if !self.nodes.could_hold(node, size) {
            return 0.0;
        }
        let ask = self.nodes.asks[node as usize];
        worth - size[0] as f32 * ask[0] - size[1] as f32 * ask[1]
    }

    fn best_net(&self, id: u32) -> f32 {
        let (nodes, worths) = self.units.edges(id);
        nodes.iter().zip(worths).map(|(node, worth)| self.net(id, *node, *worth)).fold(0.0, f32::max)
    }
}
