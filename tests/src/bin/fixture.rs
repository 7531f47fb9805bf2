//! The zoo of `tests/harness.rs` as a test binary with `harness = false`.

#[path = "../fixture/zoo.rs"]
mod zoo;

simmach::main!();
