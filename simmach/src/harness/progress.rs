//! The progress of all sweeps, as one line on standard error.
//!
//! The line is drawn after the cursor, which does not move, so the next output overwrites the line.
//! The line is cleared when a test ends, before libtest prints the result. Without a terminal,
//! nothing is drawn, but progress is still recorded.

use std::collections::BTreeMap;
use std::io::{self, IsTerminal, Write};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::report::numbers::{span, thousands};
use crate::spec::SimTest;

/// Minimum time between two draws, and between the end of a test and the next draw.
const REDRAW_INTERVAL: Duration = Duration::from_millis(100);

/// A terminal that reports fewer columns does not know its width.
const MIN_COLUMNS: u16 = 20;
/// Width that is assumed for such a terminal.
const DEFAULT_COLUMNS: u16 = 80;

static BOARD: Mutex<Board> = Mutex::new(Board { tests: BTreeMap::new(), next: 0, drawn: None });

/// Column at which the line starts: after `test some_name ... ` when tests run one at a time.
static COLUMN: AtomicUsize = AtomicUsize::new(0);

struct Board {
    tests: BTreeMap<u64, TestEntry>,
    next: u64,
    drawn: Option<Instant>,
}

/// What the numbers in a test's progress count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unit {
    Seeds,
    /// Runs that shrink a failure.
    ShrinkRuns,
}

struct TestEntry {
    name: String,
    /// Unit of `done` and `total`.
    unit: Unit,
    total: Option<u64>,
    end: Option<Instant>,
    began: Instant,
    done: u64,
    failed: u64,
}

/// One test's share of the line.
pub(crate) struct ProgressBar {
    id: u64,
    drawn: bool,
}

/// Progress of one test.
#[derive(Debug)]
pub(crate) struct TestProgress {
    pub(crate) test: String,
    /// Number of seeds that passed.
    pub(crate) passed: u64,
    /// Number of seeds that did not pass.
    pub(crate) failed: u64,
}

/// Progress of each test that is running.
pub(crate) fn tests_in_progress() -> Vec<TestProgress> {
    let board = board();
    let result = board.tests.values().filter(|entry| entry.unit == Unit::Seeds);
    let tests_in_progress = result.map(|entry| TestProgress {
        test: entry.name.clone(),
        passed: entry.done,
        failed: entry.failed,
    });
    tests_in_progress.collect()
}

/// Sets the cursor column while a test runs.
pub(crate) fn set_column(column: usize) {
    COLUMN.store(column, Ordering::Relaxed);
}

/// Clears the line before something else is printed.
pub(crate) fn clear() {
    let mut board = board();
    if board.drawn.is_some() {
        draw("");
        board.drawn = Some(now());
    }
}

impl ProgressBar {
    pub(crate) fn new(test: &SimTest, total: Option<u64>, budget: Option<Duration>) -> Self {
        Self::counting(Unit::Seeds, test, total, budget)
    }

    /// Creates a progress bar for shrinking a failure with at most `max` runs.
    pub(crate) fn shrinking(test: &SimTest, max: Option<u64>) -> Self {
        Self::counting(Unit::ShrinkRuns, test, max, None)
    }

    fn counting(unit: Unit, test: &SimTest, total: Option<u64>, budget: Option<Duration>) -> Self {
        let mut board = board();
        board.next += 1;
        let (id, began) = (board.next, now());
        let end = budget.map(|budget| began + budget);
        let name = test.path();
        board.tests.insert(id, TestEntry { name, unit, total, end, began, done: 0, failed: 0 });
        Self { id, drawn: io::stderr().is_terminal() }
    }

    /// Sets the number of finished and failed runs, and draws the line if it is due.
    pub(crate) fn show(&mut self, done: u64, failed: u64) {
        let mut board = board();
        if let Some(entry) = board.tests.get_mut(&self.id) {
            (entry.done, entry.failed) = (done, failed);
        }
        if !self.drawn {
            return;
        }
        let now = now();
        // Nothing is drawn for tests that end before the line could be read.
        let began = board.tests.values().map(|entry| entry.began).min().unwrap_or(now);
        let last = board.drawn.unwrap_or(began);
        if now.saturating_duration_since(last) >= REDRAW_INTERVAL {
            board.drawn = Some(now);
            let room = columns().saturating_sub(COLUMN.load(Ordering::Relaxed) + 1);
            let line: String = board.line(now).chars().take(room).collect();
            draw(&line);
        }
    }
}

