//! Times the codecs in turn, one thread, medians of repeated runs, every result checked.

use peeredge_bench_code::codecs::{RaptorQ, RsErasure, RsSimd};
use peeredge_bench_code::ours::Ours;
use peeredge_bench_code::{Codec, Input, WORKS};

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
    for &t in &list("--t", "1024,16384") {
        for &k in &list("--k", "64,256,1024,4096") {
            let input = Input::new(k, t, 20_260_101);
            let mut codecs: Vec<Box<dyn Codec>> = vec![Box::new(Ours::new(input.clone()))];
            if !only_ours {
                codecs.push(Box::new(RaptorQ::new(input.clone())));
                codecs.push(Box::new(RsSimd::new(input.clone())));
                if let Some(codec) = RsErasure::new(input.clone()) {
                    codecs.push(Box::new(codec));
                }
            }
            let works = list("--works", "0,1,2");
            let times = measure(&mut codecs, &works, rounds, k * t);
            for (codec, row) in codecs.iter().zip(&times) {
                print!("K={k:6} T={t:6} {:10}", codec.name());
                for (work, speed) in WORKS.iter().zip(row) {
                    match speed {
                        Some(s) => print!("  {work:?} {s:8.0} MB/s"),
                        None => print!("  {work:?}        –     "),
                    }
                }
                println!();
            }
        }
    }
}

/// MB/s of source bytes, median over the rounds, per codec and work.
fn measure(
    codecs: &mut [Box<dyn Codec>],
    works: &[usize],
    rounds: usize,
    bytes: usize,
) -> Vec<[Option<f64>; 3]> {
    let mut times = vec![[const { Vec::new() }; 3]; codecs.len()];
    for _ in 0..rounds {
        for (codec, times) in codecs.iter_mut().zip(&mut times) {
            for ((number, &work), times) in WORKS.iter().enumerate().zip(times) {
                if !codec.can(work) || !works.contains(&number) {
                    continue;
                }
                codec.prepare(work);
                let start = cpu_seconds();
                codec.run(work);
                times.push(cpu_seconds() - start);
                assert!(codec.check(work), "{} gave wrong bytes in {work:?}", codec.name());
            }
        }
    }
    let median = |times: &mut Vec<f64>| {
        times.sort_by(f64::total_cmp);
        times.get(times.len() / 2).map(|t| bytes as f64 / 1e6 / t)
    };
    times.iter_mut().map(|row| [0, 1, 2].map(|i| median(&mut row[i]))).collect()
}
