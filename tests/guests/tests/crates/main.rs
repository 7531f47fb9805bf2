//! Tests unmodified crates on tokio, used as programs use them: services and clients on a bad
//! network, with plans that take machines down in the middle of requests. Every seed is run twice.
//!
//! For each crate, plain code around it contains a planted bug, which must be found and shrunk.

mod choices;
mod grpc;
mod panics;
mod pools;
mod popular;
mod quic;
mod redis_server;
mod support;
mod tokio_api;
mod tower_layers;
mod util;
mod web;
mod websocket;
