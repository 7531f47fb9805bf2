//! Unmodified protocol crates over the simulated network: hyper, axum, tokio-rustls, tokio-util's codecs.
//!
//! Each test runs with 50 seeds, checks the transferred contents, and checks that no socket or timer is left.

mod axum_router;
mod codecs;
mod helpers;
mod http;
mod tls;

simmach::main!();
