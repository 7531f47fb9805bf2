//! Addresses of draws: a family and three words that identify one decision.
//!
//! A draw's value is a function of the run's key and of the address. An address must not depend on the number of earlier
//! draws in the run, so that leaving out one draw does not change the others. The meaning of the three words is defined
//! here; for packets it is in `net::simulated::link::packet_draws`.

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

    /// Bit in the last word that marks a second draw about the same thing, such as the latency of a packet's copy.
    const SECOND: u64 = 1 << 63;

    /// The address of a second draw about the same thing.
    #[inline]
    pub(crate) const fn second(self) -> Self {
        let [a, b, c] = self.words;
        Self { words: [a, b, c | Self::SECOND], ..self }
    }

    /// Whether this is the address of a second draw about the same thing.
    #[inline]
    pub(crate) const fn is_second(self) -> bool {
        self.words[2] & Self::SECOND != 0
    }

    /// The priority of a ready task, at its `nth` wake.
    #[inline]
    pub(crate) const fn wake(task: u64, nth: u64) -> Self {
        Self::new(Family::Wake, [task, nth, 0])
    }

    /// The rank of a service in the start order. `service` is a hash of its name.
    pub(crate) const fn start(service: u64) -> Self {
        Self::new(Family::Start, [service, 0, 0])
    }

    /// When a machine boots. `machine` is a hash of its name; 0 stands for all machines together.
    pub(crate) const fn boot(machine: u64) -> Self {
        Self::new(Family::Boot, [machine, 0, 0])
    }

    /// The error of a machine's oscillator. `machine` is a hash of its name.
    pub(crate) const fn oscillator(machine: u64) -> Self {
        Self::new(Family::Oscillator, [machine, 0, 0])
    }

    /// The rank of a branch in a task's `nth` poll of a `select!`.
    pub(crate) const fn select(task: u64, nth: u64, branch: u64) -> Self {
        Self::new(Family::Select, [task, nth, branch])
    }

    /// One position in the order of the descriptors that an epoll instance reports at once.
    pub(crate) const fn epoll(task: u64, nth: u64, position: u64) -> Self {
        Self::new(Family::Epoll, [task, nth, position])
    }

    /// A connection's initial sequence number at its local end; `nth` distinguishes connections between the same two ends.
    pub(crate) const fn initial_sequence(local: u64, remote: u64, nth: u64) -> Self {
        Self::new(Family::Isn, [local, remote, nth])
    }

    /// A part of the latency of a store's `nth` write.
    pub(crate) const fn commit(store: u64, nth: u64, part: u64) -> Self {
        Self::new(Family::Commit, [store, nth, part])
    }

    /// A part of the latency of a task's `nth` call on files.
    pub(crate) const fn file_call(task: u64, nth: u64, part: u64) -> Self {
        Self::new(Family::FileCall, [task, nth, part])
    }

    /// The duration of a task's `nth` blocking call.
    pub(crate) const fn blocking(task: u64, nth: u64) -> Self {
        Self::new(Family::Blocking, [task, nth, 0])
    }

    /// What a power failure takes from a disk. `failure` names the machine and the failure, `file` the file.
    pub(crate) const fn disk_loss(failure: u64, file: u64, part: u64) -> Self {
        Self::new(Family::DiskLoss, [failure, file, part])
    }

    /// A field of a plan's `nth` strike: a field of the plan's own, or one of [`strike`].
    pub(crate) const fn strike(plan: u64, nth: u64, field: u64) -> Self {
        Self::new(Family::Strike, [plan, nth, field])
    }

    /// A setting of a plan, the same for all of its strikes.
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

    /// Whether the `nth` fault of a user's plan takes place.
    pub(crate) const fn fault(plan: u64, nth: u64) -> Self {
        Self::new(Family::Fault, [plan, nth, 0])
    }

    /// The key of the `nth` generator that a task created.
    pub(crate) const fn generator(task: u64, nth: u64) -> Self {
        Self::new(Family::Generator, [task, nth, 0])
    }

    /// A word of the system's answer to a task's `nth` request for random bytes.
    pub(crate) const fn entropy(task: u64, nth: u64, word: u64) -> Self {
        Self::new(Family::Entropy, [task, nth, word])
    }

    /// The randomness of the run itself, drawn outside any task.
    pub(crate) const fn run_entropy() -> Self {
        Self::entropy(0, 0, 0)
    }
}

/// The fields common to all strikes. A plan's own fields are numbered from 0. The numbers are part of every token.
pub(crate) mod strike {
    /// Whether it takes place.
    pub(crate) const HAPPENS: u64 = 1 << 16;
    /// When it takes place, in nanoseconds since the start of the run or of its step. Set only by overlays.
    pub(crate) const WHEN: u64 = HAPPENS + 1;
    /// The sequence of steps that it is bound to. Set only by overlays.
    pub(crate) const SEQUENCE: u64 = HAPPENS + 2;
    /// The step of that sequence, counted from 1. Set only by overlays.
    pub(crate) const STEP: u64 = HAPPENS + 3;
    /// The machine that it hits, counted from 1. Set only by overlays.
    pub(crate) const VICTIM: u64 = HAPPENS + 4;
    /// The tempo's mean time between strikes, in two draws: the power of two, and the position within it.
    pub(crate) const EVERY: u64 = HAPPENS + 8;
    /// The tempo's mean time down, in two draws.
    pub(crate) const DOWN: u64 = HAPPENS + 10;
    /// The tempo's grace time, in two draws.
    pub(crate) const GRACE: u64 = HAPPENS + 12;
    /// A second draw of the mean time between strikes, and whether both decide together.
    pub(crate) const MIDDLE: u64 = HAPPENS + 14;
}
