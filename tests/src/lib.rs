//! The tests of simmach stand in `tests/`; this crate is empty.
