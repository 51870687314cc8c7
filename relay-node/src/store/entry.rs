use peeredge_node::Manifest;
use peeredge_wire::limits::{MEDIA_TYPE_BYTES_MAX, NAME_BYTES_MAX};
use peeredge_wire::{ContentId, Reader, Writer};

/// What the relay knows of a content that was published here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Which content.
    pub content: ContentId,
    /// Length in bytes.
    pub length: u64,
    /// Length of all records together, in bytes.
    pub records_bytes: u64,
    /// Its name, as published.
    pub name: String,
    /// Its media type, as published.
    pub media_type: String,
    /// Whether a task's module, input, checkpoint or output: served like any other, but nobody published it to be listed, and it is
    /// not kept from one start to the next.
    pub of_task: bool,
}

/// First byte of an encoded entry: its format.
const FORMAT: u8 = 1;
/// The same, of a task's content.
const FORMAT_OF_TASK: u8 = 2;

impl Entry {
    /// The entry of a published content, as its manifest says.
    pub fn of_manifest(manifest: &Manifest) -> Entry {
        let layout = manifest.layout();
        Entry {
            content: manifest.content(),
            length: layout.length(),
            records_bytes: layout.blocks().checked_sub(1).map_or(0, |last| layout.record_range(last).end),
            name: manifest.name().to_owned(),
            media_type: manifest.media_type().to_owned(),
            of_task: false,
        }
    }

    /// The entry as it stands in the database and in the inbox.
    pub fn encode(&self) -> Vec<u8> {
        let format = if self.of_task { FORMAT_OF_TASK } else { FORMAT };
        Writer::new(format, 64 + self.name.len() + self.media_type.len())
            .raw(&self.content.0)
            .u64(self.length)
            .u64(self.records_bytes)
            .text(&self.name)
            .text(&self.media_type)
            .finish()
    }

    /// Reads what [`Entry::encode`] wrote; `None` for anything else.
    pub fn decode(bytes: &[u8]) -> Option<Entry> {
        let mut r = Reader::new(bytes);
        let of_task = match r.u8().ok()? {
            FORMAT => false,
            FORMAT_OF_TASK => true,
            _ => return None,
        };
        let entry = Entry {
            content: ContentId(r.array().ok()?),
            length: r.u64().ok()?,
            records_bytes: r.u64().ok()?,
            name: r.text("name", NAME_BYTES_MAX).ok()?.to_owned(),
            media_type: r.text("media_type", MEDIA_TYPE_BYTES_MAX).ok()?.to_owned(),
            of_task,
        };
        r.end().ok()?;
        Some(entry)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trips_and_refuses_every_truncation() {
        for of_task in [false, true] {
            let entry = Entry {
                content: ContentId([3; 32]),
                length: 1 << 40,
                records_bytes: 96,
                name: "ein Film.mp4".into(),
                media_type: "video/mp4".into(),
                of_task,
            };
            let bytes = entry.encode();
            assert_eq!(Entry::decode(&bytes), Some(entry));
            for len in 0..bytes.len() {
                assert_eq!(Entry::decode(&bytes[..len]), None, "cut to {len} bytes");
            }
        }
    }
}
