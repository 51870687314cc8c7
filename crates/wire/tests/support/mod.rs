//! Frames written down for people: hex digits with a comment per field.

/// Reads hex digits, blanks, `07*32` for 32 bytes of 0x07, and comments from `#` to the end of the line.
pub fn bytes(text: &str) -> Vec<u8> {
    let words = text.lines().flat_map(|line| line.split('#').next().unwrap_or_default().split_whitespace());
    words
        .flat_map(|word| {
            let (hex, times) = match word.split_once('*') {
                Some((hex, times)) => (hex, times.parse().expect("a number behind *")),
                None => (word, 1),
            };
            assert!(hex.len() % 2 == 0, "{hex} has half a byte");
            let byte = |at| u8::from_str_radix(&hex[at..at + 2], 16).expect("hex digits");
            (0..hex.len()).step_by(2).map(byte).collect::<Vec<u8>>().repeat(times)
        })
        .collect()
}

/// Bytes as hex digits, for a message that a person can compare.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}
