//! What a relay says when it is first asked: so that a download that cannot come is told within seconds, and why.

use super::connect::{Endpoint, connect};
use super::http::{HttpSource, MANIFEST_BYTES_MAX, SendError};
use http_body_util::{BodyExt, Limited};
use hyper::StatusCode;
use hyper::header::LOCATION;
use peeredge_wire::ContentId;
use rustls::CertificateError;
use std::io;
use std::time::Duration;
use tokio_tungstenite::tungstenite;

/// A relay that says nothing for so long is silent.
const SILENCE_MAX: Duration = Duration::from_secs(3);
/// A manifest, of half a megabyte at most, comes within this time or drips.
const DRIP_MAX: Duration = Duration::from_secs(8);
/// A relay that is just starting is tried so often, with pauses between.
const TRIES: u32 = 3;
const PAUSE: Duration = Duration::from_millis(400);

/// What it said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Probe {
    /// It has the content, and its manifest meets the link.
    Has,
    /// It can be connected to, and was not asked more.
    Reached,
    /// It does not have it.
    Absent,
    /// Its manifest contradicts the link.
    Lied,
    /// It refuses.
    Refused(String),
    /// It takes connections and does not answer, or hardly.
    Silent,
    /// Something else answers.
    NoRelay(String),
    /// Its certificate is none that this system takes for this host.
    Uncertified(String),
    /// Nobody is there.
    Unreachable(String),
}

fn without_connection(to: &Endpoint, error: &io::Error) -> Probe {
    if let Some(why) = certificate(error) {
        return Probe::Uncertified(why);
    }
    match error.kind() {
        io::ErrorKind::TimedOut => Probe::Unreachable("it does not answer".into()),
        // What a TLS client makes of an answer in another language.
        io::ErrorKind::InvalidData if to.tls => {
            Probe::NoRelay(format!("TLS failed ({error}); is it http:// rather than https://?"))
        }
        _ => Probe::Unreachable(error.to_string()),
    }
}

/// What is wrong with the other end's certificate, when that is what ended the handshake.
fn certificate(error: &io::Error) -> Option<String> {
    let error = error.get_ref()?.downcast_ref::<rustls::Error>()?;
    let why = match error {
        rustls::Error::InvalidCertificate(why) => why,
        rustls::Error::NoCertificatesPresented => return Some("it shows none".into()),
        _ => return None,
    };
    Some(match why {
        CertificateError::UnknownIssuer => "nobody that this system trusts issued it".into(),
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => "it has expired".into(),
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "it is not valid yet; is this machine's clock right?".into()
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "it is for another name".into()
        }
        CertificateError::Other(error) => format!("it is self-signed, or none for a server ({error})"),
        other => other.to_string(),
    })
}

/// Connects, and asks whether WebSocket is spoken there: for a download that uses no HTTP.
pub async fn greet(to: &Endpoint) -> Probe {
    match reach(to).await {
        Probe::Reached => {}
        said => return said,
    }
    let asked = async {
        let stream = connect(to).await.map_err(|error| without_connection(to, &error))?;
        let url = format!("{}://{}/ws", if to.tls { "wss" } else { "ws" }, to.authority);
        match tokio_tungstenite::client_async(url, stream).await {
            Ok(_) => Ok(Probe::Reached),
            Err(tungstenite::Error::Http(response)) => Err(match response.status() {
                status @ (StatusCode::UNAUTHORIZED
                | StatusCode::FORBIDDEN
                | StatusCode::TOO_MANY_REQUESTS
                | StatusCode::SERVICE_UNAVAILABLE) => Probe::Refused(format!("it answers {status}")),
                status => Probe::NoRelay(format!("it answers {status} where a relay speaks WebSocket")),
            }),
            Err(error) => Err(Probe::NoRelay(format!("it does not speak WebSocket ({error})"))),
        }
    };
    match tokio::time::timeout(SILENCE_MAX, asked).await {
        Ok(Ok(said) | Err(said)) => said,
        Err(_) => Probe::Silent,
    }
}

/// Only connects.
async fn reach(to: &Endpoint) -> Probe {
    let mut tries = 1;
    loop {
        let said = match tokio::time::timeout(SILENCE_MAX, connect(to)).await {
            Ok(Ok(_)) => return Probe::Reached,
            Ok(Err(error)) => without_connection(to, &error),
            Err(_) => Probe::Unreachable("it does not answer".into()),
        };
        if tries == TRIES || !matches!(said, Probe::Unreachable(_)) {
            return said;
        }
        tries += 1;
        tokio::time::sleep(PAUSE).await;
    }
}

impl HttpSource {
    /// Asks for the manifest of `content`.
    pub async fn probe(&self, content: ContentId) -> Probe {
        match reach(self.endpoint()).await {
            Probe::Reached => {}
            said => return said,
        }
        let mut tries = 1;
        loop {
            match self.ask(content).await {
                Err(_) if tries < TRIES => {
                    tries += 1;
                    tokio::time::sleep(PAUSE).await;
                }
                Err(said) | Ok(said) => return said,
            }
        }
    }

    /// An error is worth another try.
    async fn ask(&self, content: ContentId) -> Result<Probe, Probe> {
        let request = self.request(&format!("/m/{content}"), None);
        let sent = tokio::time::timeout(SILENCE_MAX, self.send(request)).await;
        let (_, response) = match sent {
            Err(_) => return Ok(Probe::Silent),
            Ok(Err(SendError::Connect(error))) => return Err(without_connection(self.endpoint(), &error)),
            Ok(Err(SendError::Http(error))) if error.is_parse() => {
                return Ok(Probe::NoRelay(format!("it does not speak HTTP ({error})")));
            }
            Ok(Err(SendError::Http(error))) => {
                return Err(Probe::NoRelay(format!("it closes the connection ({error})")));
            }
            Ok(Ok(answered)) => answered,
        };
        let status = response.status();
        match status {
            StatusCode::OK => {}
            StatusCode::NOT_FOUND | StatusCode::GONE => return Ok(Probe::Absent),
            _ if status.is_redirection() => {
                let to =
                    response.headers().get(LOCATION).and_then(|to| to.to_str().ok()).unwrap_or("elsewhere");
                // A stranger's text: nothing of it may reach the terminal but what can be seen.
                let to: String = to.chars().filter(|c| c.is_ascii_graphic()).take(200).collect();
                return Ok(Probe::NoRelay(format!("it answers {status} and sends to {to}")));
            }
            _ => return Ok(Probe::Refused(format!("it answers {status}"))),
        }
        let body = Limited::new(response.into_body(), MANIFEST_BYTES_MAX as usize).collect();
        match tokio::time::timeout(DRIP_MAX, body).await {
            Err(_) => Ok(Probe::Silent),
            Ok(Err(_)) => Err(Probe::NoRelay("its answer ends early or is no manifest".into())),
            Ok(Ok(body)) => match blake3::hash(&body.to_bytes()) == blake3::Hash::from_bytes(content.0) {
                true => Ok(Probe::Has),
                false => Ok(Probe::Lied),
            },
        }
    }
}
