//! The harness from outside.

#[path = "../src/fixture/zoo.rs"]
mod zoo;
