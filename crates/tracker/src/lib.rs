//! One PeerEdge relay's mind as a pure machine
