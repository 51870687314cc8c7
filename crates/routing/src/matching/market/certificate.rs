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
        for (id, capacity) in self.nodes.capacity.iter().enumerate().filter(|(_, c)| **c != [0; 2]) {
            let ask = self.nodes.asks[id].map(f64::from);
            sum.bound += (ask[0] - f64::from(self.nodes.costs[id])) * f64::from(capacity[0]);
            sum.bound += ask[1] * f64::from(capacity[1]);
        }
        let mut apart = Vec::new();
        for (id, unit) in self.units.all.iter().enumerate().filter(|(_, unit)| unit.alive) {
            let spot = self.units.spots[id];
            sum.asked += 1;
            if spot.node != NOWHERE {
                let cost = self.nodes.costs[spot.node as usize];
                sum.served += 1;
                sum.worth += f64::from(spot.worth) - f64::from(spot.size[0]) * f64::from(cost);
            }
            let id = id as u32;
            if unit.ring == id {
                sum.bound += self.best(id).map_or(0.0, |(_, net)| f64::from(net));
            } else if self.units.ring(id).all(|other| other >= id) {
                self.best_apart(id, &mut apart);
                sum.bound += apart.iter().map(|(_, net)| f64::from(*net)).sum::<f64>();
            }
        }
        sum
    }
}
