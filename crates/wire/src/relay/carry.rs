//! What the two vocabularies share about messages that pass through the relay.

use crate::DecodeError;
use core::fmt;

/// Why messages no longer pass through the relay. The numbers are part of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum CarryEnd {
    /// The other peer ended it, or is not connected here.
    Gone = 1,
    /// The relay carries nothing, has as many sessions of one of the two or its network as it takes, or did not introduce them.
    Refused = 2,
    /// The sender has used up what the relay carries for it, or sent faster than it may.
    Capped = 3,
    /// Nobody took it in time, or nothing passed for so long that another pair got its place.
    Idle = 4,
}

impl CarryEnd {
    pub(super) fn from_number(number: u8) -> Result<Self, DecodeError> {
        [CarryEnd::Gone, CarryEnd::Refused, CarryEnd::Capped, CarryEnd::Idle]
            .into_iter()
            .find(|end| *end as u8 == number)
            .ok_or(DecodeError::Value { field: "end" })
    }
}

impl fmt::Display for CarryEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            CarryEnd::Gone => "gone",
            CarryEnd::Refused => "refused",
            CarryEnd::Capped => "capped",
            CarryEnd::Idle => "idle",
        })
    }
}

/// Reads the flag that says whether a piece is its message's last.
pub(super) fn last(number: u8) -> Result<bool, DecodeError> {
    match number {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(DecodeError::Value { field: "last" }),
    }
}
