//! A replicated key-value service, as people write them: tokio, axum, reqwest and openraft.
//!
//! Only [`store`] names simmach, whose storage it uses. Everything else is ordinary code, which the tests run as it is on
//! simulated machines, and [`serve`] is what `main` calls too.

mod api;
mod client;
mod config;
mod http;
mod metrics;
mod network;
mod node;
mod rpc;
pub mod store;
mod types;

pub use api::REQUEST_ID;
pub use client::{Client, ClientError};
pub use config::{Config, ConfigError};
pub use node::{Error, serve};
pub use store::Flush;
pub use types::{Answer, Change, Command, MAX_KEY, NodeId, RequestId, TypeConfig};
