//! One PeerEdge peer as a pure machine
