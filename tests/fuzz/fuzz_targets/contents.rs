//! Manifests, stored states, heads of live contents and checkpoints, whose hashes, checksums and signatures are made to fit.
#![no_main]

use ed25519_dalek::{Signer, SigningKey};
use peeredge_dts::{LiveReader, Manifest, StoredState};
use peeredge_hvm::Checkpoint;
use peeredge_wire::{ContentId, PeerId};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let content = ContentId(*blake3::hash(bytes).as_bytes());
    if let Ok(manifest) = Manifest::decode(&content, bytes) {
        assert_eq!(manifest.encode(), bytes);
        let layout = manifest.layout();
        for block in [0, layout.blocks(), u32::MAX] {
            let range = layout.block_range(block);
            assert!(range.start <= range.end && range.end <= layout.length());
        }
        // The same manifest inside a state, with whatever follows.
        let mut state = [&[1], &(bytes.len() as u32).to_le_bytes()[..], bytes, &bytes[..bytes.len() / 2]].concat();
        let check = blake3::hash(&state);
        state.extend(&check.as_bytes()[..16]);
        if let Some(state) = StoredState::decode(&content, &state) {
            assert_eq!(StoredState::decode(&content, &state.encode()), Some(state));
        }
    }
    let key = SigningKey::from_bytes(&[1; 32]);
    let signature = key.sign(&[b"peeredge live v2", bytes].concat()).to_bytes();
    let mut reader = LiveReader::new(PeerId(key.verifying_key().to_bytes()), "match");
    let _ = reader.take(&[bytes, &signature].concat(), Some(0));
    if let Ok(checkpoint) = Checkpoint::decode(bytes, 2) {
        assert_eq!(checkpoint.encode(), bytes);
    }
});
