//! PeerDTS erasure code: rateless, systematic, linear in the block
