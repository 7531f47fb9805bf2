//! An event-sourced inventory in a cluster: the example of simmach.
//!
//! A commit log holds all events, in order. Each backend keeps a store that it builds from the
//! events, answers clients from the store, and commits the clients' changes to the log. A bot moves
//! one item round a ring of locations. At the end it counts the items: there must be one.
//!
//! There are two [`Version`]s. The *buggy* one has three bugs. The log acknowledges commits that
//! are only in memory, a client repeats an unanswered request as a new one, and a backend decides
//! from its own store, which may be stale. In the *fixed* one the log decides everything; see
//! [`commit_log`].
//!
//! Only [`scenario`] uses the simulation, and only [`real`] uses real processes. The services use
//! simmach's modules that mirror those of tokio.

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
