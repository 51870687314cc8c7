//! Byte streams to a relay, plain or by TLS.

use rustls::ClientConfig;
use rustls::RootCertStore;
use rustls::pki_types::ServerName;
use std::fmt;
use std::io;
use std::str::FromStr;
use std::sync::{Arc, LazyLock};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// Looking up a name, connecting and shaking hands together may take so long.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// A relay's `scheme://authority`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Whether TLS is spoken.
    pub tls: bool,
    /// Name or address, IPv6 without brackets.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// As it stands in the Host header.
    pub authority: String,
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", if self.tls { "https" } else { "http" }, self.authority)
    }
}

/// Why a text is no relay's address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EndpointError {
    /// It begins with neither http:// nor https:// (nor ws:// nor wss://).
    Scheme,
    /// The part behind is no host with an optional port.
    Authority,
}

impl fmt::Display for EndpointError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            EndpointError::Scheme => write!(f, "a relay is named as https://HOST or http://HOST:PORT"),
            EndpointError::Authority => {
                write!(f, "behind the scheme, a relay has a host and maybe a port, nothing more")
            }
        }
    }
}

impl std::error::Error for EndpointError {}

impl FromStr for Endpoint {
    type Err = EndpointError;

    fn from_str(text: &str) -> Result<Self, EndpointError> {
        let schemes = [("https://", true), ("wss://", true), ("http://", false), ("ws://", false)];
        let (rest, tls) = schemes
            .into_iter()
            .find_map(|(scheme, tls)| Some((text.strip_prefix(scheme)?, tls)))
            .ok_or(EndpointError::Scheme)?;
        let authority = rest.strip_suffix('/').unwrap_or(rest);
        let allowed = |c: char| c.is_ascii_alphanumeric() || "-._:[]".contains(c);
        if authority.is_empty() || !authority.chars().all(allowed) {
            return Err(EndpointError::Authority);
        }
        let usual = if tls { 443 } else { 80 };
        let (host, port) = match authority.strip_prefix('[') {
            Some(v6) => {
                let (host, port) = v6.split_once(']').ok_or(EndpointError::Authority)?;
                (host, port.strip_prefix(':').or(port.is_empty().then_some("")))
            }
            None => match authority.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (authority, Some("")),
            },
        };
        let port = match port.ok_or(EndpointError::Authority)? {
            "" => usual,
            port => port.parse().map_err(|_| EndpointError::Authority)?,
        };
        if host.is_empty() {
            return Err(EndpointError::Authority);
        }
        Ok(Endpoint { tls, host: host.into(), port, authority: authority.into() })
    }
}

impl Endpoint {
    /// The authority that a peer proves its key for: lower case, without the scheme's own port, as browsers write it.
    pub fn proved(&self) -> String {
        let host = self.host.to_ascii_lowercase();
        let host = if host.contains(':') { format!("[{host}]") } else { host };
        if self.port == if self.tls { 443 } else { 80 } { host } else { format!("{host}:{}", self.port) }
    }
}

/// A stream of either kind.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// Connects; TLS certificates are checked against the system's roots (or `SSL_CERT_FILE`).
pub(super) async fn connect(to: &Endpoint) -> io::Result<Box<dyn Stream>> {
    tokio::time::timeout(CONNECT_TIMEOUT, async {
        let stream = TcpStream::connect((to.host.as_str(), to.port)).await?;
        stream.set_nodelay(true)?;
        if !to.tls {
            return Ok(Box::new(stream) as Box<dyn Stream>);
        }
        let name = ServerName::try_from(to.host.clone()).map_err(|_| {
            io::Error::new(io::ErrorKind::InvalidInput, "the host is no name that a certificate can have")
        })?;
        let tls = TlsConnector::from(tls_config()?).connect(name, stream).await?;
        Ok(Box::new(tls) as Box<dyn Stream>)
    })
    .await
    .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

fn tls_config() -> io::Result<Arc<ClientConfig>> {
    static CONFIG: LazyLock<Result<Arc<ClientConfig>, String>> = LazyLock::new(|| {
        let loaded = rustls_native_certs::load_native_certs();
        let mut roots = RootCertStore::empty();
        let (known, _) = roots.add_parsable_certificates(loaded.certs);
        if known == 0 {
            return Err(format!("no trusted certificates on this system ({} errors)", loaded.errors.len()));
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?;
        Ok(Arc::new(config.with_root_certificates(roots).with_no_client_auth()))
    });
    CONFIG.clone().map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_of_every_form() {
        let read = |text: &str| text.parse::<Endpoint>().map(|e| (e.tls, e.host, e.port, e.authority));
        let is =
            |tls, host: &str, port, authority: &str| Ok((tls, host.to_owned(), port, authority.to_owned()));
        assert_eq!(read("https://relay.example"), is(true, "relay.example", 443, "relay.example"));
        assert_eq!(read("http://127.0.0.1:8080/"), is(false, "127.0.0.1", 8080, "127.0.0.1:8080"));
        assert_eq!(read("ws://[::1]:9"), is(false, "::1", 9, "[::1]:9"));
        assert_eq!(read("wss://[2001:db8::1]"), is(true, "2001:db8::1", 443, "[2001:db8::1]"));
        assert_eq!(read("ftp://x"), Err(EndpointError::Scheme));
        for wrong in [
            "http://",
            "http://a/b",
            "http://a:b",
            "http://u@h",
            "http://[::1",
            "http://[::1]x",
            "http://:80",
        ] {
            assert_eq!(read(wrong), Err(EndpointError::Authority), "{wrong}");
        }
    }
}
