//! The families of draws: what a decision is about, and the first part of its address.

use serde::{Deserialize, Serialize};

/// What a draw is about. With three words of the family's own it is the draw's address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Family {
    /// Which of the ready tasks runs: (task, nth wake).
    Wake,
    /// The order in which machines start: (machine, service).
    Start,
    /// The order of `select!`'s branches: (task, nth).
    Select,
    /// A packet's latency: (connection and direction, sequence number, transmission).
    Latency,
    /// Whether a packet is lost.
    Loss,
    /// Whether a packet is held back so that others overtake it.
    Reorder,
    /// Whether a packet arrives twice.
    Duplicate,
    /// A connection's initial sequence number.
    Isn,
    /// An ephemeral port.
    Port,
    /// A disk's latency: (machine and store, nth commit, part).
    Commit,
    /// What a blocking call costs: (task, nth).
    Blocking,
    /// A plan's strike: (plan, strike, field).
    Strike,
    /// A step's choice: (step, nth).
    Choice,
    /// The key of a generator that a user holds: (task, nth).
    Generator,
    /// What the system's source of randomness answers: (task, nth, word).
    Entropy,
}
