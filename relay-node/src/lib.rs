//! Native shell of PeerEdge: sockets, files and clocks around the pure machines.
pub mod rtc;
