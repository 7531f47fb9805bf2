//! How far the sweeps are, on a terminal: one line on standard error, over all tests that are under way.
//!
//! The line stands behind the cursor, which does not move: whatever is printed next is printed over it. It is cleared
//! when a test ends, before libtest says so. Without a terminal nothing is drawn, but it is known how far they are.

use std::collections::BTreeMap;
use std::io::{self, IsTerminal, Write};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::report::numbers::{span, thousands};
use crate::spec::SimTest;

/// How often it is drawn; after a test has ended, so long not at all.
const REDRAWN: Duration = Duration::from_millis(100);

/// A terminal that says less does not know.
const MIN_COLUMNS: u16 = 20;
/// For one that does not know.
const COLUMNS: u16 = 80;

static BOARD: Mutex<Board> = Mutex::new(Board { tests: BTreeMap::new(), next: 0, drawn: None });

/// Where the line begins: behind `test some_name ... ` when tests run one at a time.
static COLUMN: AtomicUsize = AtomicUsize::new(0);

struct Board {
    tests: BTreeMap<u64, Entry>,
    next: u64,
    drawn: Option<Instant>,
}

const SEEDS: &str = "seeds";

struct Entry {
    name: String,
    /// What is counted.
    what: &'static str,
    total: Option<u64>,
    end: Option<Instant>,
    began: Instant,
    done: u64,
    failed: u64,
}

/// One test's share of the line.
pub(crate) struct Bar {
    id: u64,
    drawn: bool,
}

/// How far a test is.
#[derive(Debug)]
pub(crate) struct Standing {
    pub(crate) test: String,
    /// Seeds that passed.
    pub(crate) passed: u64,
    /// Seeds that did not.
    pub(crate) failed: u64,
}

/// How far each test is that is under way.
pub(crate) fn standings() -> Vec<Standing> {
    let board = board();
    let swept = board.tests.values().filter(|entry| entry.what == SEEDS);
    let standings = swept.map(|entry| Standing {
        test: entry.name.clone(),
        passed: entry.done,
        failed: entry.failed,
    });
    standings.collect()
}

/// Says where the cursor stands while a test runs.
pub(crate) fn set_column(column: usize) {
    COLUMN.store(column, Ordering::Relaxed);
}

/// Clears the line: something else is about to be printed.
pub(crate) fn clear() {
    let mut board = board();
    if board.drawn.is_some() {
        draw("");
        board.drawn = Some(now());
    }
}

impl Bar {
    pub(crate) fn new(test: &SimTest, total: Option<u64>, budget: Option<Duration>) -> Self {
        Self::counting(SEEDS, test, total, budget)
    }

    /// For a failure that is being made smaller, by so many runs at most.
    pub(crate) fn shrinking(test: &SimTest, most: Option<u64>) -> Self {
        Self::counting("runs to shrink it", test, most, None)
    }

    fn counting(
        what: &'static str,
        test: &SimTest,
        total: Option<u64>,
        budget: Option<Duration>,
    ) -> Self {
        let mut board = board();
        board.next += 1;
        let (id, began) = (board.next, now());
        let end = budget.map(|budget| began + budget);
        let name = test.path();
        board.tests.insert(id, Entry { name, what, total, end, began, done: 0, failed: 0 });
        Self { id, drawn: io::stderr().is_terminal() }
    }

    /// So many are done, so many of these failed.
    pub(crate) fn show(&mut self, done: u64, failed: u64) {
        let mut board = board();
        if let Some(entry) = board.tests.get_mut(&self.id) {
            (entry.done, entry.failed) = (done, failed);
        }
        if !self.drawn {
            return;
        }
        let now = now();
        // Nothing for what is over before it could be read.
        let began = board.tests.values().map(|entry| entry.began).min().unwrap_or(now);
        let last = board.drawn.unwrap_or(began);
        if now.saturating_duration_since(last) >= REDRAWN {
            board.drawn = Some(now);
            let room = columns().saturating_sub(COLUMN.load(Ordering::Relaxed) + 1);
            let line: String = board.line(now).chars().take(room).collect();
            draw(&line);
        }
    }
}

impl Drop for Bar {
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
        let mut whats = tests.clone().map(|entry| entry.what);
        let what = whats.next().filter(|what| whats.all(|other| other == *what)).unwrap_or("runs");
        let of = total.map(|total| format!("/{}", thousands(total))).unwrap_or_default();
        let failed = match failed {
            0 => String::new(),
            n => format!(", {} failed", thousands(n)),
        };
        let left = tests.filter_map(|entry| entry.left(now)).max();
        let left = left.map(|left| format!(", {} left", span(left.as_nanos())));
        format!(
            "{name}: {}{of} {what}{failed}, {}/s{}",
            thousands(done),
            thousands(rate as u64),
            left.unwrap_or_default(),
        )
    }
}

impl Entry {
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

/// How wide the terminal is.
fn columns() -> usize {
    match rustix::termios::tcgetwinsize(io::stderr()) {
        Ok(size) if size.ws_col >= MIN_COLUMNS => size.ws_col.into(),
        _ => COLUMNS.into(),
    }
}

/// Behind the cursor, which stays: saved, the rest of the line erased, the text, restored.
fn draw(line: &str) {
    let text = format!("\x1b7\x1b[K{line}\x1b8");
    // A terminal that is gone shows no progress.
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
    fn one_test_and_several() {
        let began = now();
        let entry = |name: &str, total, done, failed| Entry {
            name: name.to_owned(),
            what: SEEDS,
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
