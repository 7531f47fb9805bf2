//! What several of simmach's tests share; the tests stand in `tests/`.

pub mod planted;
