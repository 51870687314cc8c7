use core::fmt;
use core::str::FromStr;

/// RFC 4648 base32 in lower case, without padding: 32 bytes become 52 characters that survive any URL or file system.
const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
const TEXT_LEN: usize = 52;

fn to_text(bytes: &[u8; 32], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let (mut buffer, mut bits) = (0u32, 0u32);
    for &byte in bytes {
        buffer = (buffer << 8) | u32::from(byte);
        bits += 8;
        while bits >= 5 {
            bits -= 5;
            fmt::Write::write_char(f, ALPHABET[(buffer >> bits) as usize & 31] as char)?;
        }
    }
    fmt::Write::write_char(f, ALPHABET[(buffer << (5 - bits)) as usize & 31] as char)
}

fn from_text(text: &str) -> Result<[u8; 32], IdError> {
    if text.len() != TEXT_LEN {
        return Err(IdError::Length { expected: TEXT_LEN, found: text.len() });
    }
    let (mut bytes, mut at, mut buffer, mut bits) = ([0u8; 32], 0, 0u32, 0u32);
    for (position, c) in text.bytes().enumerate() {
        let value = ALPHABET.iter().position(|&a| a == c).ok_or(IdError::Character { position })?;
        buffer = (buffer << 5) | value as u32;
        bits += 5;
        if bits >= 8 {
            bits -= 8;
            bytes[at] = (buffer >> bits) as u8;
            at += 1;
        }
    }
    // 52 characters carry 260 bits; the last four must be zero, or one id would have sixteen spellings.
    if buffer & ((1 << bits) - 1) != 0 {
        return Err(IdError::Character { position: TEXT_LEN - 1 });
    }
    Ok(bytes)
}

/// Why a text is no id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IdError {
    /// The text has the wrong number of characters.
    Length {
        /// Characters that an id has.
        expected: usize,
        /// Bytes in the text.
        found: usize,
    },
    /// A character is outside the alphabet `a-z2-7`, or the last one is not canonical.
    Character {
        /// Byte position of the character.
        position: usize,
    },
}

impl fmt::Display for IdError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            IdError::Length { expected, found } => {
                write!(f, "an id has {expected} characters, this has {found}")
            }
            IdError::Character { position } => write!(f, "character {position} is not one of a-z and 2-7"),
        }
    }
}

impl core::error::Error for IdError {}

macro_rules! id32 {
    ($name:ident, $doc:literal) => {
        #[doc = $doc]
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub [u8; 32]);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                to_text(&self.0, f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let text = self.to_string();
                write!(f, "{}({}…)", stringify!($name), &text[..8])
            }
        }

        impl FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                from_text(text).map($name)
            }
        }
    };
}

id32!(PeerId, "A peer: its Ed25519 public key.");
id32!(ContentId, "A content: the BLAKE3 hash of its canonical manifest.");

/// One connection of this node; chosen by the node, unique for its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(pub u32);

/// One request of the page; chosen by the page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u32);

/// Ties a store or HTTP answer to the output that asked for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Token(pub u32);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn text_round_trips(bytes: [u8; 32]) {
            let id = ContentId(bytes);
            prop_assert_eq!(id.to_string().parse::<ContentId>(), Ok(id));
        }

        #[test]
        fn any_text_is_refused_or_canonical(text in "[a-z2-7]{52}") {
            if let Ok(id) = text.parse::<PeerId>() {
                prop_assert_eq!(id.to_string(), text);
            }
        }
    }

    #[test]
    fn wrong_texts_name_the_place() {
        assert_eq!("abc".parse::<PeerId>(), Err(IdError::Length { expected: 52, found: 3 }));
        assert_eq!("A".repeat(52).parse::<PeerId>(), Err(IdError::Character { position: 0 }));
        assert_eq!(("a".repeat(51) + "b").parse::<PeerId>(), Err(IdError::Character { position: 51 }));
    }
}
