//! The zoo of `tests/harness.rs` behind the door of `harness = false`.

#[path = "../fixture/zoo.rs"]
mod zoo;

simmach::main!();
