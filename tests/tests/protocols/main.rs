//! Protocol crates over the simulated network, as they are: hyper, axum, tokio-rustls, tokio-util's codecs.
//!
//! Each test is run for 50 seeds, with what travels asserted, and nothing left of it at the end.

mod axum_router;
mod codecs;
mod helpers;
mod http;
mod tls;

simmach::main!();
