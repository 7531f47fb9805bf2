//! The families of draws: what a decision is about, and the first part of its address.

use serde::{Deserialize, Serialize};

/// What a draw is about. With three words of the family's own it is the draw's address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
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
    /// Whether a step of the test takes place: (walk, step). Calm leaves it out.
    Step,
    /// Whether something that a plan of the user's own does to the cluster is done: (plan, nth). Calm leaves it out.
    Act,
}

impl Family {
    /// All of them, in the order of their numbers.
    pub const ALL: &[Self] = &[
        Self::Wake,
        Self::Start,
        Self::Select,
        Self::Latency,
        Self::Loss,
        Self::Reorder,
        Self::Duplicate,
        Self::Isn,
        Self::Port,
        Self::Commit,
        Self::Blocking,
        Self::Strike,
        Self::Choice,
        Self::Generator,
        Self::Entropy,
        Self::Step,
        Self::Act,
    ];
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A family's number is part of every draw and of every token.
    #[test]
    fn each_is_at_its_number() {
        for (number, family) in Family::ALL.iter().enumerate() {
            assert_eq!(*family as usize, number);
        }
        assert_eq!((Family::Act as usize, Family::Act), (Family::ALL.len() - 1, Family::Act));
    }
}
