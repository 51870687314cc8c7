//! `count ops K...`: operations of decoding. `count fail TRIALS`: failures over all sizes.
//! `count one K SHARE TRIALS`: failures at one size; with a further `2`, asked for apart.

use peeredge_bench_code::count::{Figures, count_failures, operations, trial};

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let number = |i: usize| -> f64 { args.get(i).and_then(|a| a.parse().ok()).unwrap_or(1.0) };
    match args.first().map(String::as_str) {
        Some("ops") => {
            let sizes: Vec<usize> = (1..args.len()).map(|i| number(i) as usize).collect();
            operations(&mut Figures::new(), &sizes);
        }
        Some("fail") => count_failures(&mut Figures::new(), number(1) as u64),
        Some("one") => {
            let mut counts = [0u64; 8];
            for seed in 0..number(3) as u64 {
                counts[trial(number(1) as u32, number(2), seed + 1, number(4) == 2.0).0.min(7) as usize] += 1;
            }
            println!("K={} missing {}: took +n symbols {counts:?}", number(1), number(2));
        }
        _ => println!("count ops K... | count fail TRIALS | count one K SHARE TRIALS"),
    }
}
