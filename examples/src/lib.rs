//! An event-sourced inventory in a cluster: the example of simmach.
//!
//! A commit log holds all events, in order. Backends keep a projection of them in their own store, answer clients from it,
//! and commit the clients' changes to the log. A bot moves one item round a ring of locations and counts the items at the
//! end: there must be one.
//!
//! There are two [`Version`]s. The *buggy* one has three bugs: the log acknowledges commits that are only in memory, a client
//! repeats an unanswered request as a new one, and a backend decides by its own, possibly stale, store. In the *fixed* one
//! the log decides everything; see [`commit_log`].
//!
//! Only [`scenario`] knows the simulation, and only [`real`] knows real processes. The services use the modules of simmach
//! that mirror tokio's.

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

/// Which version of the inventory runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// The version with bugs, for a harness to find.
    Buggy,
    /// The version without them.
    Fixed,
}
