//! Finds and shrinks failing runs of a program, in this process.

use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::engine::context::RunStatus;
use crate::engine::draws::overlay::Overlay;
use crate::engine::failure::verdict::{Failure, Verdict};
use crate::engine::record::deviations::{RecordLevel, Size};
use crate::outcome::{Keep, Outcome};
use crate::program::{Program, Report, folder};
use crate::run;
use crate::shrink::{self, ActsAlone, FailingRun, Oracle, Overlays};

/// A shrunk failing run.
#[derive(Clone, Debug)]
pub struct Smaller {
    report: Report,
    before: Size,
    after: Size,
    runs: u64,
    took: Duration,
    acts: ActsAlone,
}

impl Program {
    /// Returns the first of these seeds whose run fails or cannot be executed.
    ///
    /// ```
    /// use simmach::prelude::*;
    /// use simmach::program::{Program, Scenario};
    ///
    /// let program = Program::new(|| {
    ///     Scenario::new().body(async |sim: Sim| {
    ///         let steps = sim.steps(12).count();
    ///         assert!(steps < 3, "{steps} steps");
    ///     })
    /// });
    /// let seed = program.find(0..10).expect("one fails");
    /// let smaller = program.shrink(seed, 500).expect("it fails");
    /// assert_eq!((smaller.before().steps, smaller.after().steps), (12, 3));
    /// println!("{}", smaller.story());
    /// ```
    pub fn find(&self, mut seeds: Range<u64>) -> Option<u64> {
        let folder = folder();
        let found = seeds.find(|seed| {
            self.outcome(*seed, Overlay::default(), Keep::default()).verdict != Verdict::Passed
        });
        drop(folder);
        found
    }

    /// Shrinks the failing run of a seed, with at most `runs` further runs. Returns `None` if it does not fail.
    pub fn shrink(&self, seed: u64, runs: u64) -> Option<Smaller> {
        let folder = folder();
        #[allow(clippy::disallowed_methods, reason = "how much real time it takes")]
        let began = Instant::now();
        let first = self.outcome(seed, Overlay::default(), Keep::default());
        let failure = first.failure()?.clone();
        let mut oracle = InProcess { program: self, seed, failure };
        let shrunk = shrink::shrink(&mut oracle, runs)?;
        let took = began.elapsed();
        let keep = Keep { deviations: RecordLevel::All, ..self.keep };
        let outcome = self.outcome(seed, shrunk.overlay, keep);
        drop(folder);
        Some(Smaller {
            report: Report { outcome, took: Duration::ZERO },
            before: shrunk.before,
            after: shrunk.size,
            runs: shrunk.runs,
            took,
            acts: shrunk.acts,
        })
    }

    fn outcome(&self, seed: u64, overlay: Overlay, keep: Keep) -> Outcome {
        let spec = Arc::clone(&self.spec);
        run::run_spec(move || spec(), seed, overlay, keep, Arc::new(RunStatus::default()))
    }
}

impl Smaller {
    /// The smallest failing run that was found.
    pub fn report(&self) -> &Report {
        &self.report
    }

    /// The size of the run before shrinking.
    pub fn before(&self) -> Size {
        self.before
    }

    /// The size of the shrunk run.
    pub fn after(&self) -> Size {
        self.after
    }

    /// Number of runs executed for shrinking.
    pub fn runs(&self) -> u64 {
        self.runs
    }

    /// The real time that shrinking took.
    pub fn took(&self) -> Duration {
        self.took
    }

    /// Whether the failure needs the plans themselves, that is, whether the run passes if only the acts of the plans are
    /// repeated.
    pub fn needs_plans(&self) -> bool {
        self.acts == ActsAlone::Pass
    }

    /// The remaining deviations in order, as text.
    pub fn story(&self) -> String {
        crate::report::story::list(&self.report.outcome, crate::report::style::Style::PLAIN)
    }
}

impl Report {
    /// The kind of the failure; for [`Sim::fail`](crate::Sim::fail) its key.
    pub fn failure_key(&self) -> Option<&str> {
        self.outcome.failure().map(|failure| failure.kind.word())
    }
}

struct InProcess<'a> {
    program: &'a Program,
    seed: u64,
    failure: Failure,
}

impl InProcess<'_> {
    fn make(&self, overlay: &Overlay, deviations: RecordLevel) -> Option<(Size, Outcome)> {
        let keep = Keep { deviations, ..Keep::default() };
        let outcome = self.program.outcome(self.seed, overlay.clone(), keep);
        let same = outcome.failure()?.is_like(&self.failure);
        let size = outcome.size.filter(|_| same)?;
        Some((size, outcome))
    }
}

impl Oracle for InProcess<'_> {
    fn first_failing(
        &mut self,
        candidates: Overlays<'_>,
        fits: &dyn Fn(&Size) -> bool,
    ) -> Option<(u64, Size)> {
        (0..).zip(candidates).find_map(|(index, overlay)| {
            let (size, _) = self.make(&overlay, RecordLevel::Size)?;
            fits(&size).then_some((index, size))
        })
    }

    fn inspect(&mut self, overlay: &Overlay) -> shrink::Answer {
        match self.make(overlay, RecordLevel::All) {
            Some((size, Outcome { deviations, acts, .. })) => {
                shrink::Answer::Fails(FailingRun { size, deviations, acts })
            }
            None => shrink::Answer::Passes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::program::Scenario;
    use crate::sim::Sim;

    /// A smaller run with another failure must not be taken.
    #[test]
    fn shrunk_run_has_the_same_failure() {
        let program = Program::new(|| {
            Scenario::new().body(async |sim: Sim| {
                let taken = sim.steps(12).count();
                let key = if taken < 3 { "few" } else { "many" };
                sim.fail(key, format!("{taken} steps"));
            })
        });
        let smaller = program.log(false).shrink(1, 500).expect("it fails");
        assert_eq!(smaller.report().failure_key(), Some("many"));
        assert_eq!((smaller.before().steps, smaller.after().steps), (12, 3));
    }
}
