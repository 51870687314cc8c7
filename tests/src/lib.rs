//! Helpers that the flow and interop tests share.

pub mod webrtc_rs_peer;
