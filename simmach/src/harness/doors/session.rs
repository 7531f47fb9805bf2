//! What the tests of one process share: the configuration, the jobs, the watch for signals.

use std::io::{self, Write};
use std::sync::OnceLock;

use crate::harness::config::{self, Config, config};
use crate::harness::verdict::interrupt;
use crate::harness::workers::disk::Folder;
use crate::harness::workers::here::Local;
use crate::harness::workers::job::Job;
use crate::harness::workers::launch::{self, Launch};
use crate::harness::workers::leave;
use crate::harness::workers::pool::Pool;
use crate::harness::workers::watchdog::Hang;
use crate::harness::{command, progress, registry};
use crate::outcome::Outcome;
use crate::report::console::{Rerun, RunReport};
use crate::report::style::Style;
use crate::run;

/// One process's.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) pool: Pool,
    pub(crate) config: &'static Config,
}

static SESSION: OnceLock<Result<Session, String>> = OnceLock::new();

/// The session; the first test opens it, and says how this binary is run again as a worker.
pub(crate) fn session(
    launcher: impl FnOnce() -> Launch,
) -> Result<&'static Session, &'static String> {
    let session = SESSION.get_or_init(|| open(launcher)).as_ref()?;
    interrupt::watch(&session.pool);
    Ok(session)
}

/// Ends the workers: all tests are over.
pub(crate) fn close() {
    launch::end_all();
}

extern "C" fn end_all_at_exit() {
    launch::end_all();
}

fn open(launcher: impl FnOnce() -> Launch) -> Result<Session, String> {
    let config = config().as_ref().map_err(ToString::to_string)?;
    let tests = registry::all();
    leave::when_profiled_at_exit(end_all_at_exit);
    let pool = if config.here {
        let settle = || Folder::shared(config.folder.as_deref());
        let local = Local::new(tests, run::run, Box::new(settle), config.hang, bark);
        Pool::here(local, tests, launcher())
    } else {
        Pool::workers(config.jobs, tests, launcher())
    };
    Ok(Session { pool, config })
}

/// A run of this very process hangs: nothing is left but to see whether it repeats, and to say so.
fn bark(hang: Hang) {
    progress::clear();
    let job = hang.job.clone();
    let outcome = hang.outcome();
    let text = match (SESSION.get(), job) {
        (Some(Ok(Session { pool, .. })), Some(job)) => Some(story(pool, job, &outcome)),
        _ => None,
    };
    let text = text.unwrap_or_else(|| format!("simmach: a run hangs: {:?}\n", outcome.verdict));
    // Nobody is left to tell when standard error is gone.
    let _ = io::stderr().write_all(text.as_bytes());
    if let Some(Ok(Session { pool, .. })) = SESSION.get() {
        pool.delete_folder();
    }
    leave::leave(101);
}

fn story(pool: &Pool, job: Job, outcome: &Outcome) -> String {
    let (test, seed) = (job.test, job.seed);
    let second = pool.run_alone(job);
    let report = RunReport {
        test: &test.path(),
        outcome,
        passed: 0,
        rerun: Rerun::compare(outcome, &second.outcome),
        notes: String::new(),
        replay: None,
        output: b"",
        which: None,
        log_lines: config::log_lines(),
        command: command::again(test, seed),
    };
    let text = report.text(Style::PLAIN);
    format!(
        "\n{text}\nsimmach: a process can't outlive a run of its own that hangs: no other test is run.\n"
    )
}
