//! The watchdog: detects runs that do not yield.
//!
//! At each tick, a thread compares the run's status with its status at the previous tick. The
//! thread counts ticks instead of reading the clock, since a process that was stopped or starved
//! has not hung. The limit is longer outside a poll, while a cluster is built or dropped. A run
//! whose thread blocks reports this itself, at once.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::Thread;
use std::time::Duration;

use crate::engine::context::{RunStatus, StatusSnapshot, StuckReport};
use crate::engine::failure::backtrace::Origin;
use crate::engine::failure::verdict::{Failure, FailureKind, Verdict};
use crate::harness::debugger;
use crate::harness::workers::job::Job;
use crate::harness::workers::sampling;
use crate::outcome::Outcome;

/// Number of ticks of the watchdog per limit.
const TICKS_PER_LIMIT: u32 = 20;
/// Factor by which the limit is longer outside a poll.
const OUTSIDE_FACTOR: u32 = 6;

/// Watches the runs of one process, one at a time.
#[derive(Debug)]
pub(crate) struct Watchdog {
    watched: Arc<Mutex<WatchState>>,
}

#[derive(Debug, Default)]
struct WatchState {
    run: Option<(u64, Option<Job>, Arc<RunStatus>)>,
    /// Number of the run, to distinguish runs with the same snapshot.
    nth: u64,
    closed: bool,
    /// The watchdog's thread.
    thread: Option<Thread>,
}

/// A run that hangs.
#[derive(Debug)]
pub(crate) struct Hang {
    pub(crate) seed: u64,
    /// The job, if this process executes the run and is not a worker.
    pub(crate) job: Option<Job>,
    pub(crate) limit: Duration,
    pub(crate) snapshot: StatusSnapshot,
    pub(crate) machine: Option<String>,
    /// Name of the task for reports.
    pub(crate) task: Option<String>,
    /// Stack of its thread, if it could be captured.
    pub(crate) stuck: Option<StuckReport>,
}

const BLOCKED: &str = "\
deadlock: the only thread of the run waits for a lock or a wake-up that only another thread could give. A task must not block. Use async code instead of `block_on`, std's channels and condition variables; do not hold a lock across an `.await`; do not lock a mutex twice";

impl Watchdog {
    /// Starts the thread. `report_hang` is called once, and does not return except in tests.
    pub(crate) fn start(limit: Duration, report_hang: impl FnOnce(Hang) + Send + 'static) -> Self {
        let watched = Arc::new(Mutex::new(WatchState::default()));
        let own = Arc::clone(&watched);
        // Without a thread, hanging runs are not detected.
        let thread = crate::harness::spawn("watchdog", move || watch(&own, limit, report_hang));
        lock(&watched).thread = thread.ok();
        Self { watched }
    }

    /// Starts watching a run.
    pub(crate) fn begin(&self, seed: u64, job: Option<Job>, status: Arc<RunStatus>) {
        let mut watched = lock(&self.watched);
        watched.nth += 1;
        if let Some(thread) = &watched.thread {
            status.set_watcher(thread.clone());
        }
        watched.run = Some((seed, job, status));
    }

    /// Stops watching.
    pub(crate) fn end(&self) {
        lock(&self.watched).run = None;
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        lock(&self.watched).closed = true;
    }
}

impl Hang {
    /// Outcome of the run.
    pub(crate) fn outcome(self) -> Outcome {
        let limit = self.limit;
        let blocked = self.stuck.filter(|stuck| stuck.blocked);
        let message = if blocked.is_some() {
            BLOCKED.to_owned()
        } else if self.snapshot.polling {
            format!(
                "a task did not yield for {limit:?} of real time: the task is in an endless loop or a blocking call"
            )
        } else {
            let limit = limit * OUTSIDE_FACTOR;
            format!(
                "the run made no progress for {limit:?} of real time outside of its tasks: the code that creates or \
                 drops the cluster is in an endless loop or a blocking call"
            )
        };
        let mut failure = Failure::new(FailureKind::Hung, message);
        // The time of the snapshot is the same in each run; the position in an endless loop is not.
        failure.at = blocked.map_or(self.snapshot.at, |stuck| stuck.at);
        if let Some(stuck) = self.stuck {
            failure.task = self.task;
            *failure.origin = Origin::of(&stuck.captured);
            failure.origin.resolve_all();
        }
        failure.machine = self.machine.filter(|_| self.snapshot.polling || self.stuck.is_some());
        // Effects and trace are lost, since only the run's own thread has them.
        Outcome::without_a_run(self.seed, Verdict::Failed(failure))
    }
}

