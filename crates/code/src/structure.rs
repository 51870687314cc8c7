//! The code itself, as both engines and both ends see it: which symbols a parity or a coded symbol sums.
//!
//! Everything here is a pure function of K and of a coded symbol's id, and is part of the wire format: the
//! vectors in `tests/vectors.rs` freeze it. `docs/erasure-code.md` says why each piece is as it is.

use crate::gf256;

/// Blocks of at most this many source symbols use Cauchy Reed-Solomon alone.
pub const SMALL_SOURCE_SYMBOLS_MAX: u32 = 64;

/// Density classes of coded symbols: 0 is dense over the parities, 1 to 13 are sparse over the source with
/// degrees that grow by the square root of 2 from class to class.
pub const DENSITY_CLASSES: u8 = 14;

/// Heavy parities (rows over GF(256)) of a block that is not small.
pub const HEAVY: usize = 12;

/// Least number of staircase parities: with fewer, chance alone hides some sums of source symbols from them.
const STAIRCASE_MIN: u32 = 31;

/// Cumulative degree distribution out of 2^20: RFC 6330, section 5.3.5.2. Entry `d` counts degrees up to `d`, except
/// that the last degree is [`degree_max`].
const DEGREES: [u32; 31] = [
    0, 5243, 529531, 704294, 791675, 844104, 879057, 904023, 922747, 937311, 948962, 958494, 966438, 973160,
    978921, 983914, 988283, 992138, 995565, 998631, 1001391, 1003887, 1006157, 1008229, 1010129, 1011876,
    1013490, 1014983, 1016370, 1017662, 1048576,
];

/// The greatest degree before scaling. It grows with K so that the source symbols which no coded symbol sums, of which
/// there are K e^-mean, stay below 45 % of the staircase rows that must give them.
const fn degree_max(source: u32) -> u32 {
    match source {
        0..=8192 => 30,
        8193..=24_576 => 40,
        _ => 55,
    }
}

/// 2^((class - 1) / 2) in units of 1/256, for the classes 1 to 13.
const SCALES: [u32; 14] = [0, 256, 362, 512, 724, 1024, 1448, 2048, 2896, 4096, 5793, 8192, 11585, 16384];

/// What a class multiplies degrees by, in units of 1/256.
pub const fn scale(class: u8) -> u32 {
    SCALES[class as usize]
}

/// Names one coded symbol of a block: the same id gives the same symbol at every holder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CodedId {
    /// Density class, 0 to [`DENSITY_CLASSES`]` - 1`.
    pub density: u8,
    /// Seed of the pseudo-random choice; any value.
    pub seed: u64,
}

impl CodedId {
    /// Whether the density class exists. Every seed is valid.
    pub const fn is_valid(&self) -> bool {
        self.density < DENSITY_CLASSES
    }
}

/// The finaliser of splitmix64 (Steele, Lea, Flood 2014): a bijection whose output bits all depend on all
/// input bits.
#[inline]
pub const fn mix(x: u64) -> u64 {
    let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// A number below `bound` from 32 random bits.
#[inline]
const fn below(bits: u32, bound: u32) -> u32 {
    ((bits as u64 * bound as u64) >> 32) as u32
}

const fn is_prime(n: u32) -> bool {
    let mut d = 2;
    while d * d <= n {
        if n.is_multiple_of(d) {
            return false;
        }
        d += 1;
    }
    n >= 2
}

const fn prime_from(n: u32) -> u32 {
    let mut p = n;
    while !is_prime(p) {
        p += 1;
    }
    p
}

const fn isqrt_ceil(n: u32) -> u32 {
    let mut r = 0;
    while r * r < n {
        r += 1;
    }
    r
}

/// The fixed numbers of a block's code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Structure {
    /// K, source symbols.
    pub source: u32,
    /// S, staircase parities; 0 when the block is small. Prime.
    pub staircase: u32,
    /// H, heavy parities; 0 when the block is small.
    pub heavy: u32,
    /// The least prime that is at least K: neighbours are an arithmetic progression modulo it.
    pub modulus: u32,
}

