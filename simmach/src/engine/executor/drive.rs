//! The main loop of a run: polls all ready tasks, then advances time to the next timer, until there
//! is a verdict.

use crate::engine::failure::verdict::{BodyWait, Failure, FailureKind, Verdict};
use crate::engine::ids::Scope;
use crate::engine::record::event::Event;
use crate::engine::state::Engine;
use crate::engine::tasks::wait::Wait;
use crate::engine::tasks::waiter::Waiter;
use crate::engine::time::timers::Action;

/// The limits of a run. A run that exceeds one fails.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Maximum virtual time in nanoseconds.
    pub(crate) time: u64,
    /// Maximum number of polls of tasks and fired timers.
    pub(crate) polls: u64,
    /// Maximum virtual time without progress, in nanoseconds.
    pub(crate) stall: u64,
}

/// Maximum number of polls of tasks and fired timers at one moment of virtual time without
/// progress. A run that exceeds it is in an endless loop, since time advances only when no task is
/// ready.
const MAX_POLLS_AT_ONE_MOMENT: u64 = 1_000_000;
/// Minimum duration of a client's sleep that counts as progress, in virtual nanoseconds. A shorter
/// sleep may be the pause in a loop that waits forever.
const DELIBERATE_SLEEP: u64 = 1_000_000_000;

impl Engine {
    /// Runs until there is a verdict.
    pub(crate) fn drive(&self, limits: &Limits) -> Verdict {
        loop {
            if let Some(verdict) = self.conclude() {
                self.trace(Event::RunEnded { polls: self.counters.polls.get() });
                return verdict;
            }
            if self.has_exceeded_polls(limits) {
                self.fail_exceeded_polls(limits);
            } else if self.carry_out_act(true) || self.poll_next() || self.carry_out_act(false) {
                self.count_poll();
            } else {
                self.next_event(limits);
            }
        }
    }

    /// Runs while `is_needed` returns true, or until there is a verdict. Carries out no acts of plans. Used at the start of a run.
    pub(crate) fn drive_while(&self, limits: &Limits, is_needed: impl Fn() -> bool) {
        while !self.has_ended() && is_needed() {
            if self.has_exceeded_polls(limits) {
                self.fail_exceeded_polls(limits);
            } else if self.poll_next() {
                self.count_poll();
            } else {
                self.next_event(limits);
            }
        }
    }

    #[inline]
    fn has_exceeded_polls(&self, limits: &Limits) -> bool {
        self.counters.polls.get() >= limits.polls
            || self.counters.polls_at_moment.get() >= MAX_POLLS_AT_ONE_MOMENT
    }

    #[cold]
    fn fail_exceeded_polls(&self, limits: &Limits) {
        if self.counters.polls.get() >= limits.polls {
            return self.fail_unfinished(
                FailureKind::PollLimit,
                format!("poll limit of {} exceeded (`poll_limit`)", limits.polls),
            );
        }
        let message = format!(
            "no progress in {MAX_POLLS_AT_ONE_MOMENT} polls at one moment of virtual time: tasks wake each \
             other or yield without end, and virtual time advances only when no task is ready"
        );
        self.fail_here(Failure::new(FailureKind::Stall, message));
    }

    /// Polls ready tasks, at most `most` times, without moving time. Used at the start of a run.
    pub(crate) fn run_ready(&self, most: u32) {
        for _ in 0..most {
            if self.has_ended() || !self.poll_next() {
                return;
            }
            self.count_poll();
        }
    }

    /// Moves time to the next timer and fires all timers that are due then. The tasks they wake are polled afterwards.
    fn next_event(&self, limits: &Limits) {
        let Some(at) = self.timers.borrow().next_at() else {
            return self.fail_unfinished(
                FailureKind::Deadlock,
                "deadlock: no timers or packets are pending and every task is waiting".to_owned(),
            );
        };
        if at > limits.time {
            self.clock.advance(limits.time);
            let limit = std::time::Duration::from_nanos(limits.time);
            return self.fail_unfinished(
                FailureKind::TimeLimit,
                format!("virtual time limit of {limit:?} exceeded (`time_limit`)"),
            );
        }
        if self.is_stalled(at, limits.stall) {
            let limit = std::time::Duration::from_nanos(limits.stall);
            return self.fail_unfinished(
                FailureKind::Stall,
                format!(
                    "no progress for {limit:?} of virtual time (`stall_limit`); next event: {}",
                    self.describe_next_event()
                ),
            );
        }
        if self.clock.advance(at) {
            self.counters.clock_advances.set(self.counters.clock_advances.get() + 1);
        }
        let before = self.timers.borrow().armed();
        let now = self.clock.now();
        loop {
            let due = self.timers.borrow_mut().pop_due_before(now, before);
            match due {
                Some(action) => self.fire(action),
                None => break,
            }
        }
    }

