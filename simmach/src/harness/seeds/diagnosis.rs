//! Why a seed made two runs: it is run a few times more, in ways that tell the causes apart.
//!
//! In fresh processes a program that is a function of its seed and of what its process holds makes one run. If it does, and
//! another after other seeds, something outlives a run. If it does not, the addresses of the process are made the same
//! each time: what then makes one run depends on them. What is left comes from outside.

use crate::engine::draws::overlay::Overlay;
use crate::engine::failure::verdict::Verdict;
use crate::harness::workers::job::Job;
use crate::harness::workers::pool::{Alone, Pool};
use crate::outcome::{Keep, Outcome};
use crate::report::difference::{LikelyCause, RunContext};
use crate::spec::SimTest;

/// So many fresh processes must agree.
const FRESH: usize = 3;
/// So many that are loaded at the same addresses: what is as chance has it agrees now and then.
const FIXED: usize = 5;
/// Of so many at most: threads of the worker's own that come to the allocator in another order move what a run is given,
/// now and then, on a machine with much to do.
const TRIES: usize = 8;

/// What was found.
#[derive(Debug)]
pub(crate) struct Diagnosis {
    pub(crate) cause: LikelyCause,
    /// Two runs that differ, with their events, if any did.
    pub(crate) versions: Option<[(Outcome, RunContext); 2]>,
}

/// Looks for the cause; `other` is a seed to be run between.
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
    let once = |alone: Alone<'_>| alone.run(job(seed)).outcome;
    // What is not a run tells nothing.
    let is_run = |run: &Outcome| !matches!(run.verdict, Verdict::Broken(_));

    let other = other.unwrap_or(seed.wrapping_add(1));
    let around = pool.alone(1).runs([seed, other, seed].map(job).into_iter()).all();
    let mut around = around.into_iter().filter(|ran| ran.index != 1).map(|ran| ran.outcome);
    let (first, after) = (around.next(), around.next());
    let mut fresh: Vec<Outcome> = first.into_iter().filter(is_run).collect();
    while fresh.len() < FRESH {
        let run = once(pool.alone(1));
        if !is_run(&run) {
            break;
        }
        fresh.push(run);
    }

    let threads = fresh.iter().chain(after.iter()).any(|run| run.threads);
    if let Some(odd) = odd_one(&fresh) {
        let cause = if threads {
            LikelyCause::Thread
        } else {
            at_fixed_addresses(|| Some(once(pool.alone_at_fixed_addresses())).filter(is_run))
        };
        let two = fresh.swap_remove(odd);
        let one = fresh.swap_remove(0);
        return Diagnosis {
            cause,
            versions: Some([(one, RunContext::Fresh), (two, RunContext::Fresh)]),
        };
    }
    // A process's first run of the seed passed, and was thrown away: the second did not.
    let by_the_second = fresh.iter().any(|run| run.passed_before && run.failure().is_some());
    let one = fresh.into_iter().next();
    let another =
        |run: &Outcome| is_run(run) && one.as_ref().is_some_and(|one| !one.is_same_run(run));
    // What the first run of a process leaves behind may be left alone by the others.
    let behind = || {
        let ran = pool.alone(1).runs([other, seed].map(job).into_iter()).all();
        ran.into_iter().find(|ran| ran.index == 1).map(|ran| ran.outcome)
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

/// What it is, given how runs come out that are loaded at the same addresses; `None` is one that was no run.
fn at_fixed_addresses(mut once: impl FnMut() -> Option<Outcome>) -> LikelyCause {
    let mut runs: Vec<Outcome> = Vec::new();
    for _ in 0..TRIES {
        let Some(run) = once() else { return LikelyCause::AddressesOrOutside };
        if runs.iter().filter(|other| other.is_same_run(&run)).count() + 1 >= FIXED {
            return LikelyCause::Addresses;
        }
        runs.push(run);
    }
    LikelyCause::Outside
}

/// The place of one that is not as the first.
fn odd_one(runs: &[Outcome]) -> Option<usize> {
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

    /// One run of several that is another is a busy machine's doing; most that are is the program's.
    #[test]
    fn most_runs_at_fixed_addresses_decide() {
        assert_eq!(cause(&[1; 5]), LikelyCause::Addresses);
        assert_eq!(cause(&[2, 1, 1, 3, 1, 1, 4, 1]), LikelyCause::Addresses);
        assert_eq!(cause(&[1, 2, 3, 4, 5, 6, 7, 8]), LikelyCause::Outside);
        assert_eq!(cause(&[1, 1, 1, 1, 2, 3, 4, 5]), LikelyCause::Outside);
        assert_eq!(cause(&[1, 1, 2]), LikelyCause::AddressesOrOutside);
    }
}
