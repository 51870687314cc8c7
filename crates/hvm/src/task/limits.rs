/// What one run of a task may use. Where a limit is met, the run ends with a typed [`End`](crate::End), on every host at the
/// same point.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Limits {
    /// Gas that may be used, over all steps. Default: 100 billion, about a minute of one core.
    pub gas: u64,
    /// Pages of 64 KiB that the memory may grow to; part of the rewrite. Default: 1,024 (64 MiB); at most 65,536 (4 GiB).
    pub memory_pages: u32,
    /// Bytes that the output may have. Default: 16 MiB.
    pub output_bytes: u32,
}

impl Limits {
    /// Most gas that a run can be given; it is counted in a signed 64-bit number, of which this leaves half.
    pub const GAS_MAX: u64 = 1 << 62;
    /// Pages of the largest memory that WebAssembly has without `memory64`.
    pub const MEMORY_PAGES_MAX: u32 = 65_536;

    /// These limits, none above what can be counted.
    pub fn clamped(self) -> Self {
        Limits {
            gas: self.gas.min(Self::GAS_MAX),
            memory_pages: self.memory_pages.min(Self::MEMORY_PAGES_MAX),
            ..self
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Limits { gas: 100_000_000_000, memory_pages: 1_024, output_bytes: 16 << 20 }
    }
}
