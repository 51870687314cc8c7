//! PeerEdge wire: ids, time, limits, codec and the messages that peers and relays exchange
