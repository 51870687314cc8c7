//! Counts what decoding takes: symbols summed, symbols set aside, and failures, over many random losses.
//! `count fail K share-missing trials` or `count ops K...`.

use peeredge_code::{Decoder, Geometry, Step};

fn mix(x: u64) -> u64 {
    let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// Decodes zeros, since only the ids matter: returns the symbols needed beyond the missing ones and the cost.
fn trial(k: u32, missing_share: f64, seed: u64) -> (u32, peeredge_code::Cost) {
    let geometry = Geometry::new(u64::from(k) * 64, 64).expect("in range");
    let mut decoder = Decoder::new(geometry);
    let zeros = [0u8; 64];
    let missing = ((f64::from(k) * missing_share).round() as u32).max(1);
    let mut order: Vec<u32> = (0..k).collect();
    for i in 0..missing as usize {
        let j = i + (mix(seed.wrapping_mul(1 << 20).wrapping_add(i as u64)) % (k as u64 - i as u64)) as usize;
        order.swap(i, j);
    }
    for &i in &order[missing as usize..] {
        decoder.add_source(i, &zeros).expect("in range");
    }
    for id in decoder.propose(missing, seed) {
        decoder.add_coded(id, &zeros).expect("valid");
    }
    let mut given = 0;
    loop {
        match decoder.step(usize::MAX) {
            Step::Done => return (given, decoder.cost()),
            Step::Working => {}
            Step::NeedMore { .. } => {
                let salt = seed ^ 0xdead_beef_0000 ^ u64::from(given);
                let Some(id) = decoder.propose(1, salt).pop() else { panic!("nothing to propose") };
                given += u32::from(decoder.add_coded(id, &zeros).expect("valid"));
            }
        }
    }
}

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let number = |i: usize| args[i].parse::<f64>().expect("a number");
    match args[0].as_str() {
        "ops" => {
            for i in 1..args.len() {
                let k = number(i) as u32;
                for share in [0.05, 0.2, 0.5, 1.0] {
                    let trials = (20_000 / k).clamp(1, 20);
                    let costs: Vec<_> = (0..u64::from(trials)).map(|s| trial(k, share, s + 1)).collect();
                    let mean = |f: &dyn Fn(&(u32, peeredge_code::Cost)) -> f64| {
                        costs.iter().map(f).sum::<f64>() / costs.len() as f64
                    };
                    println!(
                        "K={k:6} missing {share:4}: {:6.2} operations a source symbol, {:6.1} set aside, {:.0} slots",
                        mean(&|c| c.1.operations as f64) / f64::from(k),
                        mean(&|c| f64::from(c.1.set_aside)),
                        mean(&|c| f64::from(c.1.slots)),
                    );
                }
            }
        }
        "fail" => {
            let (k, share, trials) = (number(1) as u32, number(2), number(3) as u64);
            let mut counts = [0u64; 8];
            for seed in 0..trials {
                counts[trial(k, share, seed + 1).0.min(7) as usize] += 1;
            }
            let beyond = |n: usize| counts[n + 1..].iter().sum::<u64>() as f64 / trials as f64;
            println!(
                "K={k} missing {share} trials {trials}: +0 {:e} +1 {:e} +2 {:e} {counts:?}",
                beyond(0),
                beyond(1),
                beyond(2)
            );
        }
        _ => println!("count ops K... | count fail K share trials"),
    }
}
