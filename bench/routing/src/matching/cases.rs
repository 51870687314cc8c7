//! Small markets and what ours finds in them, printed for an exact solver: one JSON object a line.

use super::instance::{Instance, Shape};
use peeredge_routing::matching::market::MarketSettings;

/// Prints `count` markets of unit sizes and as many of the full model.
pub fn print(seed: u64, count: u64) {
    for full in [false, true] {
        for turn in 0..count {
            let shape = Shape {
                demands: 240,
                nodes: 24,
                candidates: 8,
                oversubscribed: 1.2,
                full,
                few_large: turn % 4 == 3,
            };
            let instance = Instance::draw(shape, seed + turn);
            let mut market = instance.market(MarketSettings::default());
            market.solve(8);
            market.level(0.01, 60);
            let found = market.certify();
            let nodes: Vec<String> = instance
                .nodes
                .iter()
                .map(|n| format!("[{},{},{},{}]", n.capacity[0], n.capacity[1], n.cost, n.domain))
                .collect();
            let demands: Vec<String> = (0..instance.wishes.len())
                .map(|i| {
                    let wish = instance.wishes[i];
                    let at: Vec<String> = instance.edges[instance.of(i)]
                        .iter()
                        .map(|(node, worth)| format!("[{},{worth}]", node.0))
                        .collect();
                    format!("[{},{},{},[{}]]", wish.size[0], wish.size[1], wish.replicas, at.join(","))
                })
                .collect();
            println!(
                "{{\"full\":{full},\"few_large\":{},\"seed\":{},\"worth\":{},\"bound\":{},\"nodes\":[{}],\"demands\":[{}]}}",
                shape.few_large,
                seed + turn,
                found.worth,
                found.bound,
                nodes.join(","),
                demands.join(",")
            );
        }
    }
}
