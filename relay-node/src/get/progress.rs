use indicatif::{ProgressBar, ProgressStyle};
use peeredge_node::Stats;

/// Hears how a download goes.
pub trait Progress: Send {
    /// Name and bytes are known.
    fn begin(&mut self, name: &str, bytes: u64);
    /// So many bytes have been taken, in order.
    fn taken(&mut self, bytes: u64);
    /// The node's picture was renewed.
    fn stats(&mut self, stats: &Stats);
    /// Everything is there; it is being shared.
    fn seeding(&mut self);
}

/// A bar on a terminal; nothing when there is none.
#[derive(Debug)]
pub(crate) struct Bar(ProgressBar);

impl Bar {
    pub(crate) fn new(quiet: bool) -> Bar {
        let bar = if quiet { ProgressBar::hidden() } else { ProgressBar::new_spinner() };
        bar.set_style(ProgressStyle::with_template("{spinner} {msg}").expect("the template is constant"));
        bar.set_message("looking for peers");
        Bar(bar)
    }

    pub(crate) fn clear(&self) {
        self.0.finish_and_clear();
    }
}

impl Progress for Bar {
    fn begin(&mut self, name: &str, bytes: u64) {
        let template = "{prefix} {wide_bar} {bytes}/{total_bytes} {binary_bytes_per_sec} {eta} {msg}";
        self.0.set_style(ProgressStyle::with_template(template).expect("the template is constant"));
        // A stranger chose the name: no control character of it may reach the terminal.
        let shown: String = name.chars().filter(|c| !c.is_control()).take(30).collect();
        self.0.set_prefix(shown);
        self.0.set_message("");
        self.0.set_length(bytes);
    }

    fn taken(&mut self, bytes: u64) {
        self.0.set_position(bytes);
    }

    fn stats(&mut self, stats: &Stats) {
        self.0.set_message(shares(stats));
        self.0.tick();
    }

    fn seeding(&mut self) {
        self.0
            .set_style(ProgressStyle::with_template("{spinner} sharing {prefix}: {msg}").expect("constant"));
    }
}

/// Who delivered how much of what has arrived, and how many peers there are.
fn shares(stats: &Stats) -> String {
    let all = stats.from_peers_bytes + stats.from_relay_bytes + stats.from_http_bytes;
    let percent = |part: u64| (u128::from(part) * 100).checked_div(u128::from(all)).unwrap_or(0);
    let open = stats.peers.iter().filter(|peer| peer.open && !peer.is_relay).count();
    let mut text = format!(
        "peers {} % relay {} % http {} %, {open} connected",
        percent(stats.from_peers_bytes),
        percent(stats.from_relay_bytes),
        percent(stats.from_http_bytes)
    );
    if stats.sent_bytes > 0 {
        text.push_str(&format!(", {} MiB given", stats.sent_bytes >> 20));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_add_up_without_any_bytes_too() {
        assert_eq!(shares(&Stats::default()), "peers 0 % relay 0 % http 0 %, 0 connected");
        let stats = Stats { from_peers_bytes: 3, from_http_bytes: 1, ..Stats::default() };
        assert_eq!(shares(&stats), "peers 75 % relay 0 % http 25 %, 0 connected");
    }
}
