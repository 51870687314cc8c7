//! A seeded world that runs the same node and tracker
