//! Pieces of work for several threads.

use crate::encoding;
use crate::held;
use crate::solve::Budget;
use alloc::vec::Vec;

/// Some columns of the sums of one block: of making symbols ([`crate::Encoding::parts`]) or of decoding
/// ([`crate::Decoder::parts`]). The parts of one call touch different bytes, so that each can run on a thread of its own;
/// this crate starts none. A part that is dropped instead has done nothing, and its columns are still to be made.
///
/// Memory: each part that runs has a tile of its own, at most 4 MiB (more for blocks from 64 MiB: a sixteenth, at most 32 MiB).
#[derive(Debug)]
pub struct Part<'p>(Kind<'p>);

#[derive(Debug)]
enum Kind<'p> {
    Encoding(encoding::Pass<'p>),
    Decoding(held::Pass<'p>),
}

impl<'p> Part<'p> {
    pub(crate) fn of_encoding(pass: encoding::Pass<'p>) -> Self {
        Self(Kind::Encoding(pass))
    }

    pub(crate) fn of_decoding(pass: held::Pass<'p>) -> Self {
        Self(Kind::Decoding(pass))
    }

    /// Makes all its columns.
    pub fn run(self) {
        let (room, budget) = (&mut Vec::new(), &mut Budget::new(usize::MAX));
        match self.0 {
            Kind::Encoding(pass) => pass.run(room, budget),
            Kind::Decoding(pass) => pass.run(&mut held::Room::Own(room), budget),
        }
    }
}
