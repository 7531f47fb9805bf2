//! The `#[sim_test]` attribute of simmach, and what its `select!` is made of.
//!
//! `select` stands alone. The attribute is four steps, a file each: `parse` reads the attribute and the function,
//! `validate` checks what can be checked before anything runs, `expand` writes the test, and `fallback` writes what is
//! left of it after an error. All errors are collected and reported at once, each on the token that is wrong.

use proc_macro::TokenStream;

mod expand;
mod fallback;
mod parse;
mod select;
#[cfg(test)]
mod tests;
mod validate;

/// Turns one async function into many seeded runs of a whole cluster, in virtual time.
///
/// ```text
/// #[sim_test(
///     seeds = 1000,
///     machines("cl.internal" => commit_log, "api{1..=2}.public" => || backend("cl.internal:443")),
///     links("botnet" <-> "public" => NetworkProfile::mobile_3g(), "public" <-> "internal" => NetworkProfile::lan()),
///     client = "mover.botnet",
///     chaos = [GracefulMonkey::new().machines("api*"), Partitions::new()],
///     time_limit = "10m",
/// )]
/// async fn nothing_is_lost(sim: Sim) -> Result<()> {
///     ..
/// }
/// ```
///
/// The function is the body of the test. It runs on the client's machine, once for each seed. It is `async`, takes
/// `sim: Sim` or nothing, and returns `()`, `!`, or a `Result<(), E>` whose error converts to a boxed one.
///
/// # Arguments
///
/// All may be left out, and stand in any order. What can be seen to be wrong is an error at compile time, on the token that
/// is wrong; all errors are reported at once.
///
/// | argument | what | default | unit | environment |
/// |---|---|---|---|---|
/// | `seeds = n` | how many runs, each with a seed of its own | 100 | runs | `SIMMACH_SEEDS` (how many, `a..b`, `random`), `SIMMACH_SEED` (that one), `SIMMACH_BUDGET` (as many as fit in a time) |
/// | `base_seed = n` | the first seed: `base_seed..base_seed + seeds` are run | 0 | – | `SIMMACH_SEEDS=a..b` |
/// | `topology = expr` | a `Topology`: machines and links, to be shared by several tests | no machines | – | – |
/// | `machines("name" => service, ..)` | machines, after those of `topology`. A service is `async fn() -> R`, or a closure that returns such a future. `{1..=5}` in a name makes five machines. The zone is what follows the first dot, or the name; `machine/service` names one of several services on a machine | none | – | – |
/// | `links("a" <-> "b" => profile, "a" -> "b" => profile)` | what joins two zones, in both directions or in one | without a link: `NetworkProfile::lan()` between all. With links: `lan()` inside a zone, nothing between two zones but what is said | – | – |
/// | `client = "name"` | the machine that the body runs on | `client`, with a route to all | – | – |
/// | `chaos = plan`, `chaos = [plan, ..]` | what breaks the cluster, side by side: a plan of the library, or an `async \|sim: Sim\| ..` | nothing | – | – |
/// | `time_limit = time` | a run that goes on for longer fails | `"1h"` | virtual time | – |
/// | `stall_limit = time` | a run in which nothing is achieved for longer fails | `"60s"` | virtual time | – |
/// | `step_limit = n` | a run that takes more steps fails | none | steps | – |
/// | `epoch = date` | what wall clocks show when a run begins: text, or an expression of type `SystemTime` | `"2026-01-01T00:00:00Z"` | – | – |
/// | `check = true` | each seed is run twice, and the test fails if it is not the same run; with `false` none is | one seed in twenty | – | `SIMMACH_CHECK` |
/// | `expect_failure`, `expect_failure(faults <= 2, steps <= 3)` | some seed fails, and what it shrinks to has no more of these: `machines`, `faults`, `steps`, `reorderings` | – | – | – |
/// | `crate = path` | where simmach is, when not at `::simmach`; also in quotes | `::simmach` | – | – |
///
/// A time is text with a unit (`"10m"`, `"1m 30s"`, `"250ms"`), or an expression of type `Duration` (`10.secs()`). The
/// expressions of the cluster and its plans are evaluated again for each run, so that no run sees what another left
/// there; `seeds` and `base_seed` are evaluated once, before any run.
///
/// # Attributes
///
/// `#[ignore]` and `#[ignore = "reason"]` work as on any test. `#[should_panic]` and `#[should_panic(expected = "text")]`
/// say that some seed fails, and with that text. All may stand in a `cfg_attr`. Everything else above the function stays
/// on it. `#[test]` is not needed, and an error.
///
/// # What is written
///
/// A `#[test]` function of this name, and an entry in simmach's registry. With `harness = false` and
/// `simmach::main!()` the compiler drops the function, and the registry is what runs; in any other test file the function
/// runs the entry. The test means the same through both doors.
#[proc_macro_attribute]
pub fn sim_test(arguments: TokenStream, item: TokenStream) -> TokenStream {
    expand::sim_test(arguments.into(), item.into()).into()
}

/// What `simmach::select!` comes to. Not for use by hand: it begins with the crate's path.
#[doc(hidden)]
#[proc_macro]
pub fn select_branches(input: TokenStream) -> TokenStream {
    select::select(input.into()).into()
}
