use core::fmt;

/// Why a frame could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DecodeError {
    /// The frame ends inside a field.
    Short {
        /// Bytes that the field still needed.
        needed: usize,
        /// Bytes that were left.
        left: usize,
    },
    /// Bytes are left behind the last field.
    Trailing {
        /// How many.
        left: usize,
    },
    /// The first byte names no message of this vocabulary.
    UnknownTag(u8),
    /// A hello of another version of the protocol: what else it says cannot be known.
    Version(u16),
    /// A field has a value that the vocabulary does not allow.
    Value {
        /// The field's name.
        field: &'static str,
    },
    /// A frame, list or text is longer than its limit.
    TooLong {
        /// The field's name.
        field: &'static str,
        /// The limit, in the field's own unit.
        max: usize,
    },
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DecodeError::Short { needed, left } => {
                write!(f, "frame ends early: {needed} bytes needed, {left} left")
            }
            DecodeError::Trailing { left } => write!(f, "{left} bytes behind the last field"),
            DecodeError::UnknownTag(tag) => write!(f, "unknown message tag {tag:#04x}"),
            DecodeError::Version(version) => {
                write!(f, "version {version} of the protocol is not spoken here")
            }
            DecodeError::Value { field } => write!(f, "field {field} has a value that is not allowed"),
            DecodeError::TooLong { field, max } => write!(f, "field {field} is longer than {max}"),
        }
    }
}

impl core::error::Error for DecodeError {}

/// Writes fields of explicit width in little-endian order.
#[derive(Debug, Default)]
pub struct Writer(Vec<u8>);

impl Writer {
    /// A frame that starts with `tag`, with room for `capacity` bytes.
    pub fn new(tag: u8, capacity: usize) -> Self {
        let mut bytes = Vec::with_capacity(capacity.max(1));
        bytes.push(tag);
        Writer(bytes)
    }

    /// Appends one byte.
    pub fn u8(mut self, value: u8) -> Self {
        self.0.push(value);
        self
    }

    /// Appends two bytes.
    pub fn u16(mut self, value: u16) -> Self {
        self.0.extend_from_slice(&value.to_le_bytes());
        self
    }

    /// Appends four bytes.
    pub fn u32(mut self, value: u32) -> Self {
        self.0.extend_from_slice(&value.to_le_bytes());
        self
    }

    /// Appends eight bytes.
    pub fn u64(mut self, value: u64) -> Self {
        self.0.extend_from_slice(&value.to_le_bytes());
        self
    }

    /// Appends bytes without a length: the field has a fixed width or is the frame's last.
    pub fn raw(mut self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(bytes);
        self
    }

    /// Appends a text behind its length in bytes (`u16`). Texts past 65,535 bytes are cut at a character boundary.
    pub fn text(self, text: &str) -> Self {
        let mut end = text.len().min(usize::from(u16::MAX));
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        self.u16(end as u16).raw(&text.as_bytes()[..end])
    }

    /// Appends a text behind its length in bytes (`u8`). Texts past 255 bytes are cut at a character boundary.
    pub fn short_text(self, text: &str) -> Self {
        let mut end = text.len().min(usize::from(u8::MAX));
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        self.u8(end as u8).raw(&text.as_bytes()[..end])
    }

    /// The finished frame.
    pub fn finish(self) -> Vec<u8> {
        self.0
    }
}

/// Reads what [`Writer`] wrote, from any bytes, without panicking.
#[derive(Clone, Debug)]
pub struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// A reader at the start of `frame`.
    pub fn new(frame: &'a [u8]) -> Self {
        Reader(frame)
    }

    /// Bytes not yet read.
    pub fn left(&self) -> usize {
        self.0.len()
    }

    /// The next `len` bytes.
    pub fn raw(&mut self, len: usize) -> Result<&'a [u8], DecodeError> {
        if len > self.0.len() {
            return Err(DecodeError::Short { needed: len, left: self.0.len() });
        }
        let (head, tail) = self.0.split_at(len);
        self.0 = tail;
        Ok(head)
    }

    /// The next `N` bytes as an array.
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let mut out = [0; N];
        out.copy_from_slice(self.raw(N)?);
        Ok(out)
    }

    /// One byte.
    pub fn u8(&mut self) -> Result<u8, DecodeError> {
        self.array::<1>().map(|b| b[0])
    }

    /// Two bytes.
    pub fn u16(&mut self) -> Result<u16, DecodeError> {
        self.array().map(u16::from_le_bytes)
    }

    /// Four bytes.
    pub fn u32(&mut self) -> Result<u32, DecodeError> {
        self.array().map(u32::from_le_bytes)
    }

    /// Eight bytes.
    pub fn u64(&mut self) -> Result<u64, DecodeError> {
        self.array().map(u64::from_le_bytes)
    }

    /// All bytes that are left.
    pub fn rest(&mut self) -> &'a [u8] {
        core::mem::take(&mut self.0)
    }

    /// A text of at most `max` bytes behind its length.
    pub fn text(&mut self, field: &'static str, max: usize) -> Result<&'a str, DecodeError> {
        let len = usize::from(self.u16()?);
        if len > max {
            return Err(DecodeError::TooLong { field, max });
        }
        core::str::from_utf8(self.raw(len)?).map_err(|_| DecodeError::Value { field })
    }

    /// A text of at most 255 bytes behind its length.
    pub fn short_text(&mut self, field: &'static str) -> Result<&'a str, DecodeError> {
        let len = usize::from(self.u8()?);
        core::str::from_utf8(self.raw(len)?).map_err(|_| DecodeError::Value { field })
    }

    /// Refuses bytes behind the last field.
    pub fn end(self) -> Result<(), DecodeError> {
        if self.0.is_empty() { Ok(()) } else { Err(DecodeError::Trailing { left: self.0.len() }) }
    }
}
