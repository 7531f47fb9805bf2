//! Runs that a program executes instead of a test. Examples and benchmarks use this module.
//!
//! ```
//! use simmach::prelude::*;
//! use simmach::program::{Program, Scenario};
//!
//! async fn server() {}
//!
//! let program = Program::new(|| {
//!     Scenario::new()
//!         .topology(Topology::new().machine("server", server))
//!         .body(async |sim: Sim| sim.log("done"))
//! });
//! let report = program.run(7);
//! assert!(report.passed());
//! print!("{report}");
//! ```

mod smaller;

use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use crate::engine::context::RunStatus;
use crate::engine::draws::overlay::Overlay;
use crate::engine::log;
use crate::harness::workers::disk::{Folder, FolderError};
use crate::outcome::{Keep, Outcome};
use crate::report::log::{LineFormatter, name_of};
use crate::report::style::{Ink, Style};
use crate::report::{console, numbers, summary};
use crate::run;

pub use crate::engine::failure::verdict::{Failure, FailureKind, Verdict};
pub use crate::engine::record::deviations::Size;
pub use crate::engine::record::effects::Effect;
pub use crate::program::smaller::Smaller;
pub use crate::spec::{Spec, SpecBuilder as Scenario};

/// A scenario that can be run with any seed.
#[derive(Clone)]
pub struct Program {
    spec: Arc<dyn Fn() -> Spec + Send + Sync>,
    keep: Keep,
    /// The folder for the disks of runs. It is kept from the first run until the program is dropped, since finding a folder
    /// with room takes longer than most runs.
    folder: Arc<OnceLock<Arc<Folder>>>,
}

impl Program {
    /// Creates a program. `spec` builds the scenario anew for each run, on the run's own thread.
    pub fn new(spec: impl Fn() -> Spec + Send + Sync + 'static) -> Self {
        let keep = Keep { log: true, ..Keep::default() };
        Self { spec: Arc::new(spec), keep, folder: Arc::default() }
    }

    /// Sets whether the run's log is kept for the report: the records of `tracing` and `log` at level `INFO`, or as filtered
    /// by `RUST_LOG`. Default: true.
    #[must_use]
    pub fn log(mut self, keep: bool) -> Self {
        self.keep.log = keep;
        self
    }

    /// Runs a seed in this process and waits for the end of the run. The same seed always produces the same run.
    pub fn run(&self, seed: u64) -> Report {
        let filter = log::filter::of_process().map(drop).map_err(ToString::to_string);
        let folder = || self.hold_folder().map_err(|error| error.to_string());
        if let Err(why) = filter.and_then(|()| folder()) {
            let outcome = Outcome::without_a_run(seed, Verdict::Broken(why));
            return Report { outcome, took: Duration::ZERO };
        }
        let spec = Arc::clone(&self.spec);
        let (overlay, shared) = (Overlay::default(), Arc::new(RunStatus::default()));
        #[allow(clippy::disallowed_methods, reason = "how much real time a run takes")]
        let began = Instant::now();
        let outcome = run::run_spec(move || spec(), seed, overlay, self.keep, shared);
        let took = began.elapsed();
        Report { outcome, took }
    }

    fn hold_folder(&self) -> Result<(), FolderError> {
        if self.folder.get().is_none() {
            let _ = self.folder.set(folder()?);
        }
        Ok(())
    }
}

impl fmt::Debug for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Program").field("keep", &self.keep).finish_non_exhaustive()
    }
}

/// The outcome of a run: its verdict, faults and figures. `Display` prints the run's log, verdict and statistics.
#[derive(Clone, Debug)]
pub struct Report {
    outcome: Outcome,
    took: Duration,
}

impl Report {
    /// Whether the run passed.
    pub fn passed(&self) -> bool {
        self.outcome.verdict == Verdict::Passed
    }

    /// How the run ended.
    ///
    /// ```
    /// use simmach::prelude::*;
    /// use simmach::program::{FailureKind, Program, Scenario, Verdict};
    ///
    /// let program = Program::new(|| {
    ///     Scenario::new().body(async |sim: Sim| {
    ///         simmach::time::sleep(90.secs()).await;
    ///         sim.fail("late", "the answer came after 90 s");
    ///     })
    /// });
    /// let report = program.run(7);
    /// let Verdict::Failed(failure) = report.verdict() else { panic!("it passed") };
    /// assert_eq!(failure.kind, FailureKind::Named("late".to_owned()));
    /// assert_eq!(failure.message, "the answer came after 90 s");
    /// assert_eq!(failure.at(), 90.secs());
    /// ```
    pub fn verdict(&self) -> &Verdict {
        &self.outcome.verdict
    }

    /// Returns the failure's message, or why the run could not be executed; `None` if it passed.
    pub fn failure(&self) -> Option<&str> {
        match &self.outcome.verdict {
            Verdict::Passed => None,
            Verdict::Failed(failure) => Some(&failure.message),
            Verdict::Broken(why) => Some(why),
        }
    }

