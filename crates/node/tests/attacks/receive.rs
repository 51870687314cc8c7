//! Strangers at the receiving side of a node: what they send unasked, what they make it hold, and who is named for what.

mod lone;
mod receive_blame;
mod receive_memory;
mod receive_sequences;
mod receive_unasked;
mod sequence;
#[path = "../world/mod.rs"]
mod world;

use peeredge_attacks::memory::Counting;

#[global_allocator]
static HEAP: Counting = Counting;
