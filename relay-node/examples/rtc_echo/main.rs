//! The native WebRTC stack as a program for the interop harness; `program.rs` tells its language.
//!
//! Arguments: `--lite` for ICE-lite, `--in-flight-min BYTES`, `--in-flight-max BYTES`, `--credit BYTES`,
//! `--timeout-ms N`, `--silence-ms N`.

mod program;

use std::time::Duration;

use peeredge_relay::rtc::{RtcCommand, RtcConfig, RtcEvent, RtcEvents, RtcHandle, RtcSocket, spawn};

struct Native(RtcHandle, RtcEvents);

impl program::Stack for Native {
    async fn send(&self, command: RtcCommand) {
        self.0.send(command).await.expect("the driver lives as long as its handle");
    }

    async fn next(&mut self) -> Option<RtcEvent> {
        self.1.recv().await
    }
}

fn main() {
    let bind = "127.0.0.1:0".parse().expect("a fixed address");
    let mut config = RtcConfig::new(vec![RtcSocket::bound(bind)]);
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut number = || -> u64 {
            arguments.next().and_then(|value| value.parse().ok()).expect("a number after the flag")
        };
        match argument.as_str() {
            "--lite" => config.ice_lite = true,
            "--in-flight-min" => config.in_flight_bytes_min = number() as usize,
            "--in-flight-max" => config.in_flight_bytes_max = number() as usize,
            "--credit" => config.send_credit_bytes = number(),
            "--timeout-ms" => config.connect_timeout = Duration::from_millis(number()),
            "--silence-ms" => config.silence_max = Duration::from_millis(number()),
            other => panic!("unknown argument {other}"),
        }
    }
    let (handle, events) = spawn(config).expect("a loopback socket can be bound");
    program::run(Native(handle, events));
}
