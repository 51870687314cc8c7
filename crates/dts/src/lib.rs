//! PeerDTS: manifest, plan, want, verify, assemble, serve
