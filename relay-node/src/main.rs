//! The `peeredge` command.
fn main() {}
