//! The relay's UDP ports: WebRTC's and STUN's.

use super::ServeError;
use crate::config::Config;
use crate::rtc::{self, RtcConfig, RtcEvents, RtcHandle, RtcSocket, RtcSpawnError};
use std::net::SocketAddr;
use std::sync::Arc;

use crate::pulse::Pulse;

/// The sockets that the settings name: one, or one for each family that peers are told.
pub(super) fn rtc_sockets(config: &Config) -> Vec<RtcSocket> {
    let bind = config.rtc_bind();
    let told = config.rtc_public();
    if told.is_empty() {
        return vec![RtcSocket::bound(bind)];
    }
    let socket = |advertised: SocketAddr| {
        let bind = match (bind.is_ipv4(), advertised.is_ipv4()) {
            (own, told) if own == told => bind,
            (_, true) => SocketAddr::from(([0, 0, 0, 0], bind.port())),
            (_, false) => SocketAddr::from(([0; 16], bind.port())),
        };
        RtcSocket { bind, advertised: Some(advertised) }
    };
    told.into_iter().map(socket).collect()
}

/// Starts WebRTC. A port that nobody asked for by name and that is taken (two relays on neighbouring ports) is replaced by a free
/// one; `sockets` says afterwards which were taken.
pub(super) fn start_rtc(
    config: &Config,
    sockets: &mut [RtcSocket],
    settings: impl Fn(Vec<RtcSocket>) -> RtcConfig,
) -> Result<(RtcHandle, RtcEvents), ServeError> {
    let started = match rtc::spawn(settings(sockets.to_vec())) {
        Err(RtcSpawnError::Bind { bind, error }) => {
            let is_named =
                !config.rtc_bind.is_empty() || config.rtc_public().iter().any(|told| told.port() != 0);
            if is_named || error.kind() != std::io::ErrorKind::AddrInUse {
                let setting = if config.rtc_bind.is_empty() { "bind" } else { "rtc_bind" };
                return Err(ServeError::Udp { what: "WebRTC", setting, bind, error });
            }
            sockets.iter_mut().for_each(|socket| socket.bind.set_port(0));
            let started = rtc::spawn(settings(sockets.to_vec())).map_err(ServeError::Rtc)?;
            let port = started.0.addresses().first().map_or(0, SocketAddr::port);
            tracing::warn!(
                taken = %bind, port, "WebRTC's UDP port is taken: another one is used; rtc_bind sets which"
            );
            started
        }
        other => other.map_err(ServeError::Rtc)?,
    };
    for (socket, address) in sockets.iter_mut().zip(started.0.addresses()) {
        if socket.bind.port() == 0 && socket.advertised.is_none_or(|told| told.port() == 0) {
            socket.bind.set_port(address.port());
        }
    }
    Ok(started)
}

/// Starts to answer STUN; gives the port, or 0 when nobody is to be answered.
pub(super) fn start_stun(config: &Config, pulse: Arc<Pulse>) -> Result<u16, ServeError> {
    if !config.stun || !config.rtc {
        return Ok(0);
    }
    let (bind, or_any) = config.stun_bind();
    let failed = |error| ServeError::Udp { what: "STUN", setting: "stun_bind", bind, error };
    let socket = rtc::stun::bind(bind, or_any).map_err(failed)?;
    let port = socket.local_addr().map_err(failed)?.port();
    if port != bind.port() {
        tracing::warn!(taken = %bind, port, "STUN's UDP port is taken: another one is used; stun_bind sets which");
    }
    tokio::spawn(rtc::stun::answer_all(socket, rtc::StunLimits::default(), pulse));
    Ok(port)
}
