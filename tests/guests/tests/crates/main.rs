//! Crates on tokio, unmodified, as programs use them: services and clients on a bad network, with plans that take machines
//! down in the middle of requests. Every seed is run twice.
//!
//! Beside each crate stands a planted bug in plain code around it, which must be found and shrunk.

mod support;
mod web;
