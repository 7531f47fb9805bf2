//! Finds out why two runs of one seed differ, by running the seed a few more times.
//!
//! If runs in fresh processes agree, but a run after other seeds differs from them, some state
//! outlives a run. If runs in fresh processes differ from each other, they are repeated without
//! address randomization. If the repeated runs agree, the test depends on addresses; otherwise, the
//! difference comes from outside the process.

use crate::engine::draws::overlay::Overlay;
use crate::engine::failure::verdict::Verdict;
use crate::harness::workers::job::{FinishedRun, Job};
use crate::harness::workers::pool::{FreshProcesses, Pool};
use crate::outcome::{Keep, Outcome};
use crate::report::difference::RunContext;
use crate::report::mismatch_cause::MismatchCause;
use crate::spec::SimTest;

/// Number of runs in fresh processes that must agree.
const FRESH_RUNS: usize = 3;
/// Number of runs at fixed addresses that must agree. It is larger than [`FRESH_RUNS`], since
/// random runs occasionally agree.
const FIXED_RUNS: usize = 5;
/// Maximum number of runs at fixed addresses. More than [`FIXED_RUNS`] may be needed: on a busy
/// machine, the worker's own threads occasionally reach the allocator in a different order, which
/// changes the addresses of a run.
const MAX_FIXED_RUNS: usize = 8;

/// Result of a diagnosis.
#[derive(Debug)]
pub(crate) struct Diagnosis {
    pub(crate) cause: MismatchCause,
    /// Two runs that differ, with their events.
    pub(crate) versions: Option<[(Outcome, RunContext); 2]>,
}

/// Looks for the cause. `other` is a different seed, to run in between.
pub(crate) fn diagnose(
    pool: &Pool,
    test: &'static SimTest,
    seed: u64,
    overlay: &Overlay,
    other: Option<u64>,
) -> Diagnosis {
    let other = other.unwrap_or(seed.wrapping_add(1));
    let runs = DiagnosticRuns { pool, test, seed, overlay, other };
    let (fresh, after) = runs.fresh_and_after();
    let has_threads = fresh.iter().chain(after.iter()).any(|run| run.threads);
    match first_different(&fresh) {
        Some(odd) => runs.diagnose_outside(fresh, odd, has_threads),
        None => runs.diagnose_state(fresh, after, has_threads),
    }
}

/// Executes the runs for a diagnosis.
struct DiagnosticRuns<'a> {
    pool: &'a Pool,
    test: &'static SimTest,
    seed: u64,
    overlay: &'a Overlay,
    /// A seed to run in between.
    other: u64,
}