fn watch(watched: &Mutex<WatchState>, limit: Duration, report_hang: impl FnOnce(Hang)) {
    let mut last = None;
    // Number of ticks without a change.
    let mut unchanged = 0;
    loop {
        // A stuck run unparks this thread.
        std::thread::park_timeout(limit / TICKS_PER_LIMIT);
        let state = lock(watched);
        if state.closed {
            return;
        }
        let Some((seed, job, status)) = &state.run else {
            (last, unchanged) = (None, 0);
            continue;
        };
        let now = (state.nth, status.snapshot());
        let is_stuck = status.stuck().is_some();
        if last != Some(now) && !is_stuck {
            (last, unchanged) = (Some(now), 0);
            continue;
        }
        unchanged += 1;
        let snapshot = now.1;
        let most =
            if snapshot.polling { TICKS_PER_LIMIT } else { TICKS_PER_LIMIT * OUTSIDE_FACTOR };
        // Under a debugger a run may be paused.
        if (is_stuck || unchanged >= most) && !debugger::is_attached() {
            let (seed, job, status) = (*seed, job.clone(), Arc::clone(status));
            drop(state);
            let stuck = sampling::sample_stack(&status);
            let machine = stuck.map_or(snapshot.machine, |stuck| stuck.machine);
            let machine = status.names.machine(machine).map(str::to_owned);
            let task = stuck.and_then(|stuck| stuck.task?.name_on_its_machine(&status.names));
            return report_hang(Hang { seed, job, limit, snapshot, machine, task, stuck });
        }
    }
}

fn lock(watched: &Mutex<WatchState>) -> MutexGuard<'_, WatchState> {
    watched.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;
    use crate::engine::failure::backtrace::RawBacktrace;
    use crate::engine::ids::MachineId;

    const LIMIT: Duration = Duration::from_millis(100);

    fn start() -> (Watchdog, mpsc::Receiver<Outcome>) {
        let (report_hang, reports) = mpsc::channel();
        let watchdog = Watchdog::start(LIMIT, move |hang| {
            report_hang.send(hang.outcome()).expect("the test listens");
        });
        (watchdog, reports)
    }

    #[test]
    fn hang_in_a_poll_is_reported() {
        let (watchdog, reports) = start();
        let status = Arc::new(RunStatus::default());
        status.begin_poll(MachineId(3), 77);
        watchdog.begin(5, None, status);
        let outcome = reports.recv_timeout(LIMIT * 50).expect("the hang is reported");
        let failure = outcome.failure().expect("a hang is a failure");
        assert_eq!((outcome.seed, &failure.kind, failure.at), (5, &FailureKind::Hung, 77));
    }

    /// Without a wait for the next tick, also for the first run.
    #[test]
    fn hang_of_a_blocked_run_is_reported_at_once() {
        for _ in 0..20 {
            let (report_hang, reports) = mpsc::channel();
            let limit = Duration::from_secs(2_000);
            let watchdog = Watchdog::start(limit, move |hang| {
                report_hang.send(hang.outcome()).expect("the test listens");
            });
            let status = Arc::new(RunStatus::default());
            watchdog.begin(5, None, Arc::clone(&status));
            status.report_stuck(StuckReport {
                blocked: true,
                captured: RawBacktrace::here(),
                machine: MachineId(3),
                task: None,
                at: 77,
            });
            let outcome =
                reports.recv_timeout(Duration::from_secs(50)).expect("the hang is reported");
            let failure = outcome.failure().expect("a hang is a failure");
            assert_eq!((&failure.kind, failure.at), (&FailureKind::Hung, 77));
            assert!(failure.message.contains("deadlock"), "{}", failure.message);
        }
    }

    #[test]
    fn hang_is_not_reported_of_a_run_with_progress() {
        let (watchdog, reports) = start();
        for seed in 0..10 {
            let status = Arc::new(RunStatus::default());
            watchdog.begin(seed, None, Arc::clone(&status));
            for poll in 0..5 {
                status.begin_poll(MachineId(0), poll);
                std::thread::park_timeout(LIMIT / 10);
                status.end_poll();
            }
            watchdog.end();
        }
        assert!(reports.try_recv().is_err());
    }

    #[test]
    fn hang_limit_is_longer_outside_of_a_poll() {
        let (watchdog, reports) = start();
        watchdog.begin(1, None, Arc::default());
        assert!(reports.recv_timeout(LIMIT * 3).is_err());
        let outcome = reports.recv_timeout(LIMIT * 50).expect("the hang is reported");
        assert!(outcome.failure().is_some());
    }
}