    /// The faults that took effect, in order. Faults of packets are only counted: see [`effects`](Self::effects).
    ///
    /// ```
    /// use simmach::prelude::*;
    /// use simmach::program::{Effect, Program, Scenario};
    ///
    /// async fn server() {
    ///     std::future::pending().await
    /// }
    ///
    /// let program = Program::new(|| {
    ///     Scenario::new()
    ///         .topology(Topology::new().machine("server", server))
    ///         .body(async |sim: Sim| {
    ///             simmach::time::sleep(2.secs()).await;
    ///             sim.power_off("server")
    ///         })
    /// });
    /// let report = program.run(7);
    /// assert!(report.passed(), "{report}");
    /// let fault = report.faults().next().expect("one fault");
    /// assert_eq!((fault.effect, fault.machine), (Effect::PowerOff, Some("server")));
    /// assert_eq!(fault.at, 2.secs());
    /// assert_eq!(report.effects(Effect::PowerOff), 1);
    /// ```
    pub fn faults(&self) -> impl Iterator<Item = Fault<'_>> {
        let machines = &self.outcome.machines;
        self.outcome.faults.iter().map(|fault| Fault {
            at: Duration::from_nanos(fault.at),
            effect: fault.effect,
            machine: fault.machine.map(|machine| name_of(machines, machine)),
            text: &fault.text,
        })
    }

    /// Number of times that this effect happened.
    pub fn effects(&self, effect: Effect) -> u64 {
        self.outcome.effects.count(effect)
    }

    /// The hash over all events of the run, in order.
    pub fn trace_hash(&self) -> u64 {
        self.outcome.trace_hash
    }

    /// The run's duration in virtual time.
    pub fn simulated(&self) -> Duration {
        Duration::from_nanos(self.outcome.virtual_nanos)
    }

    /// The run's duration in real time.
    pub fn took(&self) -> Duration {
        self.took
    }

    /// Number of polls of tasks and fired timers.
    pub fn polls(&self) -> u64 {
        self.outcome.polls
    }

    /// Returns the report with colours if `is_terminal` is true. The environment variables `NO_COLOR` and `CARGO_TERM_COLOR`
    /// override that.
    pub fn styled(&self, is_terminal: bool) -> impl fmt::Display + '_ {
        Styled { report: self, style: Style::for_output(is_terminal) }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Styled { report: self, style: Style::PLAIN }.fmt(f)
    }
}

/// A fault that took effect in a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Fault<'a> {
    /// Virtual time since the run began.
    pub at: Duration,
    /// The kind of fault.
    pub effect: Effect,
    /// The name of the affected machine, if there is one.
    pub machine: Option<&'a str>,
    /// The fault as a report describes it.
    pub text: &'a str,
}

struct Styled<'a> {
    report: &'a Report,
    style: Style,
}

impl fmt::Display for Styled<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Report { outcome, took } = self.report;
        let style = self.style;
        let mut pen = LineFormatter::new(&outcome.machines, style, 0);
        for line in &outcome.log {
            writeln!(f, "{}", pen.line(line))?;
        }
        if !outcome.log.is_empty() {
            writeln!(f)?;
        }
        let ink = if self.report.passed() { Ink::Bold } else { Ink::Alarm };
        for line in console::summarize(&outcome.verdict).lines() {
            writeln!(f, "{}", style.paint(ink, line))?;
        }
        if outcome.polls == 0 {
            return Ok(());
        }
        let virtual_nanos = u128::from(outcome.virtual_nanos);
        writeln!(
            f,
            "Simulated {:.1} minutes in {}.",
            virtual_nanos as f64 / 60e9,
            numbers::count(outcome.polls, "poll"),
        )?;
        writeln!(
            f,
            "Took {:.3} seconds of real time ({} speed-up)",
            took.as_secs_f64(),
            numbers::speed_up(virtual_nanos, *took),
        )?;
        write!(
            f,
            "Stats: {}, {}",
            numbers::count(outcome.clock_advances, "clock advance"),
            numbers::count(outcome.sockets, "socket"),
        )?;
        match summary::effects(&outcome.effects) {
            Some(effects) => writeln!(f, "; {effects}"),
            None => writeln!(f),
        }
    }
}

/// Returns the folder for the disks of this process's runs.
pub(crate) fn folder() -> Result<Arc<Folder>, FolderError> {
    let asked = std::env::var_os("SIMMACH_DIR").filter(|folder| !folder.is_empty());
    Folder::shared(asked.as_deref().map(AsRef::as_ref))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prelude::*;

    fn program(fails: bool) -> Program {
        Program::new(move || {
            Scenario::new().client("bot.zone").body(async move |sim: Sim| {
                tracing::info!("one");
                crate::time::sleep(90.secs()).await;
                sim.log("two");
                if fails { Err("no luck") } else { Ok(()) }
            })
        })
    }

    fn but_for_real_time(report: &Report) -> String {
        let lines = report.to_string();
        lines
            .lines()
            .filter(|line| !line.starts_with("Took "))
            .map(|line| format!("{line}\n"))
            .collect()
    }

    #[test]
    fn report_shows_log_verdict_and_statistics() {
        let report = program(false).run(3);
        assert!(report.passed() && report.failure().is_none());
        assert_eq!(report.simulated(), 90.secs());
        let text = but_for_real_time(&report);
        assert!(
            text.starts_with(
                "+ 0000 ms  bot.zone   INFO simmach::program::tests: one\n+ 90000 ms  bot.zone  two\n\npassed\nSimulated 1.5 minutes in "
            ),
            "{text}"
        );
        assert_eq!(text, but_for_real_time(&program(false).run(3)));
        assert!(!program(false).log(false).run(3).to_string().contains("two"));
    }

    #[test]
    fn report_shows_the_failure() {
        let report = program(true).run(3);
        assert_eq!(report.failure(), Some("no luck"));
        assert!(report.to_string().contains("\nno luck\nerror returned, on bot.zone"), "{report}");
    }

    #[test]
    fn runs_are_the_same_on_concurrent_threads() {
        let hashes = std::thread::scope(|scope| {
            let runs: Vec<_> = (0..4).map(|_| scope.spawn(|| program(false).run(1))).collect();
            runs.into_iter()
                .map(|run| run.join().expect("no panic").trace_hash())
                .collect::<Vec<_>>()
        });
        assert!(hashes.iter().all(|hash| *hash == hashes[0]), "{hashes:?}");
    }
}
