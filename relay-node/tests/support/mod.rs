//! A relay process, HTTP by hand, and peers by hand: what the tests of this folder share.
#![allow(dead_code)]

pub mod peer;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// Nothing here waits longer than this before it counts as failed.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A folder of one test, removed when the test passes.
pub struct Folder(pub PathBuf);

impl Folder {
    pub fn new(test: &str) -> Folder {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let n = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("peeredge-{test}-{}-{n}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).unwrap();
        Folder(path)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// A file of `len` bytes that no compressor and no other seed makes the same.
    pub fn file(&self, name: &str, len: usize, seed: u64) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, noise(len, seed)).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }
}

/// Bytes from xorshift64*.
pub fn noise(len: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut out = Vec::with_capacity(len + 8);
    while out.len() < len {
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        out.extend_from_slice(&state.wrapping_mul(0x2545_f491_4f6c_dd1d).to_le_bytes());
    }
    out.truncate(len);
    out
}

/// `peeredge` with these words, away from the caller's own settings.
pub fn command(words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_peeredge"));
    command.args(words).stdin(Stdio::null());
    let ours = std::env::vars().map(|(name, _)| name).filter(|name| name.starts_with("PEEREDGE_"));
    for name in ours {
        command.env_remove(name);
    }
    command.current_dir(std::env::temp_dir());
    command
}

/// Runs it to its end.
pub fn run(words: &[&str]) -> Output {
    command(words).output().unwrap()
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A running relay; killed when dropped.
pub struct Relay {
    pub child: Child,
    pub address: SocketAddr,
    /// The operator's port.
    pub admin: SocketAddr,
}

impl Relay {
    /// Starts one on a free port of the loopback and waits until it is ready.
    pub fn start(data: &Path, flags: &[&str]) -> Relay {
        let mut words = vec!["serve", "--bind", "127.0.0.1:0", "--log-format", "json", "--data-dir"];
        words.push(data.to_str().unwrap());
        words.extend(flags);
        let mut child = command(&words).stderr(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut log = String::new();
        let (address, admin) = loop {
            let Some(Ok(line)) = lines.next() else { panic!("the relay ended early:\n{log}") };
            log.push_str(&line);
            log.push('\n');
            let Some(rest) = line.split_once("relay is up").map(|(_, rest)| rest.to_owned()) else {
                continue;
            };
            let field = |name: &str| {
                let (_, rest) = rest.split_once(&format!("\"{name}\":\"")).unwrap();
                rest.split_once('"').unwrap().0.to_owned()
            };
            break (field("bind").parse().unwrap(), field("admin"));
        };
        // Whatever it still says must not block it; a failing test shows it.
        std::thread::spawn(move || lines.map_while(Result::ok).for_each(|line| eprintln!("relay: {line}")));
        let admin = admin.trim_start_matches("http://").trim_end_matches("/operator").parse().unwrap();
        let relay = Relay { child, address, admin };
        wait_for("the relay to be ready", || relay.get("/readyz", &[]).status == 200);
        relay
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn get(&self, path: &str, headers: &[(&str, &str)]) -> Response {
        self.request("GET", path, headers)
    }

    pub fn request(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> Response {
        self.ask(self.address, method, path, headers)
    }

    /// Asks the operator's port.
    pub fn operator(&self, path: &str, headers: &[(&str, &str)]) -> Response {
        self.ask(self.admin, "GET", path, headers)
    }

    fn ask(&self, at: SocketAddr, method: &str, path: &str, headers: &[(&str, &str)]) -> Response {
        let mut stream = TcpStream::connect(at).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut request = format!("{method} {path} HTTP/1.1\r\nconnection: close\r\n");
        if !headers.iter().any(|(name, _)| *name == "host") {
            request.push_str(&format!("host: {at}\r\n"));
        }
        for (name, value) in headers {
            request.push_str(&format!("{name}: {value}\r\n"));
        }
        request.push_str("\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).unwrap();
        Response::parse(&bytes)
    }

    /// One number of `/metrics`.
    pub fn metric(&self, name: &str) -> Option<f64> {
        let page = text(&self.operator("/metrics", &[]).body);
        page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok())
    }

    /// The links of everything it publishes.
    pub fn links(&self) -> Vec<String> {
        let list = text(&self.get("/api/contents", &[]).body);
        let mut links = Vec::new();
        for part in list.split("\"link\":\"").skip(1) {
            links.push(part.split('"').next().unwrap().to_owned());
        }
        links
    }

    pub fn signal(&self, name: &str) {
        assert!(Command::new("kill").args([name, &self.child.id().to_string()]).status().unwrap().success());
    }

    /// Ends it without any warning.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An HTTP answer.
#[derive(Debug)]
pub struct Response {
    pub status: u16,
    pub headers: BTreeMap<String, String>,
    pub body: Vec<u8>,
}

impl Response {
    fn parse(bytes: &[u8]) -> Response {
        let end = bytes.windows(4).position(|w| w == b"\r\n\r\n").expect("a head");
        let head = text(&bytes[..end]);
        let mut lines = head.split("\r\n");
        let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let pairs = lines.map(|line| line.split_once(": ").unwrap());
        let headers = pairs.map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned())).collect();
        Response { status, headers, body: bytes[end + 4..].to_vec() }
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }
}

/// Waits until something is so.
pub fn wait_for(what: &str, mut is_so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < PATIENCE, "waited too long for {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// `/c/ID/NAME` of a link.
pub fn path_of(link: &str) -> &str {
    &link[link.find("/c/").unwrap()..]
}

/// The id in a link.
pub fn id_of(link: &str) -> &str {
    path_of(link)[3..].split('/').next().unwrap()
}

/// Publishes a file into a store and gives its link.
pub fn publish(data: &Path, file: &Path) -> String {
    let out = run(&["publish", "--quiet", "--data-dir", data.to_str().unwrap(), file.to_str().unwrap()]);
    assert!(out.status.success(), "{}", text(&out.stderr));
    text(&out.stdout).trim().to_owned()
}
