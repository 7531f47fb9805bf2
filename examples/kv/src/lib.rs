//! A replicated key-value service, written as usual with tokio, axum, reqwest and openraft.
//!
//! Only [`store`] uses simmach, for its storage. All other code is ordinary, and the tests run it
//! unchanged on simulated machines. `main` and the tests both call [`serve`].

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
pub use store::{Flush, Log};
pub use types::{Answer, Change, Command, MAX_KEY, NodeId, RequestId, TypeConfig};