/// What one coded symbol sums beside its source symbols.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tail {
    /// Two different staircase parities.
    pub staircase: [u32; 2],
    /// One heavy parity.
    pub heavy: u32,
}

/// A sparse coded symbol spelled out: an arithmetic progression of source symbols, and a tail of parities.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Draw {
    /// Source symbols summed.
    pub degree: u32,
    step: u32,
    start: u32,
    /// Parities summed.
    pub tail: Tail,
}

impl Structure {
    /// The numbers for K = `source`, 1 to 65,536.
    pub const fn new(source: u32) -> Self {
        if source <= SMALL_SOURCE_SYMBOLS_MAX {
            return Self { source, staircase: 0, heavy: 0, modulus: 0 };
        }
        let staircase = source / 128 + isqrt_ceil(2 * source) + 1;
        let staircase = prime_from(if staircase < STAIRCASE_MIN { STAIRCASE_MIN } else { staircase });
        Self { source, staircase, heavy: HEAVY as u32, modulus: prime_from(source) }
    }

    /// Whether Cauchy Reed-Solomon over the source symbols is all there is.
    pub const fn is_small(&self) -> bool {
        self.staircase == 0
    }

    /// Parity symbols that an encoder keeps: S + H.
    pub const fn parities(&self) -> u32 {
        self.staircase + self.heavy
    }

    /// The three staircase rows that source symbol `index` is added to: a circulant, so that within S
    /// consecutive symbols no two share their rows (RFC 6330, section 5.3.3.3, uses the same).
    #[inline]
    pub fn hits(&self, index: u32) -> [u32; 3] {
        let step = 1 + index / self.staircase;
        let first = index % self.staircase;
        let second = self.wrap(first + step);
        [first, second, self.wrap(second + step)]
    }

    /// Calls `each` with the source symbols of staircase row `row`: the inverse of [`Structure::hits`].
    #[inline]
    pub fn stair(&self, row: u32, mut each: impl FnMut(u32)) {
        let s = self.staircase;
        let mut first = 0;
        let mut step = 1;
        while first < self.source {
            for back in [0, step, 2 * step] {
                let source = first + if row >= back { row - back } else { row + s - back };
                if source < self.source {
                    each(source);
                }
            }
            first += s;
            step += 1;
        }
    }

    #[inline]
    fn wrap(&self, row: u32) -> u32 {
        if row >= self.staircase { row - self.staircase } else { row }
    }

    /// Coefficient of staircase parity `column` in heavy parity `row`. All are different from zero.
    pub fn heavy_coefficient(&self, row: u32, column: u32) -> u8 {
        // A Cauchy matrix has room for 256 - H columns; past them the columns repeat scaled, since only the
        // sums of columns, which differ from pattern to pattern, meet each other in a decoder.
        let period = 256 - HEAVY as u32;
        let cauchy = gf256::inv((row ^ (HEAVY as u32 + column % period)) as u8);
        let scale =
            1 + (mix(GOLDEN.wrapping_mul(1 + (column / period) as u64 * 16 + row as u64)) % 255) as u8;
        if column < period { cauchy } else { gf256::mul(cauchy, scale) }
    }

    /// Coefficient of `column` in the dense coded symbol `seed`: the column is a source symbol of a small block,
    /// a staircase parity otherwise.
    pub fn dense_coefficient(&self, seed: u64, column: u32) -> u8 {
        if self.is_small() {
            let rows = 256 - self.source;
            let row = self.source + (seed % rows as u64) as u32;
            return gf256::inv((row ^ column) as u8);
        }
        let word = mix(mix(seed ^ GOLDEN) ^ (column as u64 / 8).wrapping_mul(GOLDEN));
        (word >> (column % 8 * 8)) as u8
    }

    /// Whether `id` is summed with coefficients of GF(256) rather than by XOR.
    pub const fn is_dense(&self, id: CodedId) -> bool {
        self.is_small() || id.density == 0
    }

