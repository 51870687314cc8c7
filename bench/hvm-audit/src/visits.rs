//! How long visitors stay: real visits to a WebRTC live stream, from the first to the last link of each peer.

use std::collections::BTreeMap;
use std::io::Cursor;
use std::path::PathBuf;

/// Seconds of each visit, and the files they come from; without the traces a Pareto-like stand-in, which is said.
pub fn lengths() -> (Vec<f64>, String) {
    let folder = std::env::var_os("PEEREDGE_DATA")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data"), PathBuf::from)
        .join("matching");
    let mut names: Vec<_> = std::fs::read_dir(&folder)
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| name.starts_with("p2p_links_") && name.ends_with(".csv.xz"))
        .collect();
    names.sort();
    let mut seconds = Vec::new();
    for name in &names {
        let packed = std::fs::read(folder.join(name)).expect("a file that was listed");
        let mut text = Vec::new();
        lzma_rs::xz_decompress(&mut Cursor::new(packed), &mut text).expect("a whole xz file");
        seconds.extend(visits(&String::from_utf8_lossy(&text)));
    }
    if seconds.is_empty() {
        // Half of the visits within six minutes, a tail of hours.
        let stand_in = (1..1000).map(|i| 400.0 * (i as f64 / (1000 - i) as f64).min(50.0)).collect();
        return (stand_in, "none found: visits are a stand-in".into());
    }
    (seconds, names.join(", "))
}

fn visits(text: &str) -> Vec<f64> {
    let mut lines = text.lines();
    let head: Vec<&str> = lines.next().unwrap_or_default().split(',').collect();
    let column = |name: &str| head.iter().position(|field| *field == name).expect("a column of the traces");
    let (recv, send, start, end) = (column("recv"), column("send"), column("start_ms"), column("end_ms"));
    let mut spans: BTreeMap<&str, (f64, f64)> = BTreeMap::new();
    for line in lines {
        // Only names of cities and providers are quoted, and they lie between.
        let fields = split(line);
        let at = |column: usize| fields.get(column).and_then(|field| field.parse::<f64>().ok());
        let (Some(from), Some(to)) = (at(start), at(end)) else { continue };
        for peer in [fields[recv], fields[send]] {
            let span = spans.entry(peer).or_insert((from, to));
            *span = (span.0.min(from), span.1.max(to));
        }
    }
    spans.values().map(|(from, to)| (to - from) / 1000.0).collect()
}

fn split(line: &str) -> Vec<&str> {
    let (mut fields, mut quoted, mut from) = (Vec::new(), false, 0);
    for (at, byte) in line.bytes().enumerate() {
        match byte {
            b'"' => quoted = !quoted,
            b',' if !quoted => {
                fields.push(&line[from..at]);
                from = at + 1;
            }
            _ => {}
        }
    }
    fields.push(&line[from..]);
    fields
}
