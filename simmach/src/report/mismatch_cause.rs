//! The causes for which one seed produces two different runs, with the explanations that reports
//! print.

use crate::outcome::Outcome;

/// Why one seed produces two different runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MismatchCause {
    /// State outlives a run.
    State,
    /// State outlives a run, and the runs create different numbers of maps.
    Maps,
    /// The run depends on the addresses at which its process is loaded.
    Addresses,
    /// The run was allowed to start a real thread.
    Thread,
    /// An input from outside differs in every run.
    Outside,
    /// Addresses, or an input from outside. This system cannot load processes at fixed addresses,
    /// so the two cannot be distinguished.
    AddressesOrOutside,
    /// The difference did not occur again.
    Rare,
}

const STATE: &str = "\
State that outlives a run. In a fresh OS process, this seed always produces the same run. In an OS process that has executed
other runs before, the seed produces a different run. Look in your code and in crates for a `static` counter, for a
`OnceLock` or `LazyLock` that a run initializes, or for a `thread_local!` of a thread that outlives the run. An unbiased `tokio::select!`,
`futures::select!` and `tokio_stream::StreamMap` use such a counter, which simmach resets unless all processes of the test are
native; `simmach::select!` does not.";
const MAPS: &str = "\
State that outlives a run, and the order of std's `HashMap`s. Before the first difference, one run created more maps than the
other run, for example to initialize a `static` (a static `Regex` keeps caches for each thread). Maps that the same poll
created afterwards got different hash keys, and therefore a different order. Where the order matters, use a `BTreeMap`, sort
the entries, or give the map a hasher with fixed keys.";
const ADDRESSES: &str = "\
Memory addresses. In OS processes that are loaded at the same addresses, this seed always produces the same run. At different
addresses, which ASLR chooses, the seed produces different runs. Look for an address that is printed, hashed or compared (`{:p}`, `as usize`), and
for maps with the default hasher of `ahash`, `foldhash` or `hashbrown`, whose keys come from addresses. std's `HashMap` and
`BTreeMap` do not depend on addresses.";
const THREAD: &str = "\
A real thread, which the run started under `allow_threads`. What this thread does, and when, does not depend on the seed.";
const OUTSIDE: &str = "\
An input from outside the run that differs every time, even in fresh OS processes. Look for a real clock that is read by a
processor instruction (`rdtsc`, the crate `quanta`) or from a file (`/proc/uptime`), for other files such as
`/dev/urandom` and `/proc/self`, for the ID of the OS process (`std::process::id`), for system calls that bypass the C library,
and for libraries with their own random number generators (AWS-LC, OpenSSL, SQLite).";

const RARE: &str = "\
Not known: the difference did not occur again, neither in fresh OS processes nor after a run of a different seed. Possible
causes are state that builds up over many runs, or an input from outside, such as a real clock, a file, or the ID of the OS
process.";

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

    /// Refines the cause by the events of the two runs, which are more informative than further runs.
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
