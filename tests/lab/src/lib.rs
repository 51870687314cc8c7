//! A link lab: paths with a given delay, jitter, loss, reordering, rate and queue, or a recorded mobile trace, in user space.
//!
//! What decides is pure and runs on any clock: [`link`] is one direction of one access link, [`tcp`] a stream over such links as a
//! kernel would send it, [`network`] all endpoints with everything under way between them. [`rewrite`] turns the candidates in
//! what two WebRTC ends tell each other into addresses of the lab, so that their packets come this way. The program around it
//! (`src/main.rs`) has the sockets. The product knows nothing of all this.
#![forbid(unsafe_code)]

pub mod dice;
pub mod link;
pub mod network;
pub mod rate;
pub mod rewrite;
pub mod tcp;
