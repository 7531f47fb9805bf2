//! An event-sourced inventory in a cluster: the example of simmach.
//!
//! A commit log holds all events, in order. Backends keep a projection of them in a store of their own, answer clients
//! from it and commit what clients do to the log. A bot moves one item round a ring of locations, and counts at the end: there
//! must be one.
//!
//! It is there in two [`Version`]s that share all but the parts that differ. *As in the article* that simmach starts from:
//! the log keeps in memory what it has said "OK" to, a request that got no answer is sent once more as if it were another,
//! and a backend answers from what it happens to know. *Fixed*: see [`commit_log`], where everything is decided.
//!
//! Nothing here but [`scenario`] knows of the simulation, and nothing but [`real`] of the real world. The services use the
//! modules of simmach that mirror tokio's.

mod backend;
mod client;
mod commit_log;
mod decision;
mod event;
mod log_client;
mod mover;
mod projection;
mod server;
mod store;
mod wire;

pub mod real;
pub mod scenario;

pub use backend::{Answer, Command, Request, backend};
pub use client::{Error, Inventory};
pub use commit_log::{LogAnswer, LogRequest, commit_log};
pub use decision::{Decision, Refusal};
pub use event::{Event, Location, Quantity};
pub use mover::{Issue, Mover, Walk, walk};
pub use wire::RequestId;

/// Which of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// As in the article, with its bugs.
    Article,
    /// Without them.
    Fixed,
}
