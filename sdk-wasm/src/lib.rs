//! The slot between a page and its PeerEdge node.
