//! Runtime support for protocol crates, for processes that use simmach's own modules.
//!
//! A process with a tokio runtime does not need this module: these crates work there as in
//! production.
//!
//! | crate | what to use |
//! |---|---|
//! | `hyper` 1 | `compat::hyper::Executor` and `compat::hyper::Timer`, under the feature `hyper`; for streams, `hyper_util::rt::TokioIo`, which wraps anything that implements the traits of `tokio::io` |
//! | `hyper-util`'s clients, `tonic`'s `Channel` | `compat::hyper_util::Connector`, under the feature `hyper-util` |
//! | `quinn` | `compat::quinn::Runtime` and its `UdpSocket`, under the feature `quinn` |
//! | `axum`, and any other `tower::Service` | serve it through hyper with `hyper_util::service::TowerToHyperService`. In a native process `axum::serve` does not work, since it spawns tasks on tokio's runtime |
//! | `tokio-util` | nothing: its codecs and adapters work with the feature `tokio-io`. In a native process its modules `time`, `task` and `net` do not work, since they need tokio's runtime |
//! | `rustls`, `tokio-rustls` | nothing: their random numbers and times come from the run. Certificates must be valid at the `epoch` of the test, by default 2026-01-01 |
//!
//! The channels, locks and notifications of `tokio::sync` and `futures` need no runtime and work unchanged.

#[cfg(feature = "hyper")]
pub mod hyper;
#[cfg(feature = "hyper-util")]
pub mod hyper_util;
#[cfg(feature = "quinn")]
pub mod quinn;
