//! A failing seed made smaller, by the runs of a pool: the shrinker's oracle, and what it comes to.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::engine::draws::overlay::Overlay;
use crate::engine::draws::positions::StepSequence;
use crate::engine::failure::verdict::{Failure, FailureKind};
use crate::engine::record::deviations::{RecordLevel, Size};
use crate::harness::config::{Config, Shrink};
use crate::harness::progress::Bar;
use crate::harness::workers::job::{Job, Next, Ran};
use crate::harness::workers::pool::{Pool, Runs};
use crate::outcome::{Keep, Outcome};
use crate::shrink::token::{Token, TraceMarks, short, test_number};
use crate::shrink::{self, Candidates, Oracle, Seen, Shrunk, Verdict};
use crate::spec::SimTest;

/// So many candidates are made ahead of what is known, at most. What is found does not depend on it.
const AHEAD: usize = 64;
/// So many walks of steps are in a token.
const MOST_WALKS: usize = 4;
const GLANCE: Duration = Duration::from_millis(100);

/// The smallest run that was found, made again alone.
#[derive(Debug)]
pub(crate) struct Minimal {
    pub(crate) shrunk: Shrunk,
    /// With its log, and what was not calm in it.
    pub(crate) ran: Ran,
    /// It did the very same, in a process of its own.
    pub(crate) repeats: bool,
    pub(crate) token: Token,
}

/// Shrinks a failing seed, as the configuration says. `None` when it is not to be, or can't be.
pub(crate) fn shrink(
    pool: &Pool,
    config: &Config,
    test: &'static SimTest,
    find: &Outcome,
) -> Option<Minimal> {
    let failure = find.failure().filter(|failure| can_be_shrunk(failure))?;
    let (budget, end) = match config.shrink {
        Shrink::Off => return None,
        Shrink::Runs(runs) => (runs, None),
        Shrink::Time(time) => (u64::MAX, Some(now() + time)),
    };
    let mut oracle = PoolOracle {
        pool,
        shape: find.shape,
        walks: walks(find),
        job: Job {
            test,
            seed: find.seed,
            overlay: Overlay::default(),
            keep: Keep { deviations: RecordLevel::Size, ..Keep::default() },
        },
        failure: failure.clone(),
        end,
        bar: Bar::shrinking(test, end.is_none().then_some(budget)),
        tried: 0,
    };
    let shrunk = shrink::shrink(&mut oracle, budget)?;
    let PoolOracle { job, failure, bar, .. } = oracle;
    drop(bar);
    forget_best(test);
    let job = Job { overlay: shrunk.overlay.clone(), ..job };
    let keep = Keep { log: true, deviations: RecordLevel::All, ..Keep::default() };
    let ran = one(pool, Job { keep, ..job.clone() });
    let alone = pool.run_alone(Job { keep, ..job.clone() });
    let fails = |ran: &Ran| ran.outcome.failure().is_some_and(|other| other.is_like(&failure));
    if !fails(&ran) {
        return None;
    }
    let repeats = fails(&alone) && alone.outcome.trace_hash == ran.outcome.trace_hash;
    let token = Token { walks: walks(find), ..token(test, &job.overlay, &ran.outcome) };
    Some(Minimal { shrunk, ran, repeats, token })
}

/// The token of a run that failed.
pub(crate) fn token(test: &SimTest, overlay: &Overlay, outcome: &Outcome) -> Token {
    let failure = outcome.failure().map(Failure::fingerprint).unwrap_or_default();
    let marks = outcome.checkpoints.iter().map(|mark| mark.hash as u8).collect();
    Token {
        test: test_number(&test.key()),
        shape: outcome.shape as u32,
        walks: walks(outcome),
        seed: outcome.seed,
        overlay: overlay.clone(),
        failure: short(&failure),
        trace: TraceMarks { events: outcome.trace_events, hash: outcome.trace_hash as u32, marks },
    }
}

/// The walks of a run, for its token: of the run as it was found more is known than of what is left of it.
fn walks(outcome: &Outcome) -> Vec<StepSequence> {
    outcome.sequences.iter().take(MOST_WALKS).cloned().collect()
}

/// The best so far of all that are being shrunk.
pub(crate) fn best_so_far() -> Vec<Best> {
    best().clone()
}

/// A smaller run than the one that was found. What its trace is has not been looked at.
#[derive(Clone, Debug)]
pub(crate) struct Best {
    pub(crate) test: &'static SimTest,
    pub(crate) token: Token,
    pub(crate) size: Size,
}

