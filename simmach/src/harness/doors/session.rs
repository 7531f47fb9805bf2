//! State that the tests of one process share: configuration, pool and signal handling.

use std::io::{self, Write};
use std::sync::OnceLock;

use crate::harness::config::{self, Config, ConfigError, JOBS, config};
use crate::harness::evaluation::interrupt;
use crate::harness::workers::disk::Folder;
use crate::harness::workers::exit_now;
use crate::harness::workers::in_process::InProcess;
use crate::harness::workers::job::Job;
use crate::harness::workers::launch::{self, Launcher};
use crate::harness::workers::pool::Pool;
use crate::harness::workers::watchdog::Hang;
use crate::harness::{command, progress, registry};
use crate::outcome::Outcome;
use crate::report::console::{Rerun, RunReport, summarize};
use crate::report::style::Style;
use crate::run;

/// Configuration and pool of this process.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) pool: Pool,
    pub(crate) config: &'static Config,
}

static SESSION: OnceLock<Result<Session, &'static ConfigError>> = OnceLock::new();

/// Returns the session. The first test opens it. `launcher` describes how this binary is started as
/// a worker.
pub(crate) fn session(
    launcher: impl FnOnce() -> Launcher,
) -> Result<&'static Session, &'static ConfigError> {
    let session = SESSION.get_or_init(|| open(launcher)).as_ref().map_err(|error| *error)?;
    interrupt::watch(&session.pool);
    Ok(session)
}

/// Ends the workers after all tests.
pub(crate) fn close() {
    launch::end_all();
}

extern "C" fn end_all_at_exit() {
    launch::end_all();
}

fn open(launcher: impl FnOnce() -> Launcher) -> Result<Session, &'static ConfigError> {
    let config = config().as_ref()?;
    let tests = registry::all();
    exit_now::at_exit_if_profiled(end_all_at_exit);
    let pool = if config.in_process {
        let create_folder = || Folder::shared(config.folder.as_deref());
        let in_process =
            InProcess::new(tests, run::run, Box::new(create_folder), config.hang, report_hang);
        Pool::in_process(in_process, tests, launcher())
    } else {
        Pool::workers(config.jobs, tests, launcher())
    };
    Ok(Session { pool, config })
}

/// Reports a run of this process that hangs, after a rerun in a fresh process, and exits.
fn report_hang(hang: Hang) {
    progress::clear();
    let job = hang.job.clone();
    let outcome = hang.outcome();
    let text = match (SESSION.get(), job) {
        (Some(Ok(Session { pool, .. })), Some(job)) => Some(hang_report(pool, job, &outcome)),
        _ => None,
    };
    let text = text.unwrap_or_else(|| {
        format!("simmach: a run of seed {} hangs: {}\n", outcome.seed, summarize(&outcome.verdict))
    });
    // Ignored: standard error may be closed.
    let _ = io::stderr().write_all(text.as_bytes());
    if let Some(Ok(Session { pool, .. })) = SESSION.get() {
        pool.delete_folder();
    }
    exit_now::exit_now(101);
}

fn hang_report(pool: &Pool, job: Job, outcome: &Outcome) -> String {
    let (test, seed) = (job.test, job.seed);
    let second = pool.run_in_fresh_process(job);
    let report = RunReport {
        test: &test.path(),
        outcome,
        passed: 0,
        rerun: Rerun::compare(outcome, &second.outcome),
        notes: String::new(),
        replay: None,
        output: b"",
        seed_source: None,
        log_lines: config::log_lines(),
        command: command::run_seed(test, seed),
    };
    let text = report.text(Style::PLAIN);
    format!(
        "\n{text}\nsimmach: cannot end a run that hangs in this OS process, so the remaining tests are not run. \
         With {JOBS}=2 or more, simmach executes runs in worker processes, and can end those that hang.\n"
    )
}
