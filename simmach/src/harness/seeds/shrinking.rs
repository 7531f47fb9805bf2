//! Shrinks a failing seed, and creates the token of the shrunk run. Contains the shrinker's oracle,
//! which executes runs on a pool.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::engine::draws::overlay::Overlay;
use crate::engine::draws::positions::StepSequence;
use crate::engine::failure::verdict::{Failure, FailureKind};
use crate::engine::record::deviations::{RecordLevel, Size};
use crate::harness::config::{Config, Shrink};
use crate::harness::progress::ProgressBar;
use crate::harness::workers::job::{FinishedRun, Job, NextRuns};
use crate::harness::workers::pool::{Pool, Runs};
use crate::outcome::{Keep, Outcome};
use crate::shrink::token::{Token, TraceSummary, short_hash, test_hash};
use crate::shrink::{self, Answer, FailingRun, Oracle, Overlays, ShrinkResult};
use crate::spec::SimTest;

/// Maximum number of candidates that are run speculatively. The result of shrinking does not depend
/// on this number.
const MAX_SPECULATIVE: usize = 64;
/// Maximum number of step sequences in a token.
const MAX_SEQUENCES: usize = 4;
const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// The smallest failing run that was found.
#[derive(Debug)]
pub(crate) struct ShrunkRun {
    pub(crate) shrunk: ShrinkResult,
    /// The run with its log and deviations.
    pub(crate) run: FinishedRun,
    /// Whether a run in a fresh process was the same.
    pub(crate) repeats: bool,
    pub(crate) token: Token,
}

/// Shrinks a failing seed. Returns `None` if shrinking is off or the failure cannot be shrunk.
pub(crate) fn shrink(
    pool: &Pool,
    config: &Config,
    test: &'static SimTest,
    failing: &Outcome,
) -> Option<ShrunkRun> {
    let failure = failing.failure().filter(|failure| can_be_shrunk(failure))?;
    let began = now();
    let (budget, end) = match config.shrink {
        Shrink::Off => return None,
        Shrink::Usual => (u64::MAX, Some(began + usual_time()?)),
        Shrink::Runs(runs) => (runs, None),
        Shrink::Time(time) => (u64::MAX, Some(began + time)),
    };
    let mut oracle = PoolOracle {
        pool,
        shape: failing.shape,
        sequences: step_sequences(failing),
        is_scripted: false,
        job: Job {
            test,
            seed: failing.seed,
            overlay: Overlay::default(),
            keep: Keep { deviations: RecordLevel::Size, ..Keep::default() },
        },
        failure: failure.clone(),
        end,
        bar: ProgressBar::shrinking(test, end.is_none().then_some(budget)),
        tried: 0,
    };
    let shrunk = shrink::shrink(&mut oracle, budget);
    *spent() += began.elapsed();
    let shrunk = shrunk?;
    let PoolOracle { job, failure, bar, sequences, .. } = oracle;
    drop(bar);
    forget_best(test);
    let job = Job { overlay: shrunk.overlay.clone(), ..job };
    let keep = Keep { log: true, deviations: RecordLevel::All, ..Keep::default() };
    let run = run_one(pool, Job { keep, ..job.clone() });
    let fresh = pool.run_in_fresh_process(Job { keep, ..job.clone() });
    let fails =
        |run: &FinishedRun| run.outcome.failure().is_some_and(|other| other.is_like(&failure));
    if !fails(&run) {
        return None;
    }
    let repeats = fails(&fresh) && fresh.outcome.trace_hash == run.outcome.trace_hash;
    let token = Token { sequences, ..token(test, &job.overlay, &run.outcome) };
    Some(ShrunkRun { shrunk, run, repeats, token })
}

/// Creates the token of a failing run.
pub(crate) fn token(test: &SimTest, overlay: &Overlay, outcome: &Outcome) -> Token {
    let failure = outcome.failure().map(Failure::fingerprint).unwrap_or_default();
    let checkpoints = outcome.checkpoints.iter().map(|checkpoint| checkpoint.hash as u8).collect();
    Token {
        test: test_hash(&test.key()),
        shape: outcome.shape as u32,
        sequences: step_sequences(outcome),
        seed: outcome.seed,
        overlay: overlay.clone(),
        failure: short_hash(&failure),
        trace: TraceSummary {
            events: outcome.trace_events,
            hash: outcome.trace_hash as u32,
            checkpoints,
        },
    }
}

/// Returns the step sequences of a run for its token. Those of the original run are more complete than those of the shrunk
/// run.
fn step_sequences(outcome: &Outcome) -> Vec<StepSequence> {
    outcome.sequences.iter().take(MAX_SEQUENCES).cloned().collect()
}

/// The smallest failing runs so far of all tests that are being shrunk.
pub(crate) fn best_so_far() -> Vec<BestSoFar> {
    best().clone()
}

/// The smallest failing run so far. The trace in its token is unknown.
#[derive(Clone, Debug)]
pub(crate) struct BestSoFar {
    pub(crate) test: &'static SimTest,
    pub(crate) token: Token,
    pub(crate) size: Size,
}

/// Whether a token can describe the run. If the run hung or ended its process, neither its trace nor its shape is known.
pub(crate) fn can_be_described(outcome: &Outcome) -> bool {
    outcome.failure().is_some_and(can_be_shrunk)
}

/// Hangs and crashes are too slow to be repeated many times.
fn can_be_shrunk(failure: &Failure) -> bool {
    !matches!(failure.kind, FailureKind::Hung | FailureKind::Crashed)
}

