//! A synthetic market: demands and nodes on a plane, candidates near and far. Everything follows from the seed.

use crate::dice::Dice;
use peeredge_routing::matching::market::{Demand, Market, MarketSettings, Node, NodeId};

/// What is drawn.
#[derive(Clone, Copy)]
pub struct Shape {
    /// How many demands.
    pub demands: usize,
    /// How many nodes.
    pub nodes: usize,
    /// Candidates of each demand.
    pub candidates: usize,
    /// Demand over capacity, in the first resource.
    pub oversubscribed: f64,
    /// Sizes, a second resource, deadlines and replicas; otherwise every demand has size 1.
    pub full: bool,
    /// Four fifths of the capacity sit on a hundredth of the nodes.
    pub few_large: bool,
}

/// What one demand is.
#[derive(Clone, Copy)]
pub struct Wish {
    /// Where it is.
    pub x: f32,
    /// Where it is.
    pub y: f32,
    /// Worth of one replica, before distance.
    pub value: f32,
    /// Size of a replica by resource.
    pub size: [u32; 2],
    /// How many replicas.
    pub replicas: u8,
    /// Nodes beyond this distance miss its deadline.
    pub reach: f32,
}

/// All that was drawn.
pub struct Instance {
    /// From which shape.
    pub shape: Shape,
    /// Nodes.
    pub nodes: Vec<Node>,
    /// Where the nodes are.
    pub at: Vec<(f32, f32)>,
    /// Demands.
    pub wishes: Vec<Wish>,
    /// Candidates of demand i: `edges[starts[i]..starts[i + 1]]`.
    pub starts: Vec<u32>,
    /// Node and worth there before its cost.
    pub edges: Vec<(NodeId, f32)>,
    /// Distance of each candidate.
    pub distances: Vec<f32>,
    cells: Vec<Vec<u32>>,
    side: usize,
}

/// What distance costs, of a mean value of about 1.1.
const DISTANCE_COST: f32 = 0.8;

impl Instance {
    /// Draws one.
    pub fn draw(shape: Shape, seed: u64) -> Instance {
        let mut dice = Dice::new(seed);
        let side = ((shape.nodes as f64 / 6.0).sqrt() as usize).max(1);
        let mut weights: Vec<f64> = (0..shape.nodes).map(|_| (0.5 * dice.normal()).exp()).collect();
        if shape.few_large {
            let large = (shape.nodes / 100).max(1);
            let total: f64 = weights.iter().sum();
            for weight in &mut weights[..large] {
                *weight = 0.5 + dice.unit();
            }
            let sum: f64 = weights[..large].iter().sum();
            weights[..large].iter_mut().for_each(|w| *w *= 0.8 * total / sum);
            let rest: f64 = weights[large..].iter().sum();
            weights[large..].iter_mut().for_each(|w| *w *= 0.2 * total / rest);
        }
        let mut cells = vec![Vec::new(); side * side];
        let at: Vec<(f32, f32)> =
            (0..shape.nodes).map(|_| (dice.unit() as f32, dice.unit() as f32)).collect();
        for (id, (x, y)) in at.iter().enumerate() {
            cells[cell(side, *x, *y)].push(id as u32);
        }
        let mut instance = Instance {
            shape,
            nodes: Vec::new(),
            at,
            wishes: Vec::with_capacity(shape.demands),
            starts: vec![0],
            edges: Vec::new(),
            distances: Vec::new(),
            cells,
            side,
        };
        let mut asked = [0u64; 2];
        for _ in 0..shape.demands {
            let wish = instance.wish(&mut dice);
            asked[0] += u64::from(wish.size[0]) * u64::from(wish.replicas);
            asked[1] += u64::from(wish.size[1]) * u64::from(wish.replicas);
            instance.wishes.push(wish);
        }
        let total: f64 = weights.iter().sum();
        instance.nodes = weights
            .iter()
            .map(|weight| {
                let of = |asked: u64, dice: &mut Dice| {
                    let mean = asked as f64 / shape.oversubscribed * weight / total;
                    (mean + dice.unit()).floor() as u32
                };
                Node {
                    // The second resource is a fifth less scarce.
                    capacity: [of(asked[0], &mut dice).max(1), of(asked[1] * 6 / 5, &mut dice)],
                    cost: 0.0,
                    domain: 0,
                }
            })
            .collect();
        let mean_size = asked[0] as f64 / shape.demands as f64;
        for (id, node) in instance.nodes.iter_mut().enumerate() {
            node.cost = ((0.1 + 0.4 * dice.unit()) / mean_size) as f32;
            // Neighbours share a domain: a rack, a provider.
            let (x, y) = instance.at[id];
            node.domain = cell((side / 2).max(1), x, y) as u32;
            if !shape.full {
                node.capacity[1] = 0;
            }
        }
        for i in 0..shape.demands {
            let wish = instance.wishes[i];
            let drawn = instance.candidates(&mut dice, &wish);
            for (node, worth, distance) in drawn {
                instance.edges.push((node, worth));
                instance.distances.push(distance);
            }
            instance.starts.push(instance.edges.len() as u32);
        }
        instance
    }

