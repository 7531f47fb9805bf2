//! What is said of a test, and of one that can't be begun.

use crate::report::style::{Ink, Style};
use crate::spec::SimTest;

/// What is said of a test.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Judgement {
    /// It passed: a line or two.
    Green(String),
    /// It failed: a report.
    Red(String),
}

/// A test that can't be begun: neither pass nor failure of the program, so it fails and says why.
pub(crate) fn unfit(test: &SimTest, why: &str, style: Style) -> String {
    let head = format!("{} could not be run", test.path());
    format!("{}\n\n  {}\n", style.paint(Ink::Alarm, head), why.replace('\n', "\n  "))
}
