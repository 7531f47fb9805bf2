//! Finds out why two runs of one seed differ, by running the seed a few more times.
//!
//! If runs in fresh processes agree, but a run after other seeds differs, some state outlives a run. If runs in fresh
//! processes differ, they are repeated with address randomization disabled: if they then agree, the test depends on
//! addresses. Otherwise the difference comes from outside the process.

use crate::engine::draws::overlay::Overlay;
use crate::engine::failure::verdict::Verdict;
use crate::harness::workers::job::Job;
use crate::harness::workers::pool::{FreshProcesses, Pool};
use crate::outcome::{Keep, Outcome};
use crate::report::difference::RunContext;
use crate::report::likely_cause::LikelyCause;
use crate::spec::SimTest;

/// Number of runs in fresh processes that must agree.
const FRESH_RUNS: usize = 3;
/// Number of runs at fixed addresses that must agree. Larger, since random runs agree now and then.
const FIXED_RUNS: usize = 5;
/// Maximum number of runs at fixed addresses. On a busy machine the worker's own threads reach the allocator in another
/// order now and then, which moves the addresses of a run.
const MAX_FIXED_RUNS: usize = 8;

/// Result of a diagnosis.
#[derive(Debug)]
pub(crate) struct Diagnosis {
    pub(crate) cause: LikelyCause,
    /// Two runs that differ, with their events.
    pub(crate) versions: Option<[(Outcome, RunContext); 2]>,
}

/// Looks for the cause; `other` is a seed to run in between.
pub(crate) fn diagnose(
    pool: &Pool,
    test: &'static SimTest,
    seed: u64,
    overlay: &Overlay,
    other: Option<u64>,
) -> Diagnosis {
    let job = |seed| Job {
        test,
        seed,
        overlay: overlay.clone(),
        keep: Keep { events: true, ..Keep::default() },
    };
    let once = |processes: FreshProcesses<'_>| processes.run(job(seed)).outcome;
    // A broken run is no evidence.
    let is_run = |run: &Outcome| !matches!(run.verdict, Verdict::Broken(_));

    let other = other.unwrap_or(seed.wrapping_add(1));
    let around = pool.fresh_processes(1).runs([seed, other, seed].map(job).into_iter()).all();
    let mut around = around.into_iter().filter(|run| run.index != 1).map(|run| run.outcome);
    let (first, after) = (around.next(), around.next());
    let mut fresh: Vec<Outcome> = first.into_iter().filter(is_run).collect();
    while fresh.len() < FRESH_RUNS {
        let run = once(pool.fresh_processes(1));
        if !is_run(&run) {
            break;
        }
        fresh.push(run);
    }

    let threads = fresh.iter().chain(after.iter()).any(|run| run.threads);
    if let Some(odd) = first_different(&fresh) {
        let cause = if threads {
            LikelyCause::Thread
        } else {
            at_fixed_addresses(|| {
                Some(once(pool.fresh_process_at_fixed_addresses())).filter(is_run)
            })
        };
        let two = fresh.swap_remove(odd);
        let one = fresh.swap_remove(0);
        return Diagnosis {
            cause,
            versions: Some([(one, RunContext::Fresh), (two, RunContext::Fresh)]),
        };
    }
    // The discarded warm-up run of the seed passed, the second one in the same process failed.
    let by_the_second = fresh.iter().any(|run| run.passed_before && run.failure().is_some());
    let one = fresh.into_iter().next();
    let another =
        |run: &Outcome| is_run(run) && one.as_ref().is_some_and(|one| !one.is_same_run(run));
    // Perhaps only the first run of a process leaves something behind.
    let behind = || {
        let run = pool.fresh_processes(1).runs([other, seed].map(job).into_iter()).all();
        run.into_iter().find(|run| run.index == 1).map(|run| run.outcome)
    };
    let two = after.filter(another).or_else(|| behind().filter(another));
    let versions = one
        .clone()
        .zip(two)
        .map(|(one, two)| [(one, RunContext::Fresh), (two, RunContext::AfterOthers)]);
    let cause = match (&versions, by_the_second, threads) {
        (_, _, true) => LikelyCause::Thread,
        (Some(_), _, false) | (None, true, false) => LikelyCause::State,
        (None, false, false) => LikelyCause::Rare,
    };
    Diagnosis { cause, versions }
}

/// The cause, given runs without address randomization; `None` stands for a broken run.
fn at_fixed_addresses(mut once: impl FnMut() -> Option<Outcome>) -> LikelyCause {
    let mut runs: Vec<Outcome> = Vec::new();
    for _ in 0..MAX_FIXED_RUNS {
        let Some(run) = once() else { return LikelyCause::AddressesOrOutside };
        if runs.iter().filter(|other| other.is_same_run(&run)).count() + 1 >= FIXED_RUNS {
            return LikelyCause::Addresses;
        }
        runs.push(run);
    }
    LikelyCause::Outside
}

/// Index of a run that differs from the first.
fn first_different(runs: &[Outcome]) -> Option<usize> {
    let first = runs.first()?;
    runs.iter().position(|run| !run.is_same_run(first))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cause(hashes: &[u64]) -> LikelyCause {
        let mut hashes = hashes.iter();
        at_fixed_addresses(|| {
            let mut run = Outcome::without_a_run(0, Verdict::Passed);
            run.trace_hash = *hashes.next()?;
            Some(run)
        })
    }

    /// A few different runs are blamed on a busy machine, many on the program.
    #[test]
    fn fixed_addresses_need_a_majority() {
        assert_eq!(cause(&[1; 5]), LikelyCause::Addresses);
        assert_eq!(cause(&[2, 1, 1, 3, 1, 1, 4, 1]), LikelyCause::Addresses);
        assert_eq!(cause(&[1, 2, 3, 4, 5, 6, 7, 8]), LikelyCause::Outside);
        assert_eq!(cause(&[1, 1, 1, 1, 2, 3, 4, 5]), LikelyCause::Outside);
        assert_eq!(cause(&[1, 1, 2]), LikelyCause::AddressesOrOutside);
    }
}
