//! A small seeded fuzzer for decoders: frames that are valid but for a few changes, and bytes that are noise. A case that panics says
//! its seed and number, and is the same each time.

/// Numbers near which decoders go wrong.
const EDGES: [u64; 13] = [
    0,
    1,
    2,
    0x7f,
    0x80,
    0xff,
    0x7fff,
    0xffff,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_ffff,
    0x7fff_ffff_ffff_ffff,
    u64::MAX,
];

/// A stream of numbers that depends on its seed only.
#[derive(Clone, Debug)]
pub struct Dice(u64);

impl Dice {
    /// The stream of this seed.
    pub fn new(seed: u64) -> Dice {
        Dice(seed)
    }

    /// The next number (SplitMix64, Steele, Lea, Flood 2014).
    #[allow(clippy::should_implement_trait, reason = "numbers without end are no iterator's items")]
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `bound`, which is at least 1.
    pub fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound.max(1) as u64) as usize
    }

    /// True once in `n` times.
    pub fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    /// One of these.
    pub fn of<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        &all[self.below(all.len())]
    }

    /// Noise of at most `max` bytes, short more often than long.
    pub fn noise(&mut self, max: usize) -> Vec<u8> {
        let most = 1 << self.below(usize::BITS as usize - max.leading_zeros() as usize + 1);
        let len = self.below(most.min(max) + 1);
        (0..len).map(|_| self.next() as u8).collect()
    }

    /// Changes a few bytes: bits, numbers near an edge, a part that is cut off, repeated, moved, or taken from `other`.
    pub fn mutate(&mut self, bytes: &mut Vec<u8>, other: &[u8]) {
        for _ in 0..1 + self.below(3) {
            let at = self.below(bytes.len().max(1));
            let span = at..at + self.below(bytes.len().saturating_sub(at).min(64) + 1);
            match self.below(9) {
                0 if !bytes.is_empty() => bytes[at] ^= 1 << self.below(8),
                1 if !bytes.is_empty() => bytes[at] = self.next() as u8,
                2 | 3 => {
                    let width = 1 << self.below(4);
                    let edge = self.of(&EDGES).wrapping_add(self.below(3) as u64).wrapping_sub(1);
                    for (byte, new) in bytes.iter_mut().skip(at).take(width).zip(edge.to_le_bytes()) {
                        *byte = new;
                    }
                }
                4 => bytes.truncate(at),
                5 => {
                    let noise = self.noise(16);
                    bytes.extend(noise);
                }
                6 => {
                    let again = bytes[span].to_vec();
                    bytes.splice(at..at, again);
                }
                7 => _ = bytes.drain(span),
                _ => {
                    let from = self.below(other.len() + 1);
                    let taken = other[from..].iter().copied().take(span.len().max(1));
                    let end = bytes.len().min(span.end);
                    bytes.splice(at.min(end)..end, taken.collect::<Vec<_>>());
                }
            }
        }
    }
}

/// Gives `judge` so many inputs made of the `valid` ones; one in eight is noise, and the valid ones come first as they are.
pub fn fuzz(seed: u64, cases: u32, valid: &[Vec<u8>], mut judge: impl FnMut(&[u8])) {
    assert!(!valid.is_empty(), "there is something to change");
    for number in 0..cases {
        let mut dice = Dice::new(seed.wrapping_mul(0x1_0000_0001).wrapping_add(u64::from(number)));
        let input = match valid.get(number as usize) {
            Some(valid) => valid.clone(),
            None if dice.one_in(8) => dice.noise(400),
            None => {
                let mut input = dice.of(valid).clone();
                let other = dice.of(valid);
                dice.mutate(&mut input, other);
                input
            }
        };
        let named = Named { seed, number, input: &input };
        judge(&input);
        core::mem::forget(named);
    }
}

/// Says which case it was when it is dropped by a panic.
struct Named<'a> {
    seed: u64,
    number: u32,
    input: &'a [u8],
}

impl Drop for Named<'_> {
    fn drop(&mut self) {
        eprintln!("fuzz: seed {}, case {}: {:02x?}", self.seed, self.number, self.input);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_the_same_cases_each_time_and_most_differ_from_what_is_valid() {
        let valid = [vec![1, 2, 3, 4, 5, 6, 7, 8], vec![9; 40]];
        let run = |seed| {
            let mut inputs = Vec::new();
            fuzz(seed, 2000, &valid, |input| inputs.push(input.to_vec()));
            inputs
        };
        let inputs = run(1);
        assert_eq!((&inputs, &inputs[..2]), (&run(1), &valid[..]));
        assert_ne!(inputs, run(2));
        let changed = inputs.iter().filter(|input| !valid.contains(input)).count();
        assert!(changed > 1500, "{changed}");
        assert!(inputs.iter().any(Vec::is_empty) && inputs.iter().any(|input| input.len() > 60));
    }
}
