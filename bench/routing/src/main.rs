//! Runs the parts named on the command line, or all, and prints one line of JSON last.

use peeredge_bench_routing::{PARTS, Setting, data, matching::cases, report::Report};

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let has = |flag: &str| words.iter().any(|word| word == flag);
    let seed = words.iter().find_map(|word| word.strip_prefix("--seed=")?.parse().ok()).unwrap_or(20_260_101);
    let setting = Setting { seed, quick: has("--quick"), long: has("--long") };
    if has("--cases") {
        return cases::print(seed, if setting.quick { 4 } else { 8 });
    }
    let named: Vec<&String> = words.iter().filter(|word| !word.starts_with("--")).collect();
    if let Some(unknown) = named.iter().find(|word| !PARTS.iter().any(|(part, ..)| *part == word.as_str())) {
        let names: Vec<&str> = PARTS.iter().map(|(name, ..)| *name).collect();
        eprintln!("no part {unknown}; there are: {}", names.join(", "));
        std::process::exit(2);
    }
    println!(
        "seed {seed}, data {}",
        data::folder().map_or("none found".into(), |folder| folder.display().to_string())
    );
    let mut all = Report::default();
    for (name, title, run) in PARTS {
        if !named.is_empty() && !named.iter().any(|word| word.as_str() == *name) {
            continue;
        }
        println!("\n== {name}: {title}");
        all.extend(run(&setting));
    }
    if !all.files.is_empty() {
        println!("\nfiles read: {}", all.files.join(", "));
    }
    // What was measured outside of this program, by the exact solver.
    for (key, value) in words.iter().filter_map(|word| word.strip_prefix("--figure=")?.split_once(':')) {
        all.figure(key.to_owned().leak(), value.parse().unwrap_or(f64::NAN));
    }
    println!("{}", all.json("routing"));
}
