//! What an operator's bytes say of its value.

/// An operator's bytes as a number; of those with 16 bytes of their own the code is left out, which what they take tells apart.
pub(super) fn key(bytes: &[u8]) -> u128 {
    let from = bytes.len().saturating_sub(16);
    let number = bytes[from..].iter().fold(0, |number: u128, byte| number << 8 | u128::from(*byte));
    if from == 0 { number << 8 | bytes.len() as u128 } else { number }
}

/// The number behind a prefix.
fn number(bytes: &[u8]) -> (u64, &[u8]) {
    let (mut value, mut shift) = (0, 0);
    for (index, byte) in bytes.iter().enumerate() {
        value |= u64::from(byte & 0x7f) << shift;
        shift += 7;
        if byte & 0x80 == 0 || shift > 63 {
            return (value, &bytes[index + 1..]);
        }
    }
    (value, &[])
}

/// Whether an operator only computes: it gives the same wherever it stands.
pub(super) fn is_free(bytes: &[u8]) -> bool {
    match bytes {
        // Selection, constants of floats, arithmetic, references.
        [0x1b | 0x1c | 0x43..=0xc4 | 0xd0..=0xd2, ..] => true,
        [0xfc, rest @ ..] => number(rest).0 < 8,
        [0xfd, ..] => offset(bytes).is_none(),
        _ => false,
    }
}

/// The offset of an operator that reaches into memory.
pub(super) fn offset(bytes: &[u8]) -> Option<u64> {
    let rest = match bytes {
        [0x28..=0x3e, rest @ ..] => rest,
        [0xfd, rest @ ..] => match number(rest) {
            (0..=11 | 84..=93, rest) => rest,
            _ => return None,
        },
        _ => return None,
    };
    Some(number(number(rest).1).0)
}

pub(super) fn is_commutative(opcode: u8) -> bool {
    matches!(opcode, 0x46 | 0x47 | 0x51 | 0x52 | 0x5b | 0x5c | 0x61 | 0x62 | 0x6a | 0x6c | 0x71..=0x73)
        || matches!(opcode, 0x7c | 0x7e | 0x83..=0x85 | 0x92 | 0x94 | 0x96 | 0x97 | 0xa0 | 0xa2 | 0xa4 | 0xa5)
}

/// The comparison that says the same of operands the other way round.
pub(super) fn mirrored(opcode: u8) -> Option<u8> {
    match opcode {
        // gt and ge of integers.
        0x4a | 0x4b | 0x55 | 0x56 => Some(opcode - 2),
        0x4e | 0x4f | 0x59 | 0x5a => Some(opcode - 2),
        // Of floats.
        0x5e | 0x60 | 0x64 | 0x66 => Some(opcode - 1),
        _ => None,
    }
}
