//! Strangers at the supplying side of a node, and at its connections: what they take, what they make it do, and whom they keep away.

mod supply_announces;
mod supply_answers;
mod supply_caps;
mod supply_connections;
mod supply_frames;
mod supply_readers;
mod supply_seats;
mod supply_stage;
#[path = "../world/mod.rs"]
mod world;
