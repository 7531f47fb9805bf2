//! Why one seed produces two different runs, with the explanation that a report prints.

use crate::outcome::Outcome;

/// Why one seed produces two different runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MismatchCause {
    /// State outlives a run.
    State,
    /// State outlives a run, and the runs create different numbers of maps.
    Maps,
    /// The addresses at which the process is loaded.
    Addresses,
    /// A real thread, which the run was allowed to start.
    Thread,
    /// An input from outside that differs in every run.
    Outside,
    /// One of these two: this system cannot fix the addresses to tell them apart.
    AddressesOrOutside,
    /// The difference did not show again.
    Rare,
}

const STATE: &str = "\
State that outlives a run. In fresh processes, this seed is always the same run; after other runs in the same process, it
differs. Look for a `static` counter, a `OnceLock` or `LazyLock` that a run initializes, or a `thread_local!` of another
thread, in your code or in a crate. An unbiased `tokio::select!`, `futures::select!` and `tokio_stream::StreamMap` draw
from such a counter; `simmach::select!` does not.";
const MAPS: &str = "\
State that outlives a run, and the order of std's `HashMap`s. Before the runs differ, one of them has created more maps
than the other, for example while it initialized a `static` (a static `Regex` keeps caches per thread). Maps created later
in the same poll get other keys and so another order. Where the order matters, use a `BTreeMap`, sort, or give the map a
hasher with fixed keys.";
const ADDRESSES: &str = "\
Memory addresses. In processes that are loaded at the same addresses, this seed is always the same run; at others, which
ASLR chooses, it differs. Look for an address that is printed, hashed or compared (`{:p}`, `as usize`), and for maps with the default
hasher of `ahash`, `foldhash` or `hashbrown`, which is keyed by addresses. std's `HashMap` and `BTreeMap` are not.";
const THREAD: &str = "\
A real thread. The run started one under `allow_threads`: what it does, and when, does not depend on the seed.";
const OUTSIDE: &str = "\
An input from outside the run that differs every time, in fresh processes too. Look for a real clock that is read by a
processor instruction (`rdtsc`, the crate `quanta`) or from a file (`/proc/uptime`), for other files such as
`/dev/urandom` and `/proc/self`, for the process ID (`std::process::id`), for system calls that bypass the C library,
and for libraries with their own random number generators (AWS-LC, OpenSSL, SQLite).";

const RARE: &str = "\
Not known: several runs in fresh processes and one after another seed did not differ, so the cause is rare. Possibly state
that builds up over many runs, or an input from outside: a real clock, a file, the process ID.";

impl MismatchCause {
    /// The explanation, as one paragraph.
    pub(crate) fn text(self) -> String {
        match self {
            Self::State => STATE.to_owned(),
            Self::Maps => MAPS.to_owned(),
            Self::Addresses => ADDRESSES.to_owned(),
            Self::Thread => THREAD.to_owned(),
            Self::Outside => OUTSIDE.to_owned(),
            Self::AddressesOrOutside => format!("{OUTSIDE}\nOr: {ADDRESSES}"),
            Self::Rare => RARE.to_owned(),
        }
    }

    /// Refines the cause by the events of the two runs, which tell more than further runs did.
    pub(crate) fn refine(self, one: &Outcome, two: &Outcome) -> Self {
        match self {
            Self::State | Self::Rare if map_counts_differ(one, two) => Self::Maps,
            other => other,
        }
    }
}

/// Whether the runs created different numbers of maps up to the first event that differs.
fn map_counts_differ(one: &Outcome, two: &Outcome) -> bool {
    let (Some(first), Some(second)) = (&one.events, &two.events) else { return false };
    let mut before = true;
    let mut compared = first
        .iter()
        .zip(second)
        .take_while(|(one, two)| std::mem::replace(&mut before, one.hash == two.hash));
    compared.any(|(one, two)| one.maps != two.maps)
}
