//! Times the codecs in turn, one thread, medians of repeated runs, every result checked; counts failures and
//! operations. Options: `--t=1024,16384 --k=64,1024 --rounds=5 --works=0,1,2 --ours --trials=20000`.

use peeredge_bench_code::codecs::{RaptorQ, RsErasure, RsSimd};
use peeredge_bench_code::count::{Figures, count_failures, operations};
use peeredge_bench_code::ours::Ours;
use peeredge_bench_code::{Codec, Input, WORKS};
use peeredge_code::{Decoder, Encoder, Encoding, Geometry, Part, Step};
use std::collections::BTreeMap;
use std::time::Instant;

/// Speeds in MB/s of source bytes by codec, work, T and K.
type Speeds = BTreeMap<(&'static str, usize, usize, usize), f64>;

/// What random losses and contents are made from.
const SEED: u64 = 20_260_101;

/// CPU time of this thread, in seconds: what other programs do at the same time counts less than by the wall clock.
fn cpu_seconds() -> f64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is to a timespec of ours.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut time) };
    time.tv_sec as f64 + time.tv_nsec as f64 * 1e-9
}

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let list = |name: &str, default: &str| -> Vec<usize> {
        let value = args.iter().find_map(|a| a.strip_prefix(name)?.strip_prefix('=')).unwrap_or(default);
        value.split(',').filter_map(|v| v.parse().ok()).collect()
    };
    let only_ours = args.iter().any(|a| a == "--ours");
    let rounds = list("--rounds", "5")[0];
    let works = list("--works", "0,1,2");
    let mut speeds = Speeds::new();
    let mut passes = BTreeMap::new();
    let mut figures = Figures::new();

    println!("MB/s of source bytes, CPU time of one thread, medians; seed {SEED}");
    println!("{:>6} {:>6} {:11} {:>9} {:>9} {:>9}", "T", "K", "", "encode", "20 % lost", "all coded");
    for &t in &list("--t", "1024,16384") {
        for &k in &list("--k", "64,256,1024,4096,16384") {
            let input = Input::new(k, t, SEED);
            // A block of a gibibyte is measured by itself: the others need several times its memory.
            let alone = only_ours || k * t > 512 << 20;
            let mut codecs: Vec<Box<dyn Codec>> = Vec::new();
            let ours = Ours::new(input.clone());
            figures.memory_share.insert(k, ours.memory_share());
            codecs.push(Box::new(ours));
            if !alone {
                codecs.push(Box::new(RaptorQ::new(input.clone())));
                codecs.push(Box::new(RsSimd::new(input.clone())));
                if let Some(codec) = RsErasure::new(input.clone()) {
                    codecs.push(Box::new(codec));
                }
            }
            let (times, pass) = measure(&mut codecs, &input, &works, rounds);
            passes.insert((t, k), pass);
            println!("{t:6} {k:6} {:11} {pass:9.0}", "XOR pass");
            for (codec, row) in codecs.iter().zip(&times) {
                print!("{t:6} {k:6} {:11}", codec.name());
                for (work, speed) in row.iter().enumerate() {
                    match speed {
                        Some(s) => {
                            speeds.insert((codec.name(), work, t, k), *s);
                            print!(" {s:9.0}");
                        }
                        None => print!(" {:>9}", "–"),
                    }
                }
                println!();
            }
        }
    }
    summarise(&mut figures, &speeds, &passes);

    for t in list("--threads", "16384").into_iter().filter(|t| *t > 0) {
        threads(&mut figures, 4096, t);
    }
    let trials = list("--trials", "20000")[0] as u64;
    if trials > 0 {
        count_failures(&mut figures, trials);
        operations(&mut figures, &list("--ops", "256,1024,4096,16384,65536"));
    }
    let ours: Vec<String> = speeds
        .iter()
        .filter(|((name, ..), _)| *name == "peeredge")
        .map(|((_, work, t, k), s)| format!("\"{work}/{t}/{k}\":{s:.1}"))
        .collect();
    println!("native {{{}}}", ours.join(","));
    println!("{}", figures.json());
}

/// What a second thread brings: the same work in one part and in two, by the wall clock, medians of five.
fn threads(figures: &mut Figures, k: usize, t: usize) {
    let input = Input::new(k, t, SEED);
    let geometry = Geometry::new((k * t) as u64, t as u32).expect("in range");
    let mut receiver = Decoder::new(geometry);
    let ids = receiver.propose(k as u32 + 8, 1);
    for i in (0..k).filter(|&i| !input.missing[i]) {
        receiver.add_source(i as u32, input.symbol(i)).expect("in range");
    }
    let repair_ids = receiver.propose(input.repair as u32, 2);
    let mut symbols = vec![0; ids.len() * t];
    let encoder = Encoder::new(geometry, &input.block).expect("the block fits");
    encoder.write_coded_batch(&ids, &mut symbols).expect("valid ids");
    let parity = encoder.parity().to_vec();
    drop((encoder, receiver));

    let mut out = vec![0; repair_ids.len() * t];
    let mut buffer = Vec::new();
    let mut times = [const { Vec::new() }; 4];
    for _ in 0..5 {
        for n in [1, 2] {
            let start = Instant::now();
            let mut encoding = Encoding::new(geometry, &repair_ids).expect("valid ids");
            run_parts(encoding.parts(&input.block, &mut out, n).expect("it fits"));
            times[n - 1].push(start.elapsed().as_secs_f64());
            assert_eq!(encoding.into_parity().as_ref(), Some(&parity));

            let mut decoder = Decoder::with_buffer(geometry, std::mem::take(&mut buffer));
            let mut next = ids.iter().zip(symbols.chunks_exact(t));
            while let Step::NeedMore { coded } = decoder.step(1) {
                for (id, symbol) in next.by_ref().take(coded as usize) {
                    decoder.add_coded_owned(*id, symbol.to_vec()).expect("valid ids");
                }
            }
            let start = Instant::now();
            run_parts(decoder.parts(n).expect("there is enough"));
            times[n + 1].push(start.elapsed().as_secs_f64());
            assert_eq!(decoder.step(1), Step::Done);
            buffer = decoder.into_block().expect("done");
            assert!(buffer == input.block, "wrong bytes with {n} threads");
        }
    }
    let [one_enc, two_enc, one_all, two_all] = times.map(|mut times| {
        times.sort_by(f64::total_cmp);
        times[times.len() / 2]
    });
    println!(
        "two threads over one, K={k} T={t}: encode x{:.2}, all coded x{:.2} (wall clock)",
        one_enc / two_enc,
        one_all / two_all
    );
    figures.set("threads2_enc", Some(one_enc / two_enc));
    figures.set("threads2_all", Some(one_all / two_all));
}

