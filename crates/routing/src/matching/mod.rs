//! Who serves whom.
//!
//! - [`introductions`] chooses whom a tracker introduces to whom, on a market whose nodes are its members.
//! - [`horizon`] makes budgets last when decisions cannot be taken back.
//! - [`market`] gives demands to nodes by prices, one change at a time, and says how far from the optimum it may be.

mod drawing;
pub mod horizon;
pub mod introductions;
pub mod market;
mod sellers;

pub use introductions::{Introduction, MarketPicture, MatchSettings, Matcher};
pub use sellers::Terms;
