//! The macro's only door, and the documentation tests'. Anything in it may change.

pub use inventory;
