//! The evaluation of one test: from its seeds, checks and expectations to a result and a report.
//!
//! `run_test.rs` runs regressions (`regression_runs.rs`) and the sweep, and evaluates the result,
//! also against an expected failure (`expectations.rs`). `failure_report.rs` reruns, shrinks,
//! records and reports a failure. `replay.rs` replays a token, `capture.rs` writes packets,
//! `kept_disks.rs` writes disks, and `interrupt.rs` reports what was running when the process was interrupted.

pub(crate) mod capture;
pub(crate) mod expectations;
pub(crate) mod failure_report;
pub(crate) mod interrupt;
pub(crate) mod kept_disks;
pub(crate) mod regression_runs;
pub(crate) mod replay;
pub(crate) mod run_test;

use std::fmt::Display;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::harness::config::{Config, SEEDS, SeedSelection};
use crate::harness::evaluation::capture::CaptureError;
use crate::harness::evaluation::replay::ReplayError;
use crate::harness::seeds::determinism::CheckRate;
use crate::harness::seeds::{Seeds, SeedsError};
use crate::harness::workers::pool::Pool;
use crate::report::numbers::span;
use crate::report::style::{Ink, Style};
use crate::spec::{ExpectFailure, SimTest};

/// Result of a test after its sweep.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum TestResult {
    /// Summary of one or two lines.
    Passed(String),
    /// Report of the failure.
    Failed(String),
}

/// Why a test cannot be run.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EvaluationError {
    /// The attribute's arguments are expressions, and one of them panicked.
    #[error(
        "the expression for `seeds` or `base_seed` in the attribute panicked; the message of the panic is in the \
         output of the test"
    )]
    Settings,
    #[error(transparent)]
    Seeds(#[from] SeedsError),
    #[error(transparent)]
    Replay(#[from] ReplayError),
    #[error(transparent)]
    Capture(#[from] CaptureError),
}

/// Returns the report of a test that could not be run. This is not a failure of the program under test, but the test fails.
pub(crate) fn setup_error(test: &SimTest, error: &dyn Display, style: Style) -> String {
    let head = format!("{} could not be run", test.path());
    format!("{}\n\n  {}\n", style.paint(Ink::Alarm, head), error.to_string().replace('\n', "\n  "))
}

/// State for the evaluation of one test.
pub(crate) struct Evaluation<'a> {
    pub(crate) pool: &'a Pool,
    pub(crate) config: &'a Config,
    pub(crate) test: &'static SimTest,
    pub(crate) path: String,
    pub(crate) seeds: Seeds,
    pub(crate) rate: CheckRate,
    pub(crate) expect: Option<ExpectFailure>,
    /// Where the seeds come from, if not from the attribute.
    pub(crate) seed_source: Option<String>,
    pub(crate) style: Style,
}

impl<'a> Evaluation<'a> {
    /// Reads the test's settings. Returns an error if its seeds are invalid.
    pub(crate) fn new(
        pool: &'a Pool,
        config: &'a Config,
        test: &'static SimTest,
        style: Style,
    ) -> Result<Self, EvaluationError> {
        let settings =
            catch_unwind(AssertUnwindSafe(test.settings)).map_err(|_| EvaluationError::Settings)?;
        let expect = settings.expect_failure;
        let seeds = Seeds::new(settings, config)?;
        let seed_source = seed_source(config, &seeds);
        let rate = match config.check.or(settings.check) {
            None => CheckRate::Some,
            Some(true) => CheckRate::Every,
            Some(false) => CheckRate::Off,
        };
        Ok(Self { pool, config, test, path: test.path(), seeds, rate, expect, seed_source, style })
    }
}

/// Describes where the seeds come from, if they do not come from the attribute.
fn seed_source(config: &Config, seeds: &Seeds) -> Option<String> {
    let mut parts = Vec::new();
    if let (SeedSelection::Random { .. }, Some((first, last))) = (config.selection, seeds.bounds())
    {
        parts.push(format!("{SEEDS}={first}..={last}"));
    }
    if let (SeedSelection::Range { .. }, Some((first, last))) = (config.selection, seeds.bounds()) {
        parts.push(format!("seeds {first}..={last}"));
    }
    if let Some(shard) = config.shard {
        parts.push(format!("shard {shard}"));
    }
    if let Some(budget) = config.budget {
        parts.push(format!("as many seeds as fit into {} of real time", span(budget.as_nanos())));
    }
    (!parts.is_empty()).then(|| parts.join(", "))
}
