//! Sets of traces: what real channels carried, step by step.

use crate::data;
use crate::report::Report;
use std::collections::BTreeMap;

/// One measured span of a channel.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Step {
    /// Idle seconds since the step before: nothing was asked for then.
    pub idle_s: f64,
    /// Length in seconds.
    pub seconds: f64,
    /// Bytes that came in it.
    pub bytes: f64,
}

impl Step {
    /// Its rate in bytes a second.
    pub fn rate(&self) -> f64 {
        self.bytes / self.seconds
    }
}

/// One channel's steps in order.
pub type Trace = Vec<Step>;

/// Traces of one source.
pub struct Set {
    /// For the table.
    pub name: &'static str,
    /// All its traces, in the order of their names.
    pub traces: Vec<Trace>,
}

/// Every set that the data folder has. Mobile, fixed and mobile again: minutes to hours in steps of 1 s and 5 s, chunk downloads of
/// real video sessions, bulk transfers of 30 s, and packet times put into steps of 1 s.
pub fn sets(report: &mut Report) -> Vec<Set> {
    let mut sets = Vec::new();
    for (name, file) in [
        ("HSDPA 3G", "perception/sabre_3Glogs.tar.xz"),
        ("Ghent 4G", "perception/sabre_4Glogs.tar.xz"),
        ("FCC hd", "perception/sabre_hd_fs.tar.xz"),
        ("FCC sd", "perception/sabre_sd_fs.tar.xz"),
        ("Oboe chunks", "perception/oboe_traces.tar.xz"),
    ] {
        let Some(files) = data::archive(file) else { continue };
        report.read(file);
        let parse = if name == "Oboe chunks" { chunks } else { sabre };
        sets.push(Set { name, traces: files.iter().map(|(_, content)| parse(content)).collect() });
    }
    let iperf = "perception/sigcomm21_iperf3_1s_intervals.csv.gz";
    if let Some(lines) = data::lines(iperf) {
        report.read(iperf);
        sets.push(Set { name: "5G bulk", traces: bulk(&lines) });
    }
    let packets = data::list("perception", "mahimahi_", ".xz");
    if !packets.is_empty() {
        let traces = packets.iter().filter_map(|file| data::lines(file)).map(|l| opportunities(&l)).collect();
        packets.into_iter().for_each(|file| report.read(file));
        sets.push(Set { name: "LTE packets", traces });
    }
    sets
}

/// The two sets of mobile links in steps of 1 s, slow and quick; empty unless both are there.
pub fn mobile(report: &mut Report) -> Vec<Set> {
    let files =
        [("HSDPA 3G", "perception/sabre_3Glogs.tar.xz"), ("Ghent 4G", "perception/sabre_4Glogs.tar.xz")];
    let sets: Option<Vec<Set>> = files
        .into_iter()
        .map(|(name, file)| {
            let files = data::archive(file)?;
            report.read(file);
            // A link that carried nothing at all, or was seen for less than a minute, is none.
            let traces =
                files.iter().map(|(_, content)| sabre(content)).filter(|trace| trace.len() > 60).collect();
            Some(Set { name, traces })
        })
        .collect();
    sets.unwrap_or_default()
}

/// `[{"duration_ms": 1000, "bandwidth_kbps": 2000, "latency_ms": 20}, ...]`
fn sabre(json: &[u8]) -> Trace {
    let text = String::from_utf8_lossy(json);
    let number = |object: &str, key: &str| -> Option<f64> {
        let rest = object.split_once(key)?.1.split_once(':')?.1;
        rest.split([',', '}']).next()?.trim().parse().ok()
    };
    text.split('{')
        .filter_map(|object| {
            let seconds = number(object, "\"duration_ms\"")? / 1000.0;
            let bytes = number(object, "\"bandwidth_kbps\"")? * 125.0 * seconds;
            (seconds > 0.0).then_some(Step { idle_s: 0.0, seconds, bytes })
        })
        .collect()
}

/// Pairs of lines "ms kbps", the start and the end of a chunk's download; between two chunks the player waited.
fn chunks(text: &[u8]) -> Trace {
    let text = String::from_utf8_lossy(text);
    let points: Vec<(f64, f64)> = text
        .lines()
        .filter_map(|line| {
            let mut words = line.split_whitespace();
            Some((words.next()?.parse().ok()?, words.next()?.parse().ok()?))
        })
        .collect();
    let mut trace = Vec::new();
    let mut end = None;
    for pair in points.chunks_exact(2) {
        let ((from, kbps), (to, _)) = (pair[0], pair[1]);
        let seconds = (to - from) / 1000.0;
        if seconds > 0.0 {
            let idle_s = end.map_or(0.0, |end: f64| (from - end).max(0.0) / 1000.0);
            trace.push(Step { idle_s, seconds, bytes: kbps * 125.0 * seconds });
            end = Some(to);
        }
    }
    trace
}

/// "run,proto,streams,sec,bytes,secs"
fn bulk(lines: &[String]) -> Vec<Trace> {
    let mut runs: BTreeMap<&str, Trace> = BTreeMap::new();
    for line in lines.iter().skip(1) {
        let fields: Vec<&str> = line.split(',').collect();
        if let [run, _, _, _, bytes, seconds] = fields[..]
            && let (Ok(bytes), Ok(seconds)) = (bytes.parse(), seconds.parse())
            && seconds > 0.0
        {
            runs.entry(run).or_default().push(Step { idle_s: 0.0, seconds, bytes });
        }
    }
    runs.into_values().collect()
}

/// One line a packet of 1500 bytes that could have been delivered: the millisecond.
fn opportunities(lines: &[String]) -> Trace {
    let mut packets: Vec<u32> = Vec::new();
    for second in lines.iter().filter_map(|line| line.trim().parse::<usize>().ok()).map(|ms| ms / 1000) {
        if packets.len() <= second {
            packets.resize(second + 1, 0);
        }
        packets[second] += 1;
    }
    // The last second is cut off somewhere.
    packets.pop();
    packets.iter().map(|&n| Step { idle_s: 0.0, seconds: 1.0, bytes: f64::from(n) * 1500.0 }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_formats_are_read_as_they_were_written() {
        let one = br#"[ {"duration_ms": 1050, "bandwidth_kbps": 800, "latency_ms": 100}, {"duration_ms": 0, "bandwidth_kbps": 1, "latency_ms": 1} ]"#;
        assert_eq!(sabre(one), [Step { idle_s: 0.0, seconds: 1.05, bytes: 105_000.0 }]);
        let two = chunks(b"0 800.0\n1000 800.0\n1500 400.0\n3500 400.0\n");
        assert_eq!(two[1], Step { idle_s: 0.5, seconds: 2.0, bytes: 100_000.0 });
        let runs = bulk(&["header".into(), "a,TCP,1,0,10,2.0".into(), "b,TCP,1,0,10,1.0".into()]);
        assert_eq!((runs.len(), runs[0][0].rate()), (2, 5.0));
        let packets = opportunities(&["1".into(), "2".into(), "1500".into(), "2100".into()]);
        assert_eq!(packets.iter().map(Step::rate).collect::<Vec<_>>(), [3000.0, 1500.0]);
    }
}
