use crate::{DecodeError, Reader, Writer};

/// Which symbols of a block a want asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Pick {
    /// `count` source symbols from index `first` on.
    Sources {
        /// Index of the first one.
        first: u32,
        /// How many; at least 1.
        count: u32,
    },
    /// One coded symbol, which only a holder of the whole block can make.
    Coded {
        /// Density class of the code.
        density: u8,
        /// The receiver chose it, so the sender cannot choose what it covers.
        seed: u64,
    },
}

impl Pick {
    /// How many symbols this asks for.
    pub const fn symbols(&self) -> u32 {
        match self {
            Pick::Sources { count, .. } => *count,
            Pick::Coded { .. } => 1,
        }
    }

    pub(super) fn encode(&self, w: Writer) -> Writer {
        match *self {
            Pick::Sources { first, count } => w.u8(0).u32(first).u32(count),
            Pick::Coded { density, seed } => w.u8(1).u8(density).u64(seed),
        }
    }

    pub(super) fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        match r.u8()? {
            0 => {
                let (first, count) = (r.u32()?, r.u32()?);
                if count == 0 || first.checked_add(count).is_none() {
                    return Err(DecodeError::Value { field: "count" });
                }
                Ok(Pick::Sources { first, count })
            }
            1 => Ok(Pick::Coded { density: r.u8()?, seed: r.u64()? }),
            _ => Err(DecodeError::Value { field: "pick" }),
        }
    }
}