/// Whether a token can say what the run was: of one whose process hung or died nothing is known, its shape neither.
pub(crate) fn is_told(outcome: &Outcome) -> bool {
    outcome.failure().is_some_and(can_be_shrunk)
}

/// A process that hangs or dies costs too much to be tried often.
fn can_be_shrunk(failure: &Failure) -> bool {
    !matches!(failure.kind, FailureKind::Hung | FailureKind::Crashed)
}

/// Makes one run.
pub(crate) fn one(pool: &Pool, job: Job) -> Ran {
    let seed = job.seed;
    let mut runs = pool.runs(std::iter::once(job));
    loop {
        match runs.next(GLANCE) {
            Next::Ran(ran) => {
                if let Some(ran) = ran.into_iter().next() {
                    return ran;
                }
            }
            Next::Nothing => {}
            Next::End => return Ran::lost(seed),
        }
    }
}

struct PoolOracle<'a> {
    pool: &'a Pool,
    shape: u64,
    walks: Vec<StepSequence>,
    job: Job,
    failure: Failure,
    end: Option<Instant>,
    bar: Bar,
    tried: u64,
}

impl PoolOracle<'_> {
    /// The size of a run that fails in the same way.
    fn size(&self, outcome: &Outcome) -> Option<Size> {
        if outcome.failure()?.is_like(&self.failure) { outcome.size } else { None }
    }

    /// The first of some that fails and fits.
    fn first_of(
        &mut self,
        some: Vec<Overlay>,
        fits: &dyn Fn(&Size) -> bool,
    ) -> Option<(u64, Size)> {
        let job = self.job.clone();
        let jobs = some.into_iter().map(move |overlay| Job { overlay, ..job.clone() });
        let mut runs: Runs = self.pool.runs(jobs);
        let mut found: Option<(u64, Size)> = None;
        loop {
            match runs.next(GLANCE) {
                Next::Ran(ran) => {
                    for ran in ran {
                        let Some(size) = self.size(&ran.outcome).filter(|size| fits(size)) else {
                            continue;
                        };
                        if found.is_none_or(|(index, _)| ran.index < index) {
                            found = Some((ran.index, size));
                            runs.cut(ran.index);
                        }
                    }
                }
                Next::Nothing => {}
                Next::End => return found,
            }
            if self.is_over() {
                return None;
            }
        }
    }
}

impl Oracle for PoolOracle<'_> {
    fn first(
        &mut self,
        candidates: Candidates<'_>,
        fits: &dyn Fn(&Size) -> bool,
    ) -> Option<(u64, Size)> {
        let mut before = 0;
        loop {
            let some: Vec<Overlay> = std::iter::from_fn(|| candidates.next()).take(AHEAD).collect();
            let count = some.len() as u64;
            if count == 0 || self.is_over() {
                return None;
            }
            if let Some((index, size)) = self.first_of(some, fits) {
                self.tried += index + 1;
                return Some((before + index, size));
            }
            before += count;
            self.tried += count;
            self.bar.show(self.tried, 0);
        }
    }

    fn look(&mut self, overlay: &Overlay) -> Verdict {
        let keep = Keep { deviations: RecordLevel::All, ..Keep::default() };
        let job = Job { overlay: overlay.clone(), keep, ..self.job.clone() };
        let outcome = one(self.pool, job).outcome;
        self.tried += 1;
        match self.size(&outcome) {
            Some(size) => Verdict::Fails(Seen { size, deviations: outcome.deviations }),
            None => Verdict::Passes,
        }
    }

    fn is_over(&self) -> bool {
        self.end.is_some_and(|end| now() >= end)
    }

    fn best(&mut self, overlay: &Overlay, size: &Size, runs: u64) {
        self.bar.show(runs, 0);
        let Job { test, seed, .. } = self.job;
        let token = Token {
            test: test_number(&test.key()),
            shape: self.shape as u32,
            walks: self.walks.clone(),
            seed,
            overlay: overlay.clone(),
            failure: short(&self.failure.fingerprint()),
            trace: TraceMarks::default(),
        };
        forget_best(test);
        best().push(Best { test, token, size: *size });
    }
}

static BEST: Mutex<Vec<Best>> = Mutex::new(Vec::new());

fn best() -> MutexGuard<'static, Vec<Best>> {
    BEST.lock().unwrap_or_else(PoisonError::into_inner)
}

fn forget_best(test: &SimTest) {
    best().retain(|best| !std::ptr::eq(best.test, test));
}

#[expect(clippy::disallowed_methods, reason = "a budget may be real time")]
fn now() -> Instant {
    Instant::now()
}
