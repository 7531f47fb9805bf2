//! Sees to it that a run which does not yield costs one seed and not the night.
//!
//! A thread reads the run's pulse. It counts its own ticks, not the clock: a process that was stopped or starved has
//! not hung. Outside of a poll (while a cluster is built, or dropped) a run has longer, since nothing there is virtual.
//! A run that waits for what only its own thread could do says so itself, and is not waited for.

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

/// How many ticks make the limit.
const TICKS: u32 = 20;
/// Outside of a poll the limit is so many times as long.
const OUTSIDE: u32 = 6;

/// Watches the runs of one process, one at a time.
#[derive(Debug)]
pub(crate) struct Watchdog {
    watched: Arc<Mutex<Watched>>,
}

#[derive(Debug, Default)]
struct Watched {
    run: Option<(u64, Option<Job>, Arc<RunStatus>)>,
    /// Counts the runs, so that two with the same pulse are told apart.
    nth: u64,
    closed: bool,
    /// The thread that watches.
    thread: Option<Thread>,
}

/// A run that hangs.
#[derive(Debug)]
pub(crate) struct Hang {
    pub(crate) seed: u64,
    /// The run, where it is one of this very process.
    pub(crate) job: Option<Job>,
    pub(crate) limit: Duration,
    pub(crate) pulse: StatusSnapshot,
    pub(crate) machine: Option<String>,
    /// The task, as a report names it.
    pub(crate) task: Option<String>,
    /// Where it hangs, if its thread could tell.
    pub(crate) stuck: Option<StuckReport>,
}

const BLOCKED: &str = "\
deadlock: the run's thread waits for a lock or a wake-up that no other thread can give, since a run has one thread. A task \
must not block: instead of `block_on`, std's channels, condition variables, and locks that are held across an `.await` or \
taken twice, use async ones";

impl Watchdog {
    /// Starts the thread. `bark` is called once, and does not come back in a real process.
    pub(crate) fn start(limit: Duration, bark: impl FnOnce(Hang) + Send + 'static) -> Self {
        let watched = Arc::new(Mutex::new(Watched::default()));
        let own = Arc::clone(&watched);
        // Without a thread there is no watchdog: a run that hangs is then for the user to stop.
        let thread = crate::harness::spawn("watchdog", move || watch(&own, limit, bark));
        lock(&watched).thread = thread.ok();
        Self { watched }
    }

    /// Watches this run from now on.
    pub(crate) fn begin(&self, seed: u64, job: Option<Job>, shared: Arc<RunStatus>) {
        let mut watched = lock(&self.watched);
        watched.nth += 1;
        if let Some(thread) = &watched.thread {
            shared.set_watcher(thread.clone());
        }
        watched.run = Some((seed, job, shared));
    }

    /// Watches nothing.
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
    /// What the run came to.
    pub(crate) fn outcome(self) -> Outcome {
        let limit = self.limit;
        let blocked = self.stuck.filter(|stuck| stuck.blocked);
        let message = if blocked.is_some() {
            BLOCKED.to_owned()
        } else if self.pulse.polling {
            format!(
                "a task did not yield for {limit:?} of real time: an endless loop, or a call that blocks"
            )
        } else {
            let limit = limit * OUTSIDE;
            format!("the run stood still for {limit:?} of real time, outside of any task")
        };
        let mut failure = Failure::new(FailureKind::Hung, message);
        // By the clock as it was read, the time of an endless loop is another each time.
        failure.at = blocked.map_or(self.pulse.at, |stuck| stuck.at);
        if let Some(stuck) = self.stuck {
            failure.task = self.task;
            *failure.origin = Origin::of(&stuck.captured);
            failure.origin.resolve_all();
        }
        failure.machine = self.machine.filter(|_| self.pulse.polling || self.stuck.is_some());
        // What took effect until then only the run's own thread could tell.
        Outcome::without_a_run(self.seed, Verdict::Failed(failure))
    }
}

