//! A test binary with `harness = false`, which contains the zoo of `tests/harness.rs`.

#[path = "../fixture/zoo.rs"]
mod zoo;

simmach::main!();
