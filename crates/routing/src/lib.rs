//! PeerRouting: perception of channels, registry of holders, matching of peers
