//! What the runs of a test come to: its evaluation, results, reports and replays.

pub(crate) mod capture;
pub(crate) mod evaluation;
pub(crate) mod failure_report;
pub(crate) mod interrupt;
pub(crate) mod replay;
pub(crate) mod run_test;

use crate::report::style::{Ink, Style};
use crate::spec::SimTest;

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
