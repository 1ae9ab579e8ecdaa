//! The `simcse` command.
fn main() {}