    /// Draws one more demand.
    pub fn wish(&self, dice: &mut Dice) -> Wish {
        let shape = &self.shape;
        let (size, replicas, reach) = if shape.full {
            let size = [1, 1, 2, 2, 3, 4, 6, 8][dice.below(8)];
            let second = [1, 2, 4][dice.below(3)];
            ([size, second], if dice.below(8) == 0 { 2 } else { 1 }, 0.3 + 1.2 * dice.unit() as f32)
        } else {
            ([1, 0], 1, 9.0)
        };
        let mean = if shape.full { size[0] as f32 * 0.6 + size[1] as f32 * 0.4 } else { 1.0 };
        Wish {
            x: dice.unit() as f32,
            y: dice.unit() as f32,
            value: mean * (0.4 * dice.normal()).exp() as f32,
            size,
            replicas,
            reach,
        }
    }

    /// Three quarters of the candidates are near, the others anywhere; who is beyond its deadline's reach is no candidate.
    pub fn candidates(&self, dice: &mut Dice, wish: &Wish) -> Vec<(NodeId, f32, f32)> {
        let k = self.shape.candidates;
        let mut chosen: Vec<(NodeId, f32, f32)> = Vec::with_capacity(k);
        let (cx, cy) = (grid(self.side, wish.x), grid(self.side, wish.y));
        let large = (self.shape.nodes / 100).max(1);
        for turn in 0..4 * k {
            if chosen.len() == k {
                break;
            }
            let id = if self.shape.few_large && turn % 4 != 0 {
                dice.below(large) as u32
            } else if turn % 4 < 3 {
                let span = 1 + turn / k;
                let near = |c: usize, dice: &mut Dice| {
                    (c + dice.below(2 * span + 1)).saturating_sub(span).min(self.side - 1)
                };
                let cell = &self.cells[near(cy, dice) * self.side + near(cx, dice)];
                if cell.is_empty() {
                    continue;
                }
                cell[dice.below(cell.len())]
            } else {
                dice.below(self.shape.nodes) as u32
            };
            if chosen.iter().any(|(node, ..)| node.0 == id) {
                continue;
            }
            let (x, y) = self.at[id as usize];
            let distance = ((x - wish.x).powi(2) + (y - wish.y).powi(2)).sqrt();
            if distance > wish.reach {
                continue;
            }
            let scale = wish.value.min(1.0);
            chosen.push((NodeId(id), wish.value - DISTANCE_COST * distance * scale, distance));
        }
        chosen
    }

    /// A demand's place in the edges.
    pub fn of(&self, demand: usize) -> core::ops::Range<usize> {
        self.starts[demand] as usize..self.starts[demand + 1] as usize
    }

    /// A demand as the market takes it.
    pub fn demand(&self, i: usize) -> Demand<'_> {
        let wish = &self.wishes[i];
        Demand {
            size: wish.size,
            replicas: wish.replicas,
            move_cost: 0.0,
            candidates: &self.edges[self.of(i)],
        }
    }

    /// The market with all demands waiting.
    pub fn market(&self, settings: MarketSettings) -> Market {
        let mut market = Market::new(settings);
        for node in &self.nodes {
            market.join(*node);
        }
        for i in 0..self.wishes.len() {
            market.insert(&self.demand(i));
        }
        market
    }
}

fn grid(side: usize, x: f32) -> usize {
    ((x * side as f32) as usize).min(side - 1)
}

fn cell(side: usize, x: f32, y: f32) -> usize {
    grid(side, y) * side + grid(side, x)
}