fn run_parts(parts: Vec<Part<'_>>) {
    std::thread::scope(|scope| {
        let mut parts = parts.into_iter();
        let own = parts.next();
        parts.for_each(|part| drop(scope.spawn(|| part.run())));
        if let Some(part) = own {
            part.run();
        }
    });
}

/// Ratios and exponents, where the sizes they need were measured.
fn summarise(figures: &mut Figures, speeds: &Speeds, passes: &BTreeMap<(usize, usize), f64>) {
    let ratio = |other: &'static str, work: usize, t: usize, ks: &[usize]| -> Option<f64> {
        let logs = ks.iter().map(|&k| {
            Some((speeds.get(&("peeredge", work, t, k))? / speeds.get(&(other, work, t, k))?).ln())
        });
        let logs: Option<Vec<f64>> = logs.collect();
        logs.map(|l| (l.iter().sum::<f64>() / l.len() as f64).exp())
    };
    let middle = [1024, 4096];
    figures.set("enc_over_raptorq", ratio("raptorq", 0, 16_384, &middle));
    figures.set("dec20_over_raptorq", ratio("raptorq", 1, 16_384, &middle));
    figures.set("all_over_raptorq", ratio("raptorq", 2, 16_384, &middle));
    figures.set("enc_over_rssimd", ratio("rs-simd", 0, 16_384, &middle));
    figures.set("dec20_over_rssimd", ratio("rs-simd", 1, 16_384, &middle));
    figures.set("all_1k_over_raptorq", ratio("raptorq", 2, 1024, &[1024]));
    for (work, key) in ["passes_enc", "passes_dec20", "passes_all"].into_iter().enumerate() {
        let pass = passes.get(&(16_384, 4096));
        let own = speeds.get(&("peeredge", work, 16_384, 4096));
        figures.set(key, pass.zip(own).map(|(p, s)| p / s));
    }
    for (work, key) in [(0, "time_exponent_enc"), (1, "time_exponent_dec")] {
        let points: Vec<(f64, f64)> = speeds
            .iter()
            .filter(|((name, w, t, k), _)| *name == "peeredge" && *w == work && *t == 16_384 && *k >= 256)
            .map(|((.., k), s)| ((*k as f64).ln(), (*k as f64 / s).ln()))
            .collect();
        figures.set(key, peeredge_bench_code::count::slope(&points));
    }
}

/// MB/s of source bytes, median over the rounds, per codec and work; and of XORing all symbols into one.
fn measure(
    codecs: &mut [Box<dyn Codec>],
    input: &Input,
    works: &[usize],
    rounds: usize,
) -> (Vec<[Option<f64>; 3]>, f64) {
    let bytes = input.block.len();
    let mut times = vec![[const { Vec::new() }; 3]; codecs.len()];
    let mut pass_times = Vec::new();
    let mut sum = vec![0u8; input.t];
    // A small block's run is shorter than the clock's and the caches' disturbances: several in a row.
    let repeats = ((8 << 20) / bytes).clamp(1, 64);
    for _ in 0..rounds {
        for _ in 0..repeats {
            let start = cpu_seconds();
            for symbol in input.block.chunks_exact(input.t) {
                sum.iter_mut().zip(symbol).for_each(|(a, b)| *a ^= b);
            }
            pass_times.push(cpu_seconds() - start);
            std::hint::black_box(&sum);
        }
        for (codec, times) in codecs.iter_mut().zip(&mut times) {
            for ((number, &work), times) in WORKS.iter().enumerate().zip(times) {
                if !codec.can(work) || !works.contains(&number) {
                    continue;
                }
                for _ in 0..repeats {
                    codec.prepare(work);
                    let start = cpu_seconds();
                    codec.run(work);
                    times.push(cpu_seconds() - start);
                    assert!(codec.check(work), "{} gave wrong bytes in {work:?}", codec.name());
                }
            }
        }
    }
    let median = |times: &mut Vec<f64>| {
        times.sort_by(f64::total_cmp);
        times.get(times.len() / 2).map(|t| bytes as f64 / 1e6 / t)
    };
    let pass = median(&mut pass_times).expect("at least one round");
    (times.iter_mut().map(|row| [0, 1, 2].map(|i| median(&mut row[i]))).collect(), pass)
}
