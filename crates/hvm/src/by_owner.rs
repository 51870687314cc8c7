//! State: things of many owners, of which one is drawn.

use crate::Owner;
use peeredge_wire::SplitMix64;
use std::collections::BTreeMap;

/// An owner is drawn first, then one of its things: many of one owner are drawn no more often than one.
#[derive(Debug)]
pub(crate) struct ByOwner<T> {
    owners: Vec<Owner>,
    /// Each owner's place among them, and its things.
    of: BTreeMap<Owner, (usize, Vec<T>)>,
}

impl<T> Default for ByOwner<T> {
    fn default() -> Self {
        ByOwner { owners: Vec::new(), of: BTreeMap::new() }
    }
}

impl<T: Copy> ByOwner<T> {
    pub(crate) fn is_empty(&self) -> bool {
        self.owners.is_empty()
    }

    pub(crate) fn draw(&self, dice: &mut SplitMix64) -> Option<T> {
        let owner = *self.owners.get(dice.below(self.owners.len().max(1)))?;
        let things = &self.of.get(&owner).expect("an owner is listed while it has things").1;
        things.get(dice.below(things.len().max(1))).copied()
    }

    /// Gives its place among its owner's.
    pub(crate) fn add(&mut self, owner: Owner, thing: T) -> usize {
        let (_, things) = self.of.entry(owner).or_insert_with(|| {
            self.owners.push(owner);
            (self.owners.len() - 1, Vec::new())
        });
        things.push(thing);
        things.len() - 1
    }

    /// Gives what has the place now.
    pub(crate) fn remove(&mut self, owner: Owner, at: usize) -> Option<T> {
        let (place, things) = self.of.get_mut(&owner)?;
        things.swap_remove(at);
        let moved = things.get(at).copied();
        if things.is_empty() {
            let place = *place;
            self.of.remove(&owner);
            self.owners.swap_remove(place);
            if let Some(other) = self.owners.get(place).and_then(|owner| self.of.get_mut(owner)) {
                other.0 = place;
            }
        }
        moved
    }

    #[cfg(test)]
    pub(crate) fn all(&self) -> impl Iterator<Item = T> {
        self.of.values().flat_map(|(_, things)| things.iter().copied())
    }
}