/// Executes one run.
pub(crate) fn run_one(pool: &Pool, job: Job) -> FinishedRun {
    let seed = job.seed;
    let mut runs = pool.runs(std::iter::once(job));
    loop {
        match runs.next(POLL_INTERVAL) {
            NextRuns::Finished(finished) => {
                if let Some(run) = finished.into_iter().next() {
                    return run;
                }
            }
            NextRuns::Pending => {}
            NextRuns::End => return FinishedRun::lost(seed),
        }
    }
}

struct PoolOracle<'a> {
    pool: &'a Pool,
    shape: u64,
    sequences: Vec<StepSequence>,
    /// Whether both are those of a run in which acts stand in for plans.
    is_scripted: bool,
    job: Job,
    failure: Failure,
    end: Option<Instant>,
    bar: ProgressBar,
    tried: u64,
}

impl PoolOracle<'_> {
    /// Returns the size of the run if it fails in the same way.
    fn size(&self, outcome: &Outcome) -> Option<Size> {
        if outcome.failure()?.is_like(&self.failure) { outcome.size } else { None }
    }

    /// Returns the first of these candidates that fails in the same way and is accepted.
    fn first_of(
        &mut self,
        overlays: Vec<Overlay>,
        fits: &dyn Fn(&Size) -> bool,
    ) -> Option<(u64, Size)> {
        let job = self.job.clone();
        let jobs = overlays.into_iter().map(move |overlay| Job { overlay, ..job.clone() });
        let mut runs: Runs = self.pool.runs(jobs);
        let mut found: Option<(u64, Size)> = None;
        loop {
            match runs.next(POLL_INTERVAL) {
                NextRuns::Finished(finished) => {
                    for run in finished {
                        let Some(size) = self.size(&run.outcome).filter(|size| fits(size)) else {
                            continue;
                        };
                        if found.is_none_or(|(index, _)| run.index < index) {
                            found = Some((run.index, size));
                            runs.cut(run.index);
                        }
                    }
                }
                NextRuns::Pending => {}
                NextRuns::End => return found,
            }
            if self.is_over() {
                return None;
            }
        }
    }
}

impl Oracle for PoolOracle<'_> {
    fn first_failing(
        &mut self,
        candidates: Overlays<'_>,
        fits: &dyn Fn(&Size) -> bool,
    ) -> Option<(u64, Size)> {
        let mut before = 0;
        loop {
            let overlays: Vec<Overlay> =
                std::iter::from_fn(|| candidates.next()).take(MAX_SPECULATIVE).collect();
            let count = overlays.len() as u64;
            if count == 0 || self.is_over() {
                return None;
            }
            if let Some((index, size)) = self.first_of(overlays, fits) {
                self.tried += index + 1;
                return Some((before + index, size));
            }
            before += count;
            self.tried += count;
            self.bar.show(self.tried, 0);
        }
    }

    fn inspect(&mut self, overlay: &Overlay) -> Answer {
        let keep = Keep { deviations: RecordLevel::All, ..Keep::default() };
        let job = Job { overlay: overlay.clone(), keep, ..self.job.clone() };
        let outcome = run_one(self.pool, job).outcome;
        self.tried += 1;
        match self.size(&outcome) {
            Some(size) => {
                if overlay.script().is_some() && !std::mem::replace(&mut self.is_scripted, true) {
                    // The first run without the plans: no step of the program is left out.
                    (self.shape, self.sequences) = (outcome.shape, step_sequences(&outcome));
                }
                let (deviations, acts) = (outcome.deviations, outcome.acts);
                Answer::Fails(FailingRun { size, deviations, acts })
            }
            None => Answer::Passes,
        }
    }

    fn is_over(&self) -> bool {
        self.end.is_some_and(|end| now() >= end)
    }

    fn found_smaller(&mut self, overlay: &Overlay, size: &Size, runs: u64) {
        self.bar.show(runs, 0);
        let Job { test, seed, .. } = self.job;
        let token = Token {
            test: test_hash(&test.key()),
            shape: self.shape as u32,
            sequences: self.sequences.clone(),
            seed,
            overlay: overlay.clone(),
            failure: short_hash(&self.failure.fingerprint()),
            trace: TraceSummary::default(),
        };
        forget_best(test);
        best().push(BestSoFar { test, token, size: *size });
    }
}

/// Real time for shrinking one failure, unless `SIMMACH_SHRINK` is set.
pub(crate) const TIME_OF_A_FAILURE: Duration = Duration::from_secs(60);
/// Real time for shrinking all failures of a process.
const TIME_OF_THE_PROCESS: Duration = Duration::from_secs(180);

/// The time that the process has left for the next failure; `None` if there is none.
fn usual_time() -> Option<Duration> {
    let left = TIME_OF_THE_PROCESS.saturating_sub(*spent()).min(TIME_OF_A_FAILURE);
    (!left.is_zero()).then_some(left)
}

/// The time that the process has spent on shrinking.
fn spent() -> MutexGuard<'static, Duration> {
    static SPENT: Mutex<Duration> = Mutex::new(Duration::ZERO);
    SPENT.lock().unwrap_or_else(PoisonError::into_inner)
}

static BEST: Mutex<Vec<BestSoFar>> = Mutex::new(Vec::new());

fn best() -> MutexGuard<'static, Vec<BestSoFar>> {
    BEST.lock().unwrap_or_else(PoisonError::into_inner)
}

fn forget_best(test: &SimTest) {
    best().retain(|best| !std::ptr::eq(best.test, test));
}

#[expect(clippy::disallowed_methods, reason = "a budget may be real time")]
fn now() -> Instant {
    Instant::now()
}
