//! Who could serve: every member as a node of the market, on terms that the caller has found out.

use super::market::{Market, Node, NodeId};
use crate::registry::Member;
use std::collections::{BTreeMap, VecDeque};

/// On what terms a member serves.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Terms {
    /// Receivers at a time, each at the rate of one place.
    pub places: u32,
    /// What a GB from it costs the operator, in the currency of all values.
    pub cost_per_gb: f32,
    /// What receivers get of what it promises, and how fast, next to others: around 1.
    pub quality: f32,
    /// Who stands behind it: two places of one receiver are never with one owner. None stands for itself.
    pub owner: Option<u32>,
}

/// The members that announced something or whose terms were told.
#[derive(Clone, Debug, Default)]
pub(super) struct Sellers {
    nodes: BTreeMap<Member, NodeId>,
    all: Vec<Option<(Member, Terms)>>,
    /// Nodes of members that left, until no demand names them.
    retired: VecDeque<NodeId>,
}

impl Sellers {
    /// A member's node; it comes to the market with these terms if it is new.
    pub(super) fn node(&mut self, market: &mut Market, member: Member, terms: Terms) -> NodeId {
        if let Some(node) = self.nodes.get(&member) {
            return *node;
        }
        let unused = self.retired.front().copied().filter(|node| !market.is_named(*node));
        let node = match unused {
            Some(node) => {
                self.retired.pop_front();
                market.change(node, offer(node, terms));
                node
            }
            None => {
                let node = market.join(offer(NodeId(self.all.len() as u32), terms));
                self.all.push(None);
                node
            }
        };
        self.nodes.insert(member, node);
        self.all[node.0 as usize] = Some((member, terms));
        node
    }

    /// A member's terms are other ones from now on.
    pub(super) fn set(&mut self, market: &mut Market, member: Member, terms: Terms) {
        let node = self.node(market, member, terms);
        let before = self.all[node.0 as usize].replace((member, terms));
        if before.is_none_or(|(_, before)| offer(node, before) != offer(node, terms)) {
            market.change(node, offer(node, terms));
        }
    }

    pub(super) fn gone(&mut self, market: &mut Market, member: Member) {
        if let Some(node) = self.nodes.remove(&member) {
            self.all[node.0 as usize] = None;
            market.change(node, Node { capacity: [0; 2], cost: 0.0, domain: 0 });
            self.retired.push_back(node);
        }
    }

    /// Whose node it is, and on what terms.
    pub(super) fn at(&self, node: NodeId) -> Option<(Member, Terms)> {
        *self.all.get(node.0 as usize)?
    }

    /// A member's node, if it has one.
    pub(super) fn node_of(&self, member: Member) -> Option<NodeId> {
        self.nodes.get(&member).copied()
    }

    /// All nodes of members that are here.
    pub(super) fn nodes(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.nodes.values().copied()
    }
}

fn offer(node: NodeId, terms: Terms) -> Node {
    // Owners have the lower half of all numbers, who stands for itself the upper.
    let domain = terms.owner.map_or(node.0 | 1 << 31, |owner| owner & !(1 << 31));
    // A node without any capacity would have left.
    Node { capacity: [terms.places, 0], cost: terms.cost_per_gb, domain }
}
