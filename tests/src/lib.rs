//! Programs that several of simmach's tests and benchmarks use. The tests are in `tests/`.

pub mod planted;
pub mod raft;
