//! Workloads as people run them: crates of the registry and plain loops. Each function takes how much work to do, and gives a number
//! that depends on all of it.

/// Bytes that look like something: Splitmix64 of the seed.
fn bytes(length: usize, mut state: u64) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bytes.extend_from_slice(&(z ^ (z >> 31)).to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

fn fold(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |sum, byte| sum.wrapping_mul(31).wrapping_add(u64::from(*byte)))
}

/// Text with words, numbers and addresses.
fn text(lines: usize) -> String {
    let noise = bytes(lines * 4, 3);
    let line = |n: usize| {
        let [a, b, c, d] = [noise[n * 4], noise[n * 4 + 1], noise[n * 4 + 2], noise[n * 4 + 3]];
        format!(
            "line {n}: user{a}.{b}@host{c}.example wrote {d} words on 20{:02}-{:02}-{:02}\n",
            a % 30,
            b % 12,
            c % 28
        )
    };
    (0..lines).map(line).collect()
}

macro_rules! workloads {
    ($($(#[$doc:meta])* $name:ident($n:ident) $body:block)*) => {
        $($(#[$doc])* #[unsafe(no_mangle)] pub extern "C" fn $name($n: u32) -> u64 $body)*
    };
}

workloads! {
    /// SHA-256 (sha2) of `n` KiB.
    sha256(n) {
        use sha2::Digest;
        fold(&sha2::Sha256::digest(bytes(n as usize * 1024, 1)))
    }

    /// BLAKE3 (blake3) of `n` KiB.
    blake3_hash(n) {
        fold(blake3::hash(&bytes(n as usize * 1024, 2)).as_bytes())
    }

    /// AES-128 (aes) of `n` KiB, block by block.
    aes128(n) {
        use aes::cipher::{BlockEncrypt, KeyInit};
        let cipher = aes::Aes128::new(&[7; 16].into());
        let mut data = bytes(n as usize * 1024, 4);
        for block in data.chunks_exact_mut(16) {
            cipher.encrypt_block(block.into());
        }
        fold(&data)
    }

    /// Deflate and inflate (miniz_oxide) of `n` lines of text.
    deflate(n) {
        let text = text(n as usize);
        let packed = miniz_oxide::deflate::compress_to_vec(text.as_bytes(), 6);
        let back = miniz_oxide::inflate::decompress_to_vec(&packed).unwrap_or_default();
        packed.len() as u64 + fold(&back)
    }

    /// JSON (serde_json): `n` records written, read and summed.
    json(n) {
        let records: Vec<serde_json::Value> = (0..n)
            .map(|n| serde_json::json!({ "id": n, "name": format!("name {n}"), "tags": ["a", "b", n % 7], "x": f64::from(n) / 3.0 }))
            .collect();
        let text = serde_json::to_string(&records).unwrap_or_default();
        let back: Vec<serde_json::Value> = serde_json::from_str(&text).unwrap_or_default();
        let sum = back.iter().filter_map(|record| record["x"].as_f64()).sum::<f64>();
        text.len() as u64 + sum as u64
    }

    /// Regular expressions (regex-lite) over `n` lines of text.
    regex(n) {
        let text = text(n as usize);
        let Ok(address) = regex_lite::Regex::new(r"([a-z]+\d+)\.\d+@[a-z]+(\d+)\.example wrote (\d+) words") else { return 0 };
        address.captures_iter(&text).map(|found| found[0].len() as u64 + found[1].len() as u64).sum()
    }

    /// The product of two matrices of `n` x `n` doubles.
    matmul(n) {
        let n = n as usize;
        let of = |seed| bytes(n * n, seed).into_iter().map(|byte| f64::from(byte) / 16.0).collect::<Vec<f64>>();
        let (a, b, mut c) = (of(5), of(6), vec![0.0; n * n]);
        for i in 0..n {
            for k in 0..n {
                let x = a[i * n + k];
                for j in 0..n {
                    c[i * n + j] += x * b[k * n + j];
                }
            }
        }
        c.iter().sum::<f64>() as u64
    }

    /// Five bodies for `n` steps, as in the benchmarks game.
    nbody(n) {
        let mut bodies: Vec<([f64; 3], [f64; 3], f64)> = (0..5)
            .map(|i| {
                let i = f64::from(i);
                ([i * 3.1, 1.0 - i * 1.7, i * 0.3], [0.1 * i, 0.6 - 0.2 * i, 0.01 * i], 1.0 / (1.0 + 9.0 * i))
            })
            .collect();
        for _ in 0..n {
            for i in 0..5 {
                for j in i + 1..5 {
                    let (a, b) = (bodies[i], bodies[j]);
                    let d = [a.0[0] - b.0[0], a.0[1] - b.0[1], a.0[2] - b.0[2]];
                    let square = d[0] * d[0] + d[1] * d[1] + d[2] * d[2];
                    let force = 0.001 / (square * square.sqrt());
                    for (axis, d) in d.into_iter().enumerate() {
                        bodies[i].1[axis] -= d * b.2 * force;
                        bodies[j].1[axis] += d * a.2 * force;
                    }
                }
            }
            for body in &mut bodies {
                for axis in 0..3 {
                    body.0[axis] += 0.001 * body.1[axis];
                }
            }
        }
        bodies.iter().map(|body| body.0[0].abs() * 1e6).sum::<f64>() as u64
    }

    /// The Mandelbrot set, `n` x `n` points, at most 100 passes each.
    mandelbrot(n) {
        let mut sum = 0;
        for row in 0..n {
            for column in 0..n {
                let (x, y) = (f64::from(column) * 3.0 / f64::from(n) - 2.0, f64::from(row) * 2.0 / f64::from(n) - 1.0);
                let (mut a, mut b, mut pass) = (0.0, 0.0, 0);
                while pass < 100 && a * a + b * b <= 4.0 {
                    (a, b) = (a * a - b * b + x, 2.0 * a * b + y);
                    pass += 1;
                }
                sum += pass;
            }
        }
        sum
    }

    /// Sorting of `n` thousand numbers, unstably and stably.
    sort(n) {
        let noise = bytes(n as usize * 8_000, 8);
        let numbers = || noise.chunks_exact(8).map(|word| u64::from_le_bytes(word.try_into().unwrap_or_default()));
        let mut numbers: Vec<u64> = numbers().collect();
        numbers.sort_unstable();
        let middle = numbers[numbers.len() / 2];
        numbers.sort_by_key(|number| number.rotate_left(32));
        middle ^ numbers[numbers.len() / 3]
    }

    /// Fibonacci's numbers, the slow way: nothing but calls.
    fib(n) {
        fn fib(n: u32) -> u64 {
            if n < 2 { u64::from(n) } else { fib(n - 1) + fib(n - 2) }
        }
        fib(core::hint::black_box(n))
    }

    /// Takeuchi's function.
    tak(n) {
        fn tak(x: i32, y: i32, z: i32) -> i32 {
            if y >= x { z } else { tak(tak(x - 1, y, z), tak(y - 1, z, x), tak(z - 1, x, y)) }
        }
        let n = core::hint::black_box(n as i32);
        tak(n, n * 2 / 3, n / 3) as u64
    }

    /// Ways to place `n` queens.
    queens(n) {
        fn place(all: u32, columns: u32, left: u32, right: u32) -> u64 {
            if columns == all {
                return 1;
            }
            let mut free = all & !(columns | left | right);
            let mut ways = 0;
            while free != 0 {
                let bit = free & free.wrapping_neg();
                free ^= bit;
                ways += place(all, columns | bit, (left | bit) << 1, (right | bit) >> 1);
            }
            ways
        }
        place((1 << n) - 1, 0, 0, 0)
    }
}
