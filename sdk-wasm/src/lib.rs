//! The slot between a page and its PeerEdge node: one method per input, one `poll`.
//!
//! It knows neither sockets nor frames: the hand-written TypeScript around it owns the world and calls
//! [`Engine::poll`] after every input until it gives nothing more. Times are microseconds on a monotonic clock, ids are
//! texts of 52 characters, payload crosses as `Uint8Array`.

mod engine;
mod object;
mod output;
mod panic;
mod publisher;
mod settings;
mod stats;

pub use engine::Engine;
pub use panic::take_panic;
pub use publisher::Publisher;

use wasm_bindgen::prelude::*;

/// Runs once when the module is loaded.
#[wasm_bindgen(start)]
pub fn start() {
    panic::install();
}

/// Numbers cross as JavaScript's: exact up to 2^53, far above any length or rate here. Negative and NaN become 0.
fn whole(number: f64) -> u64 {
    number as u64
}

/// A refused argument: what the page's error says.
fn refused(reason: impl core::fmt::Display) -> JsError {
    JsError::new(&reason.to_string())
}
