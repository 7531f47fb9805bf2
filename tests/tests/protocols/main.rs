//! Tests unmodified protocol crates on the simulated network: hyper, axum, tokio-rustls and the
//! codecs of tokio-util.
//!
//! Each test runs with 50 seeds. It checks the transferred contents, and that no socket or timer is
//! left.

mod axum_router;
mod codecs;
mod helpers;
mod http;
mod tls;

simmach::main!();
