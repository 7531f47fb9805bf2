//! The evaluation of one test: from its seeds, checks and expectations to a result and a report.
//!
//! `run_test.rs` runs the seeds, `failure_report.rs` repeats, shrinks, records and reports a failure, `replay.rs` replays a
//! token, `capture.rs` writes packets, and `interrupt.rs` reports what was running when the process is interrupted.

pub(crate) mod capture;
pub(crate) mod failure_report;
pub(crate) mod interrupt;
pub(crate) mod replay;
pub(crate) mod run_test;

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::harness::config::{Config, SeedSelection};
use crate::harness::seeds::Seeds;
use crate::harness::seeds::determinism::CheckRate;
use crate::harness::workers::pool::Pool;
use crate::report::numbers::span;
use crate::report::style::{Ink, Style};
use crate::spec::{ExpectFailure, SimTest};

/// Result of a test after its sweep.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum TestResult {
    /// Summary in a line or two.
    Passed(String),
    /// Report of the failure.
    Failed(String),
}

/// Report of a test that could not be run. This is no failure of the program under test, but the test fails.
pub(crate) fn setup_error(test: &SimTest, why: &str, style: Style) -> String {
    let head = format!("{} could not be run", test.path());
    format!("{}\n\n  {}\n", style.paint(Ink::Alarm, head), why.replace('\n', "\n  "))
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
    pub(crate) which: Option<String>,
    pub(crate) style: Style,
}

impl<'a> Evaluation<'a> {
    /// Reads the test's settings; an error if its seeds are invalid.
    pub(crate) fn new(
        pool: &'a Pool,
        config: &'a Config,
        test: &'static SimTest,
        style: Style,
    ) -> Result<Self, String> {
        let settings = catch_unwind(AssertUnwindSafe(test.settings)).map_err(|_| {
            "evaluating `seeds` or `base_seed` of the attribute panicked".to_owned()
        })?;
        let expect = settings.expect_failure;
        let seeds = Seeds::new(settings, config)?;
        let which = which(config, &seeds);
        let rate = match config.check.or(settings.check) {
            None => CheckRate::Some,
            Some(true) => CheckRate::Every,
            Some(false) => CheckRate::Off,
        };
        Ok(Self { pool, config, test, path: test.path(), seeds, rate, expect, which, style })
    }
}

/// Describes the seeds, if they are not those of the attribute.
fn which(config: &Config, seeds: &Seeds) -> Option<String> {
    let mut parts = Vec::new();
    if let (SeedSelection::Random { .. }, Some((first, last))) = (config.selection, seeds.bounds())
    {
        parts.push(format!("SIMMACH_SEEDS={first}..={last}"));
    }
    if let (SeedSelection::Range { .. }, Some((first, last))) = (config.selection, seeds.bounds()) {
        parts.push(format!("{first}..={last}"));
    }
    if let Some(shard) = config.shard {
        parts.push(format!("shard {shard}"));
    }
    if let Some(budget) = config.budget {
        parts.push(format!("as many as fit into {}", span(budget.as_nanos())));
    }
    (!parts.is_empty()).then(|| parts.join(", "))
}
