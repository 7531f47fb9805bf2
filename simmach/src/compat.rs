//! What protocol crates ask of a runtime beside streams.
//!
//! | crate | what it takes |
//! |---|---|
//! | `hyper` 1 | `compat::hyper::Executor` and `compat::hyper::Timer`, under the feature `hyper`; streams by `hyper_util::rt::TokioIo`, which takes all that has `tokio::io`'s traits |
//! | `axum`, and any other `tower::Service` | to be served through hyper, by `hyper_util::service::TowerToHyperService`; `axum::serve` starts tasks of tokio's runtime |
//! | `tokio-util` | nothing: its codecs and adapters take streams with the feature `tokio`. Its `time`, `task` and `net` are of tokio's runtime |
//! | `rustls`, `tokio-rustls` | nothing: their randomness and their clock are the run's. A certificate must be valid at the test's `epoch`, 2026-01-01 where it says nothing else |
//!
//! Channels, locks and notifications of `tokio::sync` and `futures` need no runtime, and work as they are.

#[cfg(feature = "hyper")]
pub mod hyper;