impl Drop for ProgressBar {
    fn drop(&mut self) {
        board().tests.remove(&self.id);
        clear();
    }
}

impl Board {
    fn line(&self, now: Instant) -> String {
        let tests = self.tests.values();
        let done: u64 = tests.clone().map(|entry| entry.done).sum();
        let failed: u64 = tests.clone().map(|entry| entry.failed).sum();
        let rates = tests.clone().map(|entry| entry.rate(now));
        let rate: f64 = rates.sum();
        let total = tests.clone().map(|entry| entry.total).sum::<Option<u64>>();
        let name = match tests.len() {
            1 => tests.clone().map(|entry| entry.name.clone()).collect(),
            n => format!("{n} tests"),
        };
        let mut units = tests.clone().map(|entry| entry.unit);
        let unit = units.next().filter(|unit| units.all(|other| other == *unit));
        let unit = match unit {
            Some(Unit::Seeds) => "seeds",
            Some(Unit::ShrinkRuns) => "shrinking runs",
            None => "runs",
        };
        let of = total.map(|total| format!("/{}", thousands(total))).unwrap_or_default();
        let failed = match failed {
            0 => String::new(),
            n => format!(", {} failed", thousands(n)),
        };
        let left = tests.filter_map(|entry| entry.left(now)).max();
        let left = left.map(|left| format!(", {} left", span(left.as_nanos())));
        format!(
            "{name}: {}{of} {unit}{failed}, {}/s{}",
            thousands(done),
            thousands(rate as u64),
            left.unwrap_or_default(),
        )
    }
}

impl TestEntry {
    fn rate(&self, now: Instant) -> f64 {
        self.done as f64 / now.saturating_duration_since(self.began).as_secs_f64().max(1e-3)
    }

    fn left(&self, now: Instant) -> Option<Duration> {
        if let Some(end) = self.end {
            return Some(end.saturating_duration_since(now));
        }
        let rest = self.total?.saturating_sub(self.done) as f64;
        Duration::try_from_secs_f64(rest / self.rate(now)).ok()
    }
}

/// Width of the terminal in columns.
fn columns() -> usize {
    match rustix::termios::tcgetwinsize(io::stderr()) {
        Ok(size) if size.ws_col >= MIN_COLUMNS => size.ws_col.into(),
        _ => DEFAULT_COLUMNS.into(),
    }
}

/// Saves the cursor, erases the rest of the line, writes the text, restores the cursor.
fn draw(line: &str) {
    let text = format!("\x1b7\x1b[K{line}\x1b8");
    // Progress is lost if the terminal is gone.
    let _ = io::stderr().write_all(text.as_bytes());
}

fn board() -> MutexGuard<'static, Board> {
    BOARD.lock().unwrap_or_else(PoisonError::into_inner)
}

#[expect(clippy::disallowed_methods, reason = "progress is in real time")]
fn now() -> Instant {
    Instant::now()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_line_of_one_test_and_of_several() {
        let began = now();
        let entry = |name: &str, total, done, failed| TestEntry {
            name: name.to_owned(),
            unit: Unit::Seeds,
            total,
            end: None,
            began,
            done,
            failed,
        };
        let mut board = Board { tests: BTreeMap::new(), next: 0, drawn: None };
        let later = began + Duration::from_secs(10);
        board.tests.insert(1, entry("lost", Some(1000), 500, 0));
        assert_eq!(board.line(later), "lost: 500/1,000 seeds, 50/s, 10.0 s left");
        board.tests.insert(2, entry("found", Some(2000), 1000, 2));
        assert_eq!(board.line(later), "2 tests: 1,500/3,000 seeds, 2 failed, 150/s, 10.0 s left");
        board.tests.insert(3, entry("endless", None, 0, 0));
        assert_eq!(board.line(later), "3 tests: 1,500 seeds, 2 failed, 150/s, 10.0 s left");
    }
}