    fn fire(&self, action: Action) {
        self.count_poll();
        self.set_scope(Scope::HARNESS);
        let nth = self.counters.polls.get();
        match action {
            Action::Wake(Waiter::Task(task), _) => self.wake(task),
            Action::Wake(Waiter::Other(waker), _) => {
                self.map_keys.begin_poll(Scope::HARNESS.task, nth);
                waker.wake();
            }
            Action::Call(call, a, b) => {
                self.map_keys.begin_poll(Scope::HARNESS.task, nth);
                call(a, b);
            }
        }
    }

    fn count_poll(&self) {
        self.counters.polls.set(self.counters.polls.get() + 1);
        let now = self.clock.now();
        if self.counters.moment.replace(now) != now {
            self.counters.polls_at_moment.set(0);
        }
        self.counters.polls_at_moment.set(self.counters.polls_at_moment.get() + 1);
    }

    /// Whether the run stalls before the next timer, which is due at `at`. It does not stall while a client sleeps for
    /// longer than the limit, or while a layer has a timer that prevents stalls, such as the timeout of a connect.
    fn is_stalled(&self, at: u64, limit: u64) -> bool {
        at.saturating_sub(self.counters.progress_at.get()) > limit
            && !self.tasks.any(|scope, sleeps| sleeps >= limit && self.is_client(scope.process))
            && !self.prevents_stall()
    }

    /// Notes the end of a sleep of the running task. A long sleep of a client counts as progress.
    pub(crate) fn note_sleep(&self, nanos: u64) {
        if nanos >= DELIBERATE_SLEEP && self.is_client(self.scope().process) {
            self.note_progress();
        }
    }

    #[cold]
    fn fail_unfinished(&self, kind: FailureKind, message: String) {
        self.fail_here(Failure { body_wait: self.body_wait(), ..Failure::new(kind, message) });
    }

    /// Fails the run, with what each task waits for.
    pub(crate) fn fail_waiting(&self, failure: Failure) {
        self.fail_here(failure);
    }

    fn fail_here(&self, mut failure: Failure) {
        failure.at = self.clock.now();
        failure.waiting = self.blocked_tasks();
        self.end(Verdict::Failed(failure));
    }

    /// Returns what the test's body waits for. If the body is ready or has a timer, what it waits for changes with
    /// time, and is not part of the failure's fingerprint.
    fn body_wait(&self) -> Option<BodyWait> {
        let own = self.body()?;
        let (_, body) = self.tasks.reports().into_iter().find(|(key, _)| *key == own)?;
        let is_indefinite = !body.ready && body.longest_sleep == 0;
        Some(if is_indefinite {
            BodyWait::Indefinite(body.wait.to_string())
        } else {
            BodyWait::Temporary
        })
    }

    /// Describes what an epoll instance watches.
    fn watched_by(&self, epoll: i32) -> Vec<String> {
        self.watched.get().map_or_else(Vec::new, |watched| watched(epoll))
    }

    fn blocked_tasks(&self) -> Vec<String> {
        let mut waiting: Vec<_> = self
            .tasks
            .reports()
            .into_iter()
            .map(|(_, task)| {
                let machine =
                    self.name(task.identity.machine).unwrap_or_else(|| "the harness".to_owned());
                let waits = match task.wait {
                    _ if task.ready => "is ready to run".to_owned(),
                    Wait::Events { epoll, .. } => match self.watched_by(epoll) {
                        watched if watched.is_empty() => task.wait.to_string(),
                        watched => format!("{}: {}", task.wait, watched.join(", ")),
                    },
                    wait => wait.to_string(),
                };
                let name = task.identity.name_in_list(&self.status.names);
                format!("{machine}: {name} {waits}")
            })
            .collect();
        waiting.sort();
        let foreign = self.status.foreign_wakes();
        if foreign > 0 {
            waiting.push(format!(
                "ignored wake-ups from threads that simmach does not schedule: {foreign}; such threads cannot wake tasks of a run"
            ));
        }
        waiting
    }
}
