//! Addresses of draws: what a decision is about, and which of its family it is.
//!
//! A draw's value is a function of the run's key and this address. What makes up an address must not depend on how many draws
//! came before, so that leaving one decision out shifts no other. The conventions for the three words are here; those for
//! packets are in `net::simulated::link::address`.

use crate::engine::draws::family::Family;

/// The address of one draw.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Address {
    pub(crate) family: Family,
    pub(crate) words: [u64; 3],
}

impl Address {
    pub(crate) const fn new(family: Family, words: [u64; 3]) -> Self {
        Self { family, words }
    }

    /// Set in the last word of a second draw about the same thing, such as the latency of a packet's copy.
    const SECOND: u64 = 1 << 63;

    /// A second draw about the same thing.
    #[inline]
    pub(crate) const fn second(self) -> Self {
        let [a, b, c] = self.words;
        Self { words: [a, b, c | Self::SECOND], ..self }
    }

    /// Whether it is a second draw about the same thing.
    #[inline]
    pub(crate) const fn is_second(self) -> bool {
        self.words[2] & Self::SECOND != 0
    }

    /// The priority of a ready task, for the `nth` time that it was woken.
    #[inline]
    pub(crate) const fn wake(task: u64, nth: u64) -> Self {
        Self::new(Family::Wake, [task, nth, 0])
    }

    /// A service's position in the order in which services start; by a hash of its name.
    pub(crate) const fn start(service: u64) -> Self {
        Self::new(Family::Start, [service, 0, 0])
    }

    /// The position of a branch in the `nth` poll of a `select!` by a task.
    pub(crate) const fn select(task: u64, nth: u64, branch: u64) -> Self {
        Self::new(Family::Select, [task, nth, branch])
    }

    /// A connection's initial sequence number at its local end; `nth` tells connections between the same ends apart.
    pub(crate) const fn initial_sequence(local: u64, remote: u64, nth: u64) -> Self {
        Self::new(Family::Isn, [local, remote, nth])
    }

    /// A part of what the `nth` write of a store takes.
    pub(crate) const fn commit(store: u64, nth: u64, part: u64) -> Self {
        Self::new(Family::Commit, [store, nth, part])
    }

    /// What the `nth` blocking call of a task takes.
    pub(crate) const fn blocking(task: u64, nth: u64) -> Self {
        Self::new(Family::Blocking, [task, nth, 0])
    }

    /// A field of a plan's `nth` strike: one of the plan's own, or one of [`strike`].
    pub(crate) const fn strike(plan: u64, nth: u64, field: u64) -> Self {
        Self::new(Family::Strike, [plan, nth, field])
    }

    /// A setting of a plan, which is the same for all of its strikes.
    pub(crate) const fn plan_setting(plan: u64, field: u64) -> Self {
        Self::strike(plan, u64::MAX, field)
    }

    /// The `nth` choice in a step of a sequence of steps.
    pub(crate) const fn choice(sequence: u64, step: u64, nth: u64) -> Self {
        Self::new(Family::Choice, [sequence, step, nth])
    }

    /// Whether a step of a sequence takes place.
    pub(crate) const fn step(sequence: u64, number: u64) -> Self {
        Self::new(Family::Step, [sequence, number, 0])
    }

    /// Whether the `nth` thing that a user's plan does takes place.
    pub(crate) const fn act(plan: u64, nth: u64) -> Self {
        Self::new(Family::Act, [plan, nth, 0])
    }

    /// The key of the `nth` generator that a task made.
    pub(crate) const fn generator(task: u64, nth: u64) -> Self {
        Self::new(Family::Generator, [task, nth, 0])
    }

    /// A word of what the system's source of randomness answers to the `nth` call of a task.
    pub(crate) const fn entropy(task: u64, nth: u64, word: u64) -> Self {
        Self::new(Family::Entropy, [task, nth, word])
    }

    /// The randomness that is the run's own, and no task's.
    pub(crate) const fn run_entropy() -> Self {
        Self::entropy(0, 0, 0)
    }
}

/// Fields that every strike has beside its plan's own, which are numbered from 0. The numbers are part of every token.
pub(crate) mod strike {
    /// Whether it takes place.
    pub(crate) const HAPPENS: u64 = 1 << 16;
    /// When it takes place, in nanoseconds since the run or its step began: set by an overlay only.
    pub(crate) const WHEN: u64 = HAPPENS + 1;
    /// Which sequence of steps it belongs to: set by an overlay only.
    pub(crate) const SEQUENCE: u64 = HAPPENS + 2;
    /// Which step of the sequence, counted from 1: set by an overlay only.
    pub(crate) const STEP: u64 = HAPPENS + 3;
    /// The machine that it hits, counted from 1: set by an overlay only.
    pub(crate) const VICTIM: u64 = HAPPENS + 4;
    /// The tempo's mean time between strikes, in two draws: which doubling, and where in it.
    pub(crate) const EVERY: u64 = HAPPENS + 8;
    /// The tempo's mean time down, in two draws.
    pub(crate) const DOWN: u64 = HAPPENS + 10;
    /// The tempo's grace time, in two draws.
    pub(crate) const GRACE: u64 = HAPPENS + 12;
}
