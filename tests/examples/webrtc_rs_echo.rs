//! The webrtc-rs stack as a program for the interop harness, to be measured like the native one.
//!
//! Argument: bytes in flight on a connection, 131,072 unless given.

#[path = "../../relay-node/examples/rtc_echo/program.rs"]
mod program;

use peeredge_relay::rtc::{RtcCommand, RtcEvent};
use peeredge_tests::webrtc_rs_peer::WebrtcRsPeer;

struct WebrtcRs(WebrtcRsPeer);

impl program::Stack for WebrtcRs {
    async fn send(&self, command: RtcCommand) {
        self.0.tell(command);
    }

    async fn next(&mut self) -> Option<RtcEvent> {
        self.0.next().await
    }
}

fn main() {
    let in_flight_bytes_max = match std::env::args().nth(1) {
        Some(argument) => argument.parse().expect("a number of bytes"),
        None => 131_072,
    };
    program::run(WebrtcRs(WebrtcRsPeer::start(in_flight_bytes_max)));
}
