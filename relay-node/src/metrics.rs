//! What the process counts, and how Prometheus reads it (text format 0.0.4).

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

/// A number that any thread may change.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds to it.
    pub fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    /// Takes from a gauge.
    pub fn sub(&self, n: u64) {
        self.0.fetch_sub(n, Ordering::Relaxed);
    }

    /// Reads it.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A counter for each of a few labels.
#[derive(Debug, Default)]
pub struct Labelled<K: Ord>(Mutex<BTreeMap<K, u64>>);

impl<K: Ord + Clone> Labelled<K> {
    /// Adds to the label's counter.
    pub fn add(&self, label: K, n: u64) {
        *self.0.lock().expect("no holder panics").entry(label).or_default() += n;
    }

    /// All labels.
    pub fn all(&self) -> Vec<(K, u64)> {
        self.0.lock().expect("no holder panics").iter().map(|(label, n)| (label.clone(), *n)).collect()
    }
}

/// Everything the shell counts by itself; the machines count the rest.
#[derive(Debug, Default)]
pub struct Metrics {
    /// Open TCP connections, upgraded ones included.
    pub connections: Counter,
    /// TCP connections refused because there were too many.
    pub connections_refused: Counter,
    /// Idle TCP connections, or those of the network with most, that gave way to others.
    pub connections_displaced: Counter,
    /// Requests that waited for their network's turn.
    pub requests_delayed: Counter,
    /// HTTP answers by route and status.
    pub http_responses: Labelled<(&'static str, u16)>,
    /// HTTP payload bytes sent, by route.
    pub http_bytes: Labelled<&'static str>,
    /// Open WebSockets.
    pub sockets: Counter,
    /// Closed WebSockets by reason.
    pub sockets_closed: Labelled<&'static str>,
    /// WebSocket messages and bytes from peers.
    pub frames_in: Counter,
    /// Bytes of them.
    pub frame_bytes_in: Counter,
    /// WebSocket messages to peers.
    pub frames_out: Counter,
    /// Bytes of them.
    pub frame_bytes_out: Counter,
    /// WebSockets refused because there were too many, in all or from one address.
    pub sockets_refused: Counter,
}

/// Writes one metric after the other.
#[derive(Debug, Default)]
pub struct Page(String);

impl Page {
    /// A metric with labels; `kind` is `counter` or `gauge`.
    pub fn family(&mut self, name: &str, kind: &str, help: &str, values: &[(String, f64)]) {
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
        for (labels, value) in values {
            let _ = writeln!(self.0, "{name}{labels} {value}");
        }
    }

    /// A metric without labels.
    pub fn single(&mut self, name: &str, kind: &str, help: &str, value: f64) {
        self.family(name, kind, help, &[(String::new(), value)]);
    }

    /// The text.
    pub fn finish(self) -> String {
        self.0
    }
}

impl Metrics {
    /// Writes everything that is counted here.
    pub fn write(&self, page: &mut Page) {
        let n = |counter: &Counter| counter.get() as f64;
        page.single("peeredge_connections", "gauge", "Open TCP connections.", n(&self.connections));
        page.single(
            "peeredge_connections_refused_total",
            "counter",
            "TCP connections refused because there were too many.",
            n(&self.connections_refused),
        );
        page.single(
            "peeredge_connections_displaced_total",
            "counter",
            "TCP connections that gave way to others.",
            n(&self.connections_displaced),
        );
        page.single(
            "peeredge_requests_delayed_total",
            "counter",
            "Requests and messages that waited for their network's turn.",
            n(&self.requests_delayed),
        );
        page.family(
            "peeredge_http_responses_total",
            "counter",
            "HTTP answers by route and status.",
            &labelled(self.http_responses.all(), |(route, status)| {
                format!("{{route=\"{route}\",status=\"{status}\"}}")
            }),
        );
        page.family(
            "peeredge_http_bytes_total",
            "counter",
            "HTTP payload bytes sent, by route.",
            &labelled(self.http_bytes.all(), |route| format!("{{route=\"{route}\"}}")),
        );
        page.single("peeredge_sockets", "gauge", "Open WebSockets.", n(&self.sockets));
        page.family(
            "peeredge_sockets_closed_total",
            "counter",
            "Closed WebSockets by reason.",
            &labelled(self.sockets_closed.all(), |reason| format!("{{reason=\"{reason}\"}}")),
        );
        let both = |inward: &Counter, outward: &Counter| {
            [("{direction=\"in\"}".to_owned(), n(inward)), ("{direction=\"out\"}".to_owned(), n(outward))]
        };
        let frames = both(&self.frames_in, &self.frames_out);
        page.family("peeredge_socket_frames_total", "counter", "WebSocket messages.", &frames);
        let bytes = both(&self.frame_bytes_in, &self.frame_bytes_out);
        page.family("peeredge_socket_bytes_total", "counter", "Bytes of WebSocket messages.", &bytes);
        page.single(
            "peeredge_sockets_refused_total",
            "counter",
            "WebSockets refused because there were too many, in all or from one network.",
            n(&self.sockets_refused),
        );
        write_process(page);
    }
}

fn labelled<K>(values: Vec<(K, u64)>, label: impl Fn(&K) -> String) -> Vec<(String, f64)> {
    values.iter().map(|(key, n)| (label(key), *n as f64)).collect()
}

/// Memory and handles as Linux tells them; absent elsewhere.
fn write_process(page: &mut Page) {
    if let Ok(status) = std::fs::read_to_string("/proc/self/status") {
        let kib = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB")?.parse().ok());
        if let Some(kib) = kib {
            let kib: f64 = kib;
            page.single("process_resident_memory_bytes", "gauge", "Resident memory.", kib * 1024.0);
        }
    }
    if let Ok(listing) = std::fs::read_dir("/proc/self/fd") {
        // Reading the folder opens it, which adds one.
        let open = listing.count().saturating_sub(1);
        page.single("process_open_fds", "gauge", "Open file descriptors.", open as f64);
    }
    if let Ok(stat) = std::fs::read_to_string("/proc/self/stat") {
        // Behind the command's name in parentheses; user and system time are fields 14 and 15, in ticks of 10 ms.
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        let ticks = [11, 12].iter().filter_map(|at| fields.get(*at)?.parse::<f64>().ok()).sum::<f64>();
        page.single("process_cpu_seconds_total", "counter", "User and system time.", ticks / 100.0);
    }
}
