//! The families of draws. A *draw* is one random decision of the seed. Its *address* says what is
//! decided, and the *family*, the first part of the address, says which kind of decision it is.

use serde::{Deserialize, Serialize};

/// The kind of decision that a draw makes. A family and three words form a draw's [`Address`](super::address::Address).
///
/// The numbers are part of every draw and of every token. A deleted family must leave a gap, so that other draws do not
/// change. The number 8 was used for ephemeral ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(crate) enum Family {
    /// The priority of a ready task: (task, nth wake).
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
    /// The duration of a blocking call: (task, nth).
    Blocking = 10,
    /// A plan's strike: (plan, strike, field).
    Strike = 11,
    /// A step's choice: (step, nth).
    Choice = 12,
    /// The key of a generator that a user holds: (task, nth).
    Generator = 13,
    /// Random bytes of the system: (task, nth, word).
    Entropy = 14,
    /// Whether a step of the test takes place: (sequence, step). Calm leaves it out.
    Step = 15,
    /// Whether a fault of a user's plan takes place: (plan, nth). Calm leaves it out.
    Fault = 16,
    /// The order of the descriptors that an epoll instance reports at once: (task, nth, position).
    Epoll = 17,
    /// No draw: an act of a plan, by its id. Calm leaves it out.
    Act = 18,
    /// What a power failure takes from a disk: (machine and failure, file, change and part).
    DiskLoss = 19,
    /// The latency of a call on a file: (task, nth, part).
    FileCall = 20,
    /// When a machine boots: (machine). Calm is the start of the run.
    Boot = 21,
    /// The error of a machine's oscillator: (machine). Calm is none.
    Oscillator = 22,
}

impl Family {
    /// All families, in the order of their numbers.
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
        Self::Fault,
        Self::Epoll,
        Self::Act,
        Self::DiskLoss,
        Self::FileCall,
        Self::Boot,
        Self::Oscillator,
    ];

    /// Returns the family with this number.
    pub(crate) fn of_number(number: u8) -> Option<Self> {
        Self::ALL.iter().copied().find(|family| *family as u8 == number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn family_is_found_by_its_number() {
        let mut numbers: Vec<u8> = Family::ALL.iter().map(|family| *family as u8).collect();
        for number in &numbers {
            assert_eq!(Family::of_number(*number).map(|family| family as u8), Some(*number));
        }
        numbers.dedup();
        assert_eq!((numbers.len(), numbers.is_sorted()), (Family::ALL.len(), true));
        assert_eq!((Family::of_number(8), Family::of_number(23)), (None, None));
    }
}