    /// What the sparse coded symbol `id` sums. Blocks that are not small, density classes from 1.
    #[inline]
    pub fn draw(&self, id: CodedId) -> Draw {
        let k = self.source;
        let z = mix(id.seed ^ ((k as u64) << 32 | (id.density as u64) << 56).wrapping_mul(GOLDEN));
        let y = mix(z.wrapping_add(GOLDEN));
        let x = mix(y.wrapping_add(GOLDEN));

        let draw = z as u32 >> 12;
        let mut base = 1;
        while DEGREES[base as usize] <= draw {
            base += 1;
        }
        if base == 30 {
            base = degree_max(k);
        }
        // The scaled degree is rounded at random so that its mean is exact.
        let scaled = base * SCALES[(id.density as usize).min(SCALES.len() - 1)] + (z as u32 & 0xff);

        let s = self.staircase;
        let first = below((y >> 32) as u32, s);
        let second = self.wrap(first + 1 + below(x as u32, s - 1));
        Draw {
            degree: (scaled >> 8).min(k / 2),
            step: 1 + below((z >> 32) as u32, self.modulus - 1),
            start: below(y as u32, self.modulus),
            tail: Tail { staircase: [first, second], heavy: below((x >> 32) as u32, self.heavy) },
        }
    }

    /// Calls `each` with every source symbol of a draw, each once.
    #[inline]
    pub fn neighbours(&self, draw: &Draw, mut each: impl FnMut(u32)) {
        let (k, p, step) = (self.source, self.modulus, draw.step);
        let mut at = draw.start;
        let mut left = draw.degree;
        while left > 0 {
            if at < k {
                each(at);
                left -= 1;
            }
            at += step;
            if at >= p {
                at -= p;
            }
        }
    }

    /// At most how many source symbols a staircase row sums.
    pub fn stair_most(&self) -> usize {
        3 * self.source.div_ceil(self.staircase) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hits_are_three_different_rows_at_every_size() {
        for k in (65..2000).chain((2000..=SIZE_MAX).step_by(997)).chain([16_384, SIZE_MAX]) {
            let s = Structure::new(k);
            let step_max = 1 + (k - 1) / s.staircase;
            assert!(step_max <= (s.staircase - 1) / 2, "two symbols must not share their rows at K={k}");
            for i in 0..k {
                let [a, b, c] = s.hits(i);
                assert!(a != b && b != c && a != c);
                assert!(a < s.staircase && b < s.staircase && c < s.staircase);
            }
        }
    }

    #[test]
    fn stairs_invert_hits() {
        for k in [65u32, 256, 1000, 4096, 65_536] {
            let s = Structure::new(k);
            let mut rows = alloc::vec![alloc::vec::Vec::new(); s.staircase as usize];
            for i in 0..k {
                s.hits(i).into_iter().for_each(|row| rows[row as usize].push(i));
            }
            for (row, list) in rows.iter().enumerate() {
                let mut found = alloc::vec::Vec::new();
                s.stair(row as u32, |i| found.push(i));
                found.sort_unstable();
                assert_eq!(&found, list);
            }
        }
    }

    const SIZE_MAX: u32 = crate::geometry::SOURCE_SYMBOLS_MAX;

    #[test]
    fn neighbours_are_distinct_and_in_range() {
        for k in [65u32, 100, 1000, 65_536] {
            let s = Structure::new(k);
            for seed in 0..200u64 {
                for density in 1..DENSITY_CLASSES {
                    let mut seen = alloc::vec![false; k as usize];
                    let draw = s.draw(CodedId { density, seed });
                    s.neighbours(&draw, |i| assert!(!core::mem::replace(&mut seen[i as usize], true)));
                    let tail = draw.tail;
                    assert!(tail.staircase[0] != tail.staircase[1]);
                    assert!(tail.staircase.iter().all(|&r| r < s.staircase) && tail.heavy < s.heavy);
                }
            }
        }
    }

    #[test]
    fn heavy_coefficients_are_never_zero() {
        let s = Structure::new(65_536);
        for row in 0..s.heavy {
            assert!((0..s.staircase).all(|column| s.heavy_coefficient(row, column) != 0));
        }
    }
}
