//! The families of draws: what a decision is about, and the first part of its address.

use serde::{Deserialize, Serialize};

/// What a draw is about. With three words of the family's own it is the draw's [`Address`](super::address::Address).
///
/// The numbers are part of every draw and of every token: a family that is deleted leaves a gap, so that no other draw changes.
/// 8 was that of ephemeral ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(crate) enum Family {
    /// Which of the ready tasks runs: (task, nth wake).
    Wake = 0,
    /// The order in which machines start: (machine, service).
    Start = 1,
    /// The order of `select!`'s branches: (task, nth).
    Select = 2,
    /// A packet's latency: (connection and direction, sequence number, transmission).
    Latency = 3,
    /// Whether a packet is lost.
    Loss = 4,
    /// Whether a packet is held back so that others overtake it.
    Reorder = 5,
    /// Whether a packet arrives twice.
    Duplicate = 6,
    /// A connection's initial sequence number.
    Isn = 7,
    /// A disk's latency: (machine and store, nth commit, part).
    Commit = 9,
    /// What a blocking call costs: (task, nth).
    Blocking = 10,
    /// A plan's strike: (plan, strike, field).
    Strike = 11,
    /// A step's choice: (step, nth).
    Choice = 12,
    /// The key of a generator that a user holds: (task, nth).
    Generator = 13,
    /// What the system's source of randomness answers: (task, nth, word).
    Entropy = 14,
    /// Whether a step of the test takes place: (sequence, step). Calm leaves it out.
    Step = 15,
    /// Whether something that a plan of the user's own does to the cluster is done: (plan, nth). Calm leaves it out.
    Act = 16,
}

impl Family {
    /// All of them, in the order of their numbers.
    pub(crate) const ALL: &[Self] = &[
        Self::Wake,
        Self::Start,
        Self::Select,
        Self::Latency,
        Self::Loss,
        Self::Reorder,
        Self::Duplicate,
        Self::Isn,
        Self::Commit,
        Self::Blocking,
        Self::Strike,
        Self::Choice,
        Self::Generator,
        Self::Entropy,
        Self::Step,
        Self::Act,
    ];

    /// The family with a number.
    pub(crate) fn of_number(number: u8) -> Option<Self> {
        Self::ALL.iter().copied().find(|family| *family as u8 == number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_found_by_its_number() {
        let mut numbers: Vec<u8> = Family::ALL.iter().map(|family| *family as u8).collect();
        for number in &numbers {
            assert_eq!(Family::of_number(*number).map(|family| family as u8), Some(*number));
        }
        numbers.dedup();
        assert_eq!((numbers.len(), numbers.is_sorted()), (Family::ALL.len(), true));
        assert_eq!((Family::of_number(8), Family::of_number(17)), (None, None));
    }
}
