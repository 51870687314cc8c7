//! PeerHVM: the standard units in which every device is described
