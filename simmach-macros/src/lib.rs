//! The macros of simmach: the attribute `#[sim_test]`, and the implementation of `select!`.
//!
//! The attribute has four steps: `parse` parses the attribute and the function, `validate` checks literals and names,
//! `expand` generates the test, and `fallback` generates code after an error. All errors are collected and reported at
//! once, each at the token that is wrong. `select` is independent of the attribute.

use proc_macro::TokenStream;

mod expand;
mod fallback;
mod parse;
mod select;
#[cfg(test)]
mod tests;
mod validate;

/// Defines a simulated test: an async function that is run once per seed, with a whole cluster in virtual time.
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
/// The function is the body of the test and runs on the client's machine. It must be `async`, take `sim: Sim` or no
/// argument, and return `()`, `!`, or `Result<(), E>` where `E` converts into `Box<dyn Error + Send + Sync>`.
///
/// # Arguments
///
/// All arguments are optional, in any order. Errors in literals and names are reported at compile time, all at once and
/// each at its token. Other errors are reported before the first run.
///
/// | argument | meaning | default | unit | environment |
/// |---|---|---|---|---|
/// | `seeds = n` | number of runs, each with its own seed | 100 | runs | `SIMMACH_SEEDS` (a number, a range `a..b`, or `random`), `SIMMACH_SEED` (one seed), `SIMMACH_BUDGET` (as many seeds as fit in a real time) |
/// | `base_seed = n` | the first seed; the seeds `base_seed..base_seed + seeds` are run | 0 | – | `SIMMACH_SEEDS=a..b` |
/// | `topology = expr` | a `Topology`: machines and links that several tests can share | no machines | – | – |
/// | `machines("name" => service, ..)` | machines and their services, in addition to those of `topology`. A service is an `async fn() -> R`, or a closure that returns its future. `{1..=5}` in a name stands for five machines. A machine's zone is the part of its name after the first dot, or the whole name. `machine/service` names one of several services on a machine | none | – | – |
/// | `links("a" <-> "b" => profile, "a" -> "b" => profile)` | links between zones, in both directions or in one | without links, `NetworkProfile::lan()` between all machines; with links, `lan()` inside each zone and only the given links between zones | – | – |
/// | `client = "name"` | the machine that the body runs on | `client`, with a route to every machine | – | – |
/// | `runtime = native`, `runtime = tokio` | whether all processes use only simmach's modules (`native`), or may use tokio | `tokio` | – | – |
/// | `hardware = varied`, `hardware = identical` | whether the machines of tokio programs boot at different times and have clocks that are not exact (`varied`), or boot at once and have exact clocks | `varied` | – | – |
/// | `chaos = plan`, `chaos = [plan, ..]` | plans that break the cluster, run concurrently: a plan from the library, or a closure `async \|sim: Sim\| ..` | none | – | – |
/// | `time_limit = time` | maximum virtual time of a run; a longer run fails | `"1h"` | virtual time | – |
/// | `stall_limit = time` | maximum virtual time without progress; a run that stalls for longer fails | `"60s"` | virtual time | – |
/// | `poll_limit = n` | maximum number of polls of a run: polls of tasks and fired timers; a longer run fails | none | polls | – |
/// | `epoch = date` | the wall-clock time at the start of a run: text, or an expression of type `SystemTime` | `"2026-01-01T00:00:00Z"` | – | – |
/// | `check = true` | run every seed twice, and fail the test if the two runs differ; `false` checks no seed | one seed in twenty is checked | – | `SIMMACH_CHECK` |
/// | `own_process = true` | run each seed in an OS process that executes no other run of the test, so that no `static` has a state from another run; takes some milliseconds a run | `false` | – | – |
/// | `expect_failure`, `expect_failure(faults <= 2, steps <= 3)` | expect that a seed fails, and that the shrunk failure stays within these bounds on `machines`, `faults`, `steps` and `reorderings` | – | – | – |
/// | `crate = path` | the path of simmach, with or without quotes, if it is not `::simmach` | `::simmach` | – | – |
///
/// A time is text with a unit (`"10m"`, `"1m 30s"`, `"250ms"`), or an expression of type `Duration` (`10.secs()`). The
/// expressions for the cluster and its plans are evaluated for each run, so that runs share no state through them. `seeds`
/// and `base_seed` are evaluated once, before the first run.
///
/// # Attributes
///
/// `#[ignore]` and `#[ignore = "reason"]` work as on any test. `#[should_panic]` and `#[should_panic(expected = "text")]`
/// expect that a seed fails, with that text in its message. All of them may be in a `cfg_attr`. Other attributes stay on
/// the function. `#[test]` must not be added.
///
/// # Expansion
///
/// The attribute expands to a `#[test]` function of the same name and an entry in simmach's registry of tests. In an
/// ordinary test file, libtest calls the function, which runs the entry. With `harness = false` and `simmach::main!()`,
/// the compiler drops the function, and `main!` runs the entries. The result is the same.
#[proc_macro_attribute]
pub fn sim_test(arguments: TokenStream, item: TokenStream) -> TokenStream {
    expand::sim_test(arguments.into(), item.into()).into()
}

/// The implementation of `simmach::select!`. Not public API: its input begins with the crate's path.
#[doc(hidden)]
#[proc_macro]
pub fn select_branches(input: TokenStream) -> TokenStream {
    select::select(input.into()).into()
}
