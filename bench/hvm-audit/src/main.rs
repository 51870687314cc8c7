//! PeerHVM's audit among 10,000 devices with real visits, a fifth of them cheating, beside quorums and BOINC's adaptive
//! replication. All runs count, the referee's too.

mod devices;
mod dice;
mod plain;
mod scheme;
mod visits;
mod world;

use devices::{Cheats, devices};
use dice::Dice;
use peeredge_hvm::Assurance;
use plain::Plain;
use scheme::Ours;
use world::{Found, run};

const DEVICES: usize = 10_000;
/// Devices come within this time, in s.
const WINDOW_S: f64 = 3.0 * 3600.0;

struct Bench {
    seed: u64,
    visits: Vec<f64>,
    tasks: u64,
}

impl Bench {
    fn devices(&self, cheats: Cheats) -> Vec<devices::Device> {
        devices(DEVICES, cheats, &self.visits, WINDOW_S, &mut Dice::new(self.seed))
    }

    fn ours(&self, name: &str, assurance: Assurance, cheats: Cheats) -> Found {
        show(name, run(Ours::new(assurance, self.seed ^ 1), self.devices(cheats), self.tasks, cheats))
    }

    fn plain(&self, name: &str, quorum: usize, adaptive: bool, cheats: Cheats) -> Found {
        // Their errors are so frequent that fewer tasks tell them as well.
        let tasks = if quorum < 4 { self.tasks / 2 } else { self.tasks / 8 };
        show(name, run(Plain::new(quorum, adaptive, self.seed ^ 1), self.devices(cheats), tasks, cheats))
    }
}

fn show(name: &str, found: Found) -> Found {
    println!(
        "{name:<34} {:>9.2e} {:>7} of {:>7} {:>8.3} {:>8.2} % {:>9.3}   {}",
        found.wrong_share(),
        found.wrong,
        found.accepted,
        found.replication(),
        100.0 * found.referee as f64 / (found.runs + found.referee) as f64,
        found.end_s / found.ideal_s,
        found.notes
    );
    found
}

fn head(title: &str) {
    println!("\n== {title}");
    println!("{:<34} {:>9} {:>18} {:>8} {:>10} {:>9}", "", "wrong", "", "runs", "referee's", "makespan");
}

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let has = |flag: &str| words.iter().any(|word| word == flag);
    let seed = words.iter().find_map(|word| word.strip_prefix("--seed=")?.parse().ok()).unwrap_or(20_260_101);
    let (visits, files) = visits::lengths();
    let tasks = if has("--quick") { 100_000 } else { 400_000 };
    let bench = Bench { seed, visits, tasks };
    println!("seed {seed}, {DEVICES} devices, {tasks} tasks, visits: {files}");

    head("half of the cheats alone, half colluding");
    let strict = bench.ours("PeerHVM strict", Assurance::strict(), Cheats::Mixed);
    let cheap = bench.ours("PeerHVM cheap", Assurance::cheap(), Cheats::Mixed);
    // Who buys a record must not get through, either: the worst of all is the figure.
    let mut bought = Vec::new();
    for (cheats, title) in [
        (Cheats::SelfDealers, "a ring that hands in tasks to itself"),
        (Cheats::Choosers, "a ring whose friends hand in tasks that only it can take"),
        (Cheats::Colluders, "a ring whose friends hand in tiny tasks"),
    ] {
        head(title);
        bought.push((
            bench.ours("PeerHVM strict", Assurance::strict(), cheats),
            bench.ours("PeerHVM cheap", Assurance::cheap(), cheats),
        ));
    }
    let worst_strict =
        bought.iter().map(|(strict, _)| strict.wrong_share()).fold(strict.wrong_share(), f64::max);
    let worst_cheap = bought.iter().map(|(_, cheap)| cheap.wrong_share()).fold(cheap.wrong_share(), f64::max);
    head("what others do, half of the cheats alone, half colluding");
    let mut plain = vec![
        bench.plain("BOINC adaptive, quorum 2", 2, true, Cheats::Mixed),
        bench.plain("BOINC adaptive, quorum 3", 3, true, Cheats::Mixed),
    ];
    for quorum in 2..=if has("--quick") { 3 } else { 7 } {
        plain.push(bench.plain(&format!("{quorum}-quorum"), quorum, false, Cheats::Mixed));
    }
    let stress = [
        (Cheats::Alone, "all alone"),
        (Cheats::OneRing, "all in one ring of distinct owners"),
        (Cheats::OneSleeperRing, "one ring, honest for 100 runs, then lying in 30 % of tasks"),
        (Cheats::OneSeldomRing, "one ring, lying in 1 % of tasks"),
    ];
    if has("--long") {
        for (cheats, title) in stress {
            head(&format!("for comparison, not in the figures: {title}"));
            bench.ours("PeerHVM strict", Assurance::strict(), cheats);
            bench.ours("PeerHVM cheap", Assurance::cheap(), cheats);
            bench.plain("2-quorum", 2, false, cheats);
            bench.plain("3-quorum", 3, false, cheats);
            bench.plain("BOINC adaptive, quorum 2", 2, true, cheats);
        }
    }

    // What the cheapest of theirs pays for at most the same error; where none gets there, the surest of them all.
    let best = |error: f64| {
        let able: Vec<&Found> = plain.iter().filter(|found| found.wrong_share() <= error).collect();
        let least = able.iter().map(|found| found.replication()).min_by(f64::total_cmp);
        least
            .unwrap_or_else(|| plain.iter().map(Found::replication).max_by(f64::total_cmp).expect("some ran"))
    };
    let (best_strict, best_cheap) = (best(1e-5), best(1e-3));
    println!("\nfor 1e-5 the best of theirs pays {best_strict:.2} runs, for 1e-3 {best_cheap:.2}");
    let over = (strict.replication() / best_strict).max(cheap.replication() / best_cheap);
    let makespan = (strict.end_s / strict.ideal_s).max(cheap.end_s / cheap.ideal_s);
    println!(
        "{{\"bench\": \"hvm-audit\", \"figures\": {{\"accepted_wrong_strict\": {:.3e}, \"replication_strict\": {:.4}, \
         \"accepted_wrong_cheap\": {:.3e}, \"replication_cheap\": {:.4}, \"replication_over_best_plain\": {over:.4}, \
         \"makespan_over_ideal\": {makespan:.4}}}}}",
        worst_strict,
        strict.replication(),
        worst_cheap,
        cheap.replication()
    );
}
