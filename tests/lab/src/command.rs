//! The commands, and what they are answered.

use std::net::SocketAddr;
use std::rc::Rc;

use peeredge_lab::link::{LinkConfig, LinkCounts};
use peeredge_lab::network::EndpointId;
use peeredge_lab::rate::Rate;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::gate::{self, Gate};
use crate::shell::Lab;
use crate::udp::{learn, show};

#[derive(Deserialize)]
#[serde(tag = "op", rename_all = "snake_case", deny_unknown_fields)]
enum Command {
    /// Makes an endpoint, or changes the links that are given of one.
    Endpoint { name: String, up: Box<Option<LinkSettings>>, down: Box<Option<LinkSettings>> },
    /// Opens a gate: what `client` uses in place of `address`, which is `server`'s.
    Gate { client: String, server: String, address: SocketAddr },
    /// Rewrites the candidates in what `owner` tells `viewer` by other means.
    Rewrite { owner: String, viewer: String, text: String },
    /// What became of the packets of an endpoint.
    Counts { name: String },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LinkSettings {
    bytes_per_s: Option<f64>,
    /// `[milliseconds, bytes a second]`, over and over.
    steps: Option<Vec<(f64, f64)>>,
    /// A file in mahimahi's format, packed by xz if its name says so.
    trace: Option<String>,
    queue_bytes: Option<u64>,
    delay_ms: Option<f64>,
    jitter_ms: Option<f64>,
    loss: Option<f64>,
    reorder: Option<f64>,
    reorder_ms: Option<f64>,
}

impl LinkSettings {
    fn config(self) -> Result<LinkConfig, String> {
        let rate = match (self.bytes_per_s, self.steps, self.trace) {
            (None, None, None) => Rate::Unlimited,
            (Some(bytes_per_s), None, None) => Rate::Constant(bytes_per_s),
            (None, Some(steps), None) => {
                Rate::Steps(steps.into_iter().map(|(ms, rate)| (micros(ms), rate)).collect())
            }
            (None, None, Some(path)) => read_trace(&path)?,
            _ => return Err("a link has one of bytes_per_s, steps and trace".into()),
        };
        let default = LinkConfig::default();
        Ok(LinkConfig {
            rate,
            queue_bytes: self.queue_bytes.unwrap_or(default.queue_bytes),
            delay_us: self.delay_ms.map_or(default.delay_us, micros),
            jitter_us: self.jitter_ms.map_or(default.jitter_us, micros),
            loss: self.loss.unwrap_or(default.loss),
            reorder: self.reorder.unwrap_or(default.reorder),
            reorder_us: self.reorder_ms.map_or(default.reorder_us, micros),
        })
    }
}

fn micros(ms: f64) -> u64 {
    (ms * 1000.0) as u64
}

fn read_trace(path: &str) -> Result<Rate, String> {
    let mut bytes = std::fs::read(path).map_err(|error| format!("{path}: {error}"))?;
    if path.ends_with(".xz") {
        let mut unpacked = Vec::new();
        lzma_rs::xz_decompress(&mut bytes.as_slice(), &mut unpacked)
            .map_err(|error| format!("{path}: {error:?}"))?;
        bytes = unpacked;
    }
    Rate::mahimahi(&String::from_utf8_lossy(&bytes)).map_err(|error| format!("{path}: {error:?}"))
}

/// Carries out one command.
pub async fn answer(lab: &Rc<Lab>, line: &str) -> Value {
    match carry_out(lab, line).await {
        Ok(answer) => answer,
        Err(error) => json!({ "error": error }),
    }
}

async fn carry_out(lab: &Rc<Lab>, line: &str) -> Result<Value, String> {
    match serde_json::from_str(line).map_err(|error| error.to_string())? {
        Command::Endpoint { name, up, down } => {
            let up = (*up).map(LinkSettings::config).transpose()?;
            let down = (*down).map(LinkSettings::config).transpose()?;
            let known = lab.names.borrow().get(&name).copied();
            match known {
                Some(id) => lab.with(|network, now| network.configure(now, id, up, down)),
                None => {
                    let id =
                        lab.with(|network, _| network.add(up.unwrap_or_default(), down.unwrap_or_default()));
                    lab.names.borrow_mut().insert(name, id);
                }
            }
            Ok(json!({}))
        }
        Command::Gate { client, server, address } => {
            let gate = Gate { client: find(lab, &client)?, server: find(lab, &server)?, address };
            let opened = gate::open(lab.clone(), gate).await.map_err(|error| error.to_string())?;
            Ok(json!({ "address": opened.to_string() }))
        }
        Command::Rewrite { owner, viewer, text } => {
            let (owner, viewer) = (find(lab, &owner)?, find(lab, &viewer)?);
            learn(lab, &text, owner);
            Ok(json!({ "text": show(lab, &text, viewer, None) }))
        }
        Command::Counts { name } => {
            let (up, down) = lab.network.borrow().counts(find(lab, &name)?);
            Ok(json!({ "up": counts(up), "down": counts(down) }))
        }
    }
}

fn find(lab: &Lab, name: &str) -> Result<EndpointId, String> {
    lab.names.borrow().get(name).copied().ok_or_else(|| format!("no endpoint is called {name}"))
}

fn counts(counts: LinkCounts) -> Value {
    let LinkCounts { packets, bytes, dropped, lost } = counts;
    json!({ "packets": packets, "bytes": bytes, "dropped": dropped, "lost": lost })
}