impl DiagnosticRuns<'_> {
    fn job(&self, seed: u64) -> Job {
        let keep = Keep { events: true, ..Keep::default() };
        Job { test: self.test, seed, overlay: self.overlay.clone(), keep }
    }

    /// Runs the seed in this process; `None` if the run is broken.
    fn run_in(&self, process: &FreshProcesses<'_>) -> Option<Outcome> {
        Some(process.run(self.job(self.seed)).outcome).filter(is_evidence)
    }

    /// Runs these seeds in one fresh process, one after the other.
    fn run_in_order<const N: usize>(&self, seeds: [u64; N]) -> Vec<FinishedRun> {
        let jobs = seeds.map(|seed| self.job(seed));
        self.pool.fresh_processes(1).runs(jobs.into_iter()).all()
    }

    /// Runs the seed in fresh processes, and once after a different seed. Returns these runs.
    fn fresh_and_after(&self) -> (Vec<Outcome>, Option<Outcome>) {
        let around = self.run_in_order([self.seed, self.other, self.seed]);
        let mut around = around.into_iter().filter(|run| run.index != 1).map(|run| run.outcome);
        let (first, after) = (around.next(), around.next());
        let mut fresh: Vec<Outcome> = first.into_iter().filter(is_evidence).collect();
        while fresh.len() < FRESH_RUNS {
            let Some(run) = self.run_in(&self.pool.fresh_processes(1)) else { break };
            fresh.push(run);
        }
        (fresh, after)
    }

    /// Determines the cause if runs in fresh processes differ from each other: a thread, addresses, or something outside the
    /// process. `odd` is the index of a run that differs from the first.
    fn diagnose_outside(
        &self,
        mut fresh: Vec<Outcome>,
        odd: usize,
        has_threads: bool,
    ) -> Diagnosis {
        let cause = match has_threads {
            true => MismatchCause::Thread,
            false => {
                at_fixed_addresses(|| self.run_in(&self.pool.fresh_process_at_fixed_addresses()))
            }
        };
        let two = fresh.swap_remove(odd);
        let one = fresh.swap_remove(0);
        let versions = Some([(one, RunContext::Fresh), (two, RunContext::Fresh)]);
        Diagnosis { cause, versions }
    }

    /// Determines the cause if runs in fresh processes agree. If the run after a different seed differs from them, the cause
    /// is state that outlives a run.
    fn diagnose_state(
        &self,
        fresh: Vec<Outcome>,
        after: Option<Outcome>,
        has_threads: bool,
    ) -> Diagnosis {
        // The discarded warm-up run of the seed passed, but the second run in the same process failed.
        let failed_second = fresh.iter().any(|run| run.passed_before && run.failure().is_some());
        let one = fresh.into_iter().next();
        let differs = |run: &Outcome| {
            is_evidence(run) && one.as_ref().is_some_and(|one| !one.is_same_run(run))
        };
        // Perhaps only the first run of a process leaves state behind.
        let second_of_process = || {
            let runs = self.run_in_order([self.other, self.seed]);
            runs.into_iter().find(|run| run.index == 1).map(|run| run.outcome)
        };
        let two = after.filter(differs).or_else(|| second_of_process().filter(differs));
        let versions = one
            .clone()
            .zip(two)
            .map(|(one, two)| [(one, RunContext::Fresh), (two, RunContext::AfterOthers)]);
        let cause = match (&versions, failed_second, has_threads) {
            (_, _, true) => MismatchCause::Thread,
            (Some(_), _, false) | (None, true, false) => MismatchCause::State,
            (None, false, false) => MismatchCause::Rare,
        };
        Diagnosis { cause, versions }
    }
}

/// Whether a run can serve as evidence. A broken run cannot.
fn is_evidence(run: &Outcome) -> bool {
    !matches!(run.verdict, Verdict::Broken(_))
}

/// Determines the cause from runs without address randomization. `once` returns `None` for a broken run.
fn at_fixed_addresses(mut once: impl FnMut() -> Option<Outcome>) -> MismatchCause {
    let mut runs: Vec<Outcome> = Vec::new();
    for _ in 0..MAX_FIXED_RUNS {
        let Some(run) = once() else { return MismatchCause::AddressesOrOutside };
        if runs.iter().filter(|other| other.is_same_run(&run)).count() + 1 >= FIXED_RUNS {
            return MismatchCause::Addresses;
        }
        runs.push(run);
    }
    MismatchCause::Outside
}

/// Index of a run that differs from the first.
fn first_different(runs: &[Outcome]) -> Option<usize> {
    let first = runs.first()?;
    runs.iter().position(|run| !run.is_same_run(first))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cause(hashes: &[u64]) -> MismatchCause {
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
        assert_eq!(cause(&[1; 5]), MismatchCause::Addresses);
        assert_eq!(cause(&[2, 1, 1, 3, 1, 1, 4, 1]), MismatchCause::Addresses);
        assert_eq!(cause(&[1, 2, 3, 4, 5, 6, 7, 8]), MismatchCause::Outside);
        assert_eq!(cause(&[1, 1, 1, 1, 2, 3, 4, 5]), MismatchCause::Outside);
        assert_eq!(cause(&[1, 1, 2]), MismatchCause::AddressesOrOutside);
    }
}
