//! Which nodes hold what.
//!
//! Contents want upload; nodes have upload, storage and a failure domain, and leave. A node is rented whole, so what is to be kept
//! small is the upload of rented nodes beyond what was asked for. Three places are tried in turn, the cheapest first: a node that
//! holds the content already (no fill), a rented node with room (no rent), and an idle node, the one that fits best (best-fit
//! decreasing: Johnson et al., SIAM J. Comput. 3(4), 1974), out of the domain in which least of this content lies. Releases empty the
//! emptiest nodes first, so that whole nodes are given back.

use super::target::{Capacity, Decision};
use crate::registry::Member;
use core::cmp::Reverse;
use peeredge_wire::ContentId;
use std::collections::{BTreeMap, BTreeSet};

/// Idle nodes looked at for one replica: enough to find another domain, few enough to stay quick.
const LOOKED_AT_MAX: usize = 16;
/// A share of a node's upload that is too small to be worth a fill.
const CRUMB: f64 = 0.05;

/// A node that agreed to hold replicas.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Node {
    /// Upload in bytes a slot.
    pub upload: u64,
    /// Storage for replicas in bytes.
    pub storage: u64,
    /// What fails together, such as one provider in one region.
    pub domain: u32,
}

/// What a content needs in the next slots.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Need {
    /// Which content.
    pub content: ContentId,
    /// Its length in bytes.
    pub bytes: u64,
    /// What [`super::Targets::decide`] said.
    pub decision: Decision,
}

/// What a node is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Fetch this content and announce it.
    Fill {
        /// Who.
        node: Member,
        /// What.
        content: ContentId,
    },
    /// It need not be held any longer.
    Drop {
        /// Who.
        node: Member,
        /// What.
        content: ContentId,
    },
}

#[derive(Clone, Copy, Debug)]
struct Replica {
    bytes: u64,
    /// Share of the node's upload that is meant for this content, in bytes a slot.
    allotted: u64,
    ready_at: u64,
}

#[derive(Clone, Debug)]
struct Holder {
    node: Node,
    replicas: BTreeMap<ContentId, Replica>,
}

impl Holder {
    fn free(&self) -> u64 {
        self.node.upload - self.replicas.values().map(|r| r.allotted).sum::<u64>()
    }
    fn room(&self) -> u64 {
        self.node.storage - self.replicas.values().map(|r| r.bytes).sum::<u64>()
    }
}

/// All nodes and what they hold.
#[derive(Clone, Debug)]
pub struct Placement {
    lead_slots: u64,
    slot: u64,
    holders: BTreeMap<Member, Holder>,
    /// Nodes that hold nothing, by upload.
    idle: BTreeSet<(u64, Member)>,
    /// Nodes that hold something and have upload to spare, by how much.
    spare: BTreeSet<(u64, Member)>,
    by_content: BTreeMap<ContentId, BTreeSet<Member>>,
    rented: u64,
}

impl Placement {
    /// Without nodes; what is ordered is ready `lead_slots` later, at least 1.
    pub fn new(lead_slots: usize) -> Self {
        Placement {
            lead_slots: lead_slots.max(1) as u64,
            slot: 0,
            holders: BTreeMap::new(),
            idle: BTreeSet::new(),
            spare: BTreeSet::new(),
            by_content: BTreeMap::new(),
            rented: 0,
        }
    }

    /// A node agrees to hold replicas. One that is known already changes nothing but by leaving first.
    pub fn join(&mut self, member: Member, node: Node) {
        if node.upload > 0 && !self.holders.contains_key(&member) {
            self.holders.insert(member, Holder { node, replicas: BTreeMap::new() });
            self.idle.insert((node.upload, member));
        }
    }

    /// A node is gone, or no longer agrees.
    pub fn leave(&mut self, member: Member) {
        let Some(holder) = self.holders.remove(&member) else { return };
        self.idle.remove(&(holder.node.upload, member));
        self.spare.remove(&(holder.free(), member));
        if !holder.replicas.is_empty() {
            self.rented -= holder.node.upload;
        }
        for content in holder.replicas.keys() {
            self.forget(*content, member);
        }
    }