fn watch(watched: &Mutex<Watched>, limit: Duration, bark: impl FnOnce(Hang)) {
    let mut last = None;
    let mut still = 0;
    loop {
        // A run that is stuck wakes it.
        std::thread::park_timeout(limit / TICKS);
        let state = lock(watched);
        if state.closed {
            return;
        }
        let Some((seed, job, shared)) = &state.run else {
            (last, still) = (None, 0);
            continue;
        };
        let now = (state.nth, shared.snapshot());
        let is_stuck = shared.stuck().is_some();
        if last != Some(now) && !is_stuck {
            (last, still) = (Some(now), 0);
            continue;
        }
        still += 1;
        let pulse = now.1;
        let most = if pulse.polling { TICKS } else { TICKS * OUTSIDE };
        // A debugger holds a run for as long as its user thinks.
        if (is_stuck || still >= most) && !debugger::is_attached() {
            let (seed, job, shared) = (*seed, job.clone(), Arc::clone(shared));
            drop(state);
            let stuck = sampling::where_it_is(&shared);
            let machine = stuck.map_or(pulse.machine, |stuck| stuck.machine);
            let machine = shared.name(machine).map(str::to_owned);
            let task = stuck.and_then(|stuck| stuck.task?.name_on_its_machine(&shared));
            return bark(Hang { seed, job, limit, pulse, machine, task, stuck });
        }
    }
}

fn lock(watched: &Mutex<Watched>) -> MutexGuard<'_, Watched> {
    watched.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;
    use crate::engine::failure::backtrace::RawBacktrace;
    use crate::engine::ids::MachineId;

    const LIMIT: Duration = Duration::from_millis(100);

    fn watchdog() -> (Watchdog, mpsc::Receiver<Outcome>) {
        let (bark, barks) = mpsc::channel();
        let dog = Watchdog::start(LIMIT, move |hang| {
            bark.send(hang.outcome()).expect("the test listens");
        });
        (dog, barks)
    }

    #[test]
    fn a_poll_without_end_is_seen() {
        let (dog, barks) = watchdog();
        let shared = Arc::new(RunStatus::default());
        shared.begin_poll(MachineId(3), 77);
        dog.begin(5, None, shared);
        let outcome = barks.recv_timeout(LIMIT * 50).expect("it barks");
        let failure = outcome.failure().expect("a hang is a failure");
        assert_eq!((outcome.seed, &failure.kind, failure.at), (5, &FailureKind::Hung, 77));
    }

    /// Also the first run, however soon it begins: the watchdog's next look may be seconds away.
    #[test]
    fn run_that_reports_itself_is_seen_at_once() {
        for _ in 0..20 {
            let (bark, barks) = mpsc::channel();
            let limit = Duration::from_secs(2_000);
            let dog = Watchdog::start(limit, move |hang| {
                bark.send(hang.outcome()).expect("the test listens");
            });
            let shared = Arc::new(RunStatus::default());
            dog.begin(5, None, Arc::clone(&shared));
            shared.report_stuck(StuckReport {
                blocked: true,
                captured: RawBacktrace::here(),
                machine: MachineId(3),
                task: None,
                at: 77,
            });
            let outcome = barks.recv_timeout(Duration::from_secs(50)).expect("it barks");
            let failure = outcome.failure().expect("a hang is a failure");
            assert_eq!((&failure.kind, failure.at), (&FailureKind::Hung, 77));
            assert!(failure.message.contains("deadlock"), "{}", failure.message);
        }
    }

    #[test]
    fn many_runs_and_many_polls_are_no_hang() {
        let (dog, barks) = watchdog();
        for seed in 0..10 {
            let shared = Arc::new(RunStatus::default());
            dog.begin(seed, None, Arc::clone(&shared));
            for poll in 0..5 {
                shared.begin_poll(MachineId(0), poll);
                std::thread::park_timeout(LIMIT / 10);
                shared.end_poll();
            }
            dog.end();
        }
        assert!(barks.try_recv().is_err());
    }

    #[test]
    fn outside_of_a_poll_it_has_more_patience() {
        let (dog, barks) = watchdog();
        dog.begin(1, None, Arc::default());
        assert!(barks.recv_timeout(LIMIT * 3).is_err());
        let outcome = barks.recv_timeout(LIMIT * 50).expect("it barks in the end");
        assert!(outcome.failure().is_some());
    }
}
