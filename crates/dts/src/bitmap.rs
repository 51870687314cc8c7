/// A set of small numbers below a fixed length: blocks of a content, or symbols of a block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bitmap {
    len: u32,
    count: u32,
    words: Vec<u64>,
}

impl Bitmap {
    /// The empty set of numbers below `len`.
    pub fn new(len: u32) -> Self {
        Bitmap { len, count: 0, words: vec![0; (len as usize).div_ceil(64)] }
    }

    /// The set of all numbers below `len`.
    pub fn full(len: u32) -> Self {
        let mut all = Bitmap::new(len);
        for index in 0..len {
            all.insert(index);
        }
        all
    }

    /// How many numbers the set can hold.
    pub fn len(&self) -> u32 {
        self.len
    }

    /// How many numbers it holds.
    pub fn count(&self) -> u32 {
        self.count
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Whether it holds all.
    pub fn is_full(&self) -> bool {
        self.count == self.len
    }

    /// Whether `index` is in the set; numbers at or past the length are not.
    pub fn contains(&self, index: u32) -> bool {
        index < self.len && self.words[index as usize / 64] >> (index % 64) & 1 == 1
    }

    /// Adds `index`; false when it was there already or lies past the length.
    pub fn insert(&mut self, index: u32) -> bool {
        if index >= self.len || self.contains(index) {
            return false;
        }
        self.words[index as usize / 64] |= 1 << (index % 64);
        self.count += 1;
        true
    }

    /// Takes `index` out; false when it was not there.
    pub fn remove(&mut self, index: u32) -> bool {
        if !self.contains(index) {
            return false;
        }
        self.words[index as usize / 64] &= !(1 << (index % 64));
        self.count -= 1;
        true
    }

    /// Takes out all that another set of this length holds.
    pub fn remove_all(&mut self, other: &Bitmap) {
        self.keep(other, u64::MAX);
    }

    /// Takes out all that another set of this length does not hold.
    pub fn retain_all(&mut self, other: &Bitmap) {
        self.keep(other, 0);
    }

    fn keep(&mut self, other: &Bitmap, flip: u64) {
        self.count = 0;
        for (word, other) in self.words.iter_mut().zip(&other.words) {
            *word &= other ^ flip;
            self.count += word.count_ones();
        }
    }

    /// The numbers in the set, rising.
    pub fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        (0..self.len).filter(|&i| self.contains(i))
    }

    /// Runs of neighbours in the set as (first, count), rising, none longer than `max`.
    pub fn runs(&self, max: u32) -> Vec<(u32, u32)> {
        let mut runs: Vec<(u32, u32)> = Vec::new();
        for index in self.iter() {
            match runs.last_mut() {
                Some((first, count)) if *first + *count == index && *count < max => *count += 1,
                _ => runs.push((index, 1)),
            }
        }
        runs
    }

    /// One bit a number, least significant first; unused bits are zero.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes: Vec<u8> = self.words.iter().flat_map(|w| w.to_le_bytes()).collect();
        bytes.truncate((self.len as usize).div_ceil(8));
        bytes
    }

    /// Reads what [`Bitmap::to_bytes`] wrote; bits past `len` and missing bytes count as zero.
    pub fn from_bytes(len: u32, bytes: &[u8]) -> Self {
        let mut set = Bitmap::new(len);
        for (at, &byte) in bytes.iter().enumerate().take((len as usize).div_ceil(8)) {
            set.words[at / 8] |= u64::from(byte) << (at % 8 * 8);
        }
        if !len.is_multiple_of(64)
            && let Some(last) = set.words.last_mut()
        {
            *last &= (1 << (len % 64)) - 1;
        }
        set.count = set.words.iter().map(|w| w.count_ones()).sum();
        set
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn behaves_like_a_set(len in 1u32..300, picks in prop::collection::vec((0u32..320, any::<bool>()), 0..400)) {
            let (mut bits, mut set) = (Bitmap::new(len), std::collections::BTreeSet::new());
            for (i, add) in picks {
                if add {
                    prop_assert_eq!(bits.insert(i), i < len && set.insert(i));
                } else {
                    prop_assert_eq!(bits.remove(i), set.remove(&i));
                }
            }
            prop_assert_eq!(bits.count() as usize, set.len());
            prop_assert!(bits.iter().eq(set.iter().copied()));
            prop_assert_eq!(&Bitmap::from_bytes(len, &bits.to_bytes()), &bits);
            let from_runs: Vec<u32> = bits.runs(7).into_iter().flat_map(|(f, c)| f..f + c).collect();
            prop_assert!(from_runs.into_iter().eq(set.into_iter()));
        }

        #[test]
        fn any_bytes_make_a_set(len in 0u32..200, bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            let bits = Bitmap::from_bytes(len, &bytes);
            prop_assert_eq!(bits.iter().count() as u32, bits.count());
        }
    }
}