    /// Upload of all nodes that hold something, in bytes a slot: what is being rented.
    pub fn rented(&self) -> u64 {
        self.rented
    }

    /// Nodes that agreed.
    pub fn nodes(&self) -> usize {
        self.holders.len()
    }

    /// Whether this node was asked to hold anything.
    pub fn is_rented(&self, member: Member) -> bool {
        self.holders.get(&member).is_some_and(|holder| !holder.replicas.is_empty())
    }

    /// Who holds, or fills, this content: the member, the upload meant for it in bytes a slot, and whether it is ready.
    pub fn holders_of(&self, content: ContentId) -> impl Iterator<Item = (Member, u64, bool)> + '_ {
        let members = self.by_content.get(&content).into_iter().flatten();
        members.filter_map(move |member| {
            let replica = self.holders.get(member)?.replicas.get(&content)?;
            Some((*member, replica.allotted, replica.ready_at <= self.slot))
        })
    }

    /// What this content has and will have.
    pub fn capacity(&self, content: ContentId) -> Capacity {
        let mut capacity = Capacity::none(self.lead_slots as usize);
        for member in self.by_content.get(&content).into_iter().flatten() {
            let Some(replica) = self.holders.get(member).and_then(|h| h.replicas.get(&content)) else {
                continue;
            };
            match replica.ready_at.checked_sub(self.slot + 1) {
                Some(ahead) => capacity.coming[ahead as usize] += replica.allotted as f64,
                None => capacity.ready += replica.allotted as f64,
            }
        }
        capacity
    }

    /// The next slot begins: gives what nodes are to do. Needs are met in the order of how much they lack, the most first.
    pub fn step(&mut self, needs: &[Need]) -> Vec<Order> {
        self.slot += 1;
        let mut orders = Vec::new();
        for need in needs {
            self.release(need);
        }
        self.give_back(&mut orders);
        let mut lacking: Vec<&Need> = needs.iter().filter(|need| need.decision.add >= 1.0).collect();
        lacking.sort_by(|a, b| b.decision.add.total_cmp(&a.decision.add).then(a.content.cmp(&b.content)));
        for need in lacking {
            self.place(need, &mut orders);
        }
        orders
    }

    /// Takes upload beyond what is to be kept away from ready replicas, from those on the emptiest nodes first.
    fn release(&mut self, need: &Need) {
        let keep = need.decision.keep.max(0.0) as u64;
        let mut ready: Vec<(Reverse<u64>, Member, u64)> = Vec::new();
        for (member, allotted, is_ready) in self.holders_of(need.content) {
            if is_ready && allotted > 0 {
                ready.push((Reverse(self.holders[&member].free()), member, allotted));
            }
        }
        let mut over = ready.iter().map(|r| r.2).sum::<u64>().saturating_sub(keep);
        ready.sort_unstable();
        for (_, member, allotted) in ready {
            // Half a node is kept whole while it is the only thing on it: it could not be given back.
            let cut = allotted.min(over);
            if cut == 0 {
                break;
            }
            over -= cut;
            self.change(member, |holder| {
                let replica = holder.replicas.get_mut(&need.content).expect("it is listed as a holder");
                replica.allotted -= cut;
            });
        }
    }

    /// Nodes of which nothing is needed any more are given back.
    fn give_back(&mut self, orders: &mut Vec<Order>) {
        let unused: Vec<Member> = self
            .spare
            .iter()
            .filter(|(free, member)| *free == self.holders[member].node.upload)
            .map(|(_, member)| *member)
            .collect();
        for node in unused {
            let replicas =
                core::mem::take(&mut self.holders.get_mut(&node).expect("it is listed as spare").replicas);
            let upload = self.holders[&node].node.upload;
            self.spare.remove(&(upload, node));
            self.idle.insert((upload, node));
            self.rented -= upload;
            for content in replicas.into_keys() {
                self.forget(content, node);
                orders.push(Order::Drop { node, content });
            }
        }
    }

    fn place(&mut self, need: &Need, orders: &mut Vec<Order>) {
        let content = need.content;
        let mut lack = need.decision.add.min(1e18) as u64;
        // Where it lies already.
        let holding: Vec<Member> = self.by_content.get(&content).into_iter().flatten().copied().collect();
        for member in holding {
            let give = self.holders[&member].free().min(lack);
            if give > 0 {
                lack -= give;
                self.change(member, |holder| {
                    holder.replicas.get_mut(&content).expect("it is listed as a holder").allotted += give;
                });
            }
        }
        // On a node that is rented anyway, the one with most to spare first.
        let rented: Vec<Member> =
            self.spare.iter().rev().take(LOOKED_AT_MAX).map(|(_, member)| *member).collect();
        for member in rented {
            let holder = &self.holders[&member];
            let give = holder.free().min(lack);
            let worth = give as f64 >= CRUMB * holder.node.upload as f64;
            if worth && holder.room() >= need.bytes && !holder.replicas.contains_key(&content) {
                lack -= give;
                self.fill(member, need, give, orders);
            }
        }
        while lack > 0 {
            let Some(member) = self.idle_for(need, lack) else { break };
            let give = self.holders[&member].node.upload.min(lack);
            lack -= give;
            self.fill(member, need, give, orders);
        }
    }

    /// An idle node with room: of those that fit best, one in the domain that has least of this content.
    fn idle_for(&self, need: &Need, lack: u64) -> Option<Member> {
        let mut in_domain: BTreeMap<u32, u64> = BTreeMap::new();
        for (member, allotted, _) in self.holders_of(need.content) {
            *in_domain.entry(self.holders[&member].node.domain).or_default() += allotted.max(1);
        }
        let fits = |&(_, member): &&(u64, Member)| self.holders[member].node.storage >= need.bytes;
        let enough = self.idle.range((lack, Member(0))..).filter(fits).take(LOOKED_AT_MAX);
        let largest = self.idle.range(..(lack, Member(0))).rev().filter(fits).take(LOOKED_AT_MAX);
        let best = |candidates: &mut dyn Iterator<Item = &(u64, Member)>| {
            let load =
                |member: &Member| in_domain.get(&self.holders[member].node.domain).copied().unwrap_or(0);
            // The first of the least: candidates come in the order of how well they fit.
            candidates.map(|(_, member)| (load(member), *member)).min_by_key(|(load, _)| *load)
        };
        let (large, small) = (best(&mut { enough }), best(&mut { largest }));
        match (large, small) {
            // One that is large enough, unless all of those stand where the content lies already and a smaller one does not.
            (Some((0, member)), _) => Some(member),
            (_, Some((0, member))) => Some(member),
            (Some((_, member)), _) | (None, Some((_, member))) => Some(member),
            (None, None) => None,
        }
    }

    fn fill(&mut self, member: Member, need: &Need, allotted: u64, orders: &mut Vec<Order>) {
        let ready_at = self.slot + self.lead_slots - 1;
        let fresh = self.holders[&member].replicas.is_empty();
        if fresh {
            let upload = self.holders[&member].node.upload;
            self.idle.remove(&(upload, member));
            self.rented += upload;
        }
        self.change(member, |holder| {
            holder.replicas.insert(need.content, Replica { bytes: need.bytes, allotted, ready_at });
        });
        self.by_content.entry(need.content).or_default().insert(member);
        orders.push(Order::Fill { node: member, content: need.content });
    }

    /// Changes a holder and keeps the order by spare upload.
    fn change(&mut self, member: Member, change: impl FnOnce(&mut Holder)) {
        let holder = self.holders.get_mut(&member).expect("only members are changed");
        let before = holder.free();
        change(holder);
        let after = holder.free();
        self.spare.remove(&(before, member));
        if after > 0 {
            self.spare.insert((after, member));
        }
    }

    fn forget(&mut self, content: ContentId, member: Member) {
        if let Some(members) = self.by_content.get_mut(&content) {
            members.remove(&member);
            if members.is_empty() {
                self.by_content.remove(&content);
            }
        }
    }
}
