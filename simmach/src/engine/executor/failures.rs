//! Handles failures in user code: a failure ends the run, or crashes its process if the machine's
//! policy says so.

use std::any::Any;

use crate::engine::failure::backtrace::{Origin, RawBacktrace};
use crate::engine::failure::refusals::{ForbiddenCall, Refusal};
use crate::engine::failure::verdict::{Failure, FailureKind, Verdict};
use crate::engine::ids::ProcessId;
use crate::engine::panics;
use crate::engine::state::{Engine, UnobservedPanic};
use crate::engine::status::StuckReport;

impl Engine {
    /// Reports a failure of the running code. The failure ends the run, unless the machine's policy
    /// turns it into a crash.
    pub(crate) fn fail(&self, failure: Failure) {
        // The failure may be a consequence of these panics.
        self.report_lost_panics();
        let failure = self.located(failure);
        self.fail_as(self.scope().process, failure);
    }

    /// Fails the run, independent of the running code, because the test itself reported the
    /// failure.
    pub(crate) fn fail_run(&self, failure: Failure) {
        self.end(Verdict::Failed(self.located(failure)));
    }

    /// Fails the run because a closure of the test, such as a packet filter, has panicked. The
    /// machine that the closure ran for does not matter. Calls no other layer, since the calling
    /// layer's state may be borrowed.
    pub(crate) fn test_panicked(&self, payload: &(dyn Any + Send)) {
        self.fail_run(Failure::of_panic(panics::note(payload)));
    }

    /// Reports a panic of user code that no handle can observe.
    pub(crate) fn user_panicked(&self, payload: Box<dyn Any + Send>) {
        let failure = Failure::of_panic(panics::note(payload.as_ref()));
        self.fail(failure);
        panics::drop_payload(payload);
    }

    /// Records that the running code has ended its own process, by a power failure within a call for example. The code runs on
    /// until its poll ends, but the process does not exist any more.
    pub(crate) fn record_own_end(&self, process: ProcessId) {
        let scope = self.scope();
        if scope.alive && scope.process == process {
            self.ended_in_poll.borrow_mut().push(process);
        }
    }

    /// Whether the running code has ended its own process. Its panics and errors are then ignored.
    pub(crate) fn has_ended_itself(&self) -> bool {
        let ended = self.ended_in_poll.borrow();
        !ended.is_empty() && ended.contains(&self.scope().process)
    }

    /// Reports the panics that tokio caught in the running guest's tasks, except those of code that
    /// was being dropped.
    pub(crate) fn report_lost_panics(&self) {
        if self.lost_panics.borrow().is_empty() {
            return;
        }
        for note in self.lost_panics.take() {
            if self.scope().alive {
                let failure = self.located(Failure::of_panic(note));
                self.fail_as(self.scope().process, failure);
            }
        }
    }

    /// Records the panic of a task whose handle is alive. It fails the run unless the handle is awaited.
    pub(crate) fn record_unobserved_panic(&self, name: u64, payload: &(dyn Any + Send)) {
        let failure = self.located(Failure::of_panic(panics::note(payload)));
        let process = self.scope().process;
        let is_tolerated =
            self.policy.get().is_some_and(|policy| (policy.is_crash_tolerated)(process));
        let poll = self.counters.polls.get();
        let unobserved = UnobservedPanic { failure, process, poll, is_tolerated };
        self.unobserved.borrow_mut().insert(name, unobserved);
    }

    /// Marks a panic as observed: its task's handle was awaited.
    pub(crate) fn mark_panic_observed(&self, name: u64) {
        self.unobserved.borrow_mut().remove(&name);
    }

    /// Reports the panic of a task whose handle was dropped without being awaited. If other tasks of the process panicked
    /// earlier and were not awaited either, the first panic is reported: it may have caused the others.
    pub(crate) fn report_unobserved_panic(&self, name: u64, process: ProcessId) {
        let mut unobserved = self.unobserved.borrow_mut();
        let Some(own) = unobserved.remove(&name) else { return };
        let of_process = unobserved.iter().filter(|(_, panic)| panic.process == own.process);
        let first =
            of_process.min_by_key(|(_, panic)| panic.poll).map(|(name, panic)| (*name, panic.poll));
        let reported = match first {
            Some((first, poll)) if poll < own.poll => unobserved.remove(&first).unwrap_or(own),
            Some(_) | None => own,
        };
        drop(unobserved);
        self.fail_as(process, reported.failure);
    }

    /// Takes the first panic that was not observed, at the end of the run.
    pub(crate) fn take_unobserved(&self) -> Option<Failure> {
        let unobserved = self.unobserved.take().into_values().filter(|panic| !panic.is_tolerated);
        unobserved.min_by_key(|panic| panic.poll).map(|panic| panic.failure)
    }

    /// Refuses a call, unless the running code is allowed to make it. Returns true, and records the first refusal of the run,
    /// if the call must fail. Never allocates.
    pub(crate) fn refuse(&self, call: ForbiddenCall) -> bool {
        if self.refusals.allows(call) {
            return false;
        }
        let task = self.current_task().and_then(|task| self.identity(task));
        self.refusals.record(Refusal { call, scope: self.scope(), task, at: self.clock.now() });
        true
    }

    /// Reports to the watchdog where the running code is, because it is `blocked` forever or because the watchdog asked for
    /// it. Never allocates.
    pub(crate) fn report_stuck(&self, blocked: bool) {
        self.status.report_stuck(StuckReport {
            blocked,
            captured: RawBacktrace::here(),
            machine: self.scope().machine,
            task: self.current_task().and_then(|task| self.identity(task)),
            at: self.clock.now(),
        });
    }

    /// Returns the verdict if the run has ended. A refused call takes precedence over the failure that it led to, which is
    /// less informative, but not over `Broken`.
    pub(crate) fn conclude(&self) -> Option<Verdict> {
        if !self.has_ended() {
            return None;
        }
        let standing = self.take_verdict();
        match (standing, self.take_refusal()) {
            (Some(Verdict::Broken(words)), _) => Some(Verdict::Broken(words)),
            (_, Some(refusal)) => Some(Verdict::Failed(refusal)),
            (standing, None) => standing,
        }
    }

    /// Takes the recorded refusal as a failure.
    pub(crate) fn take_refusal(&self) -> Option<Failure> {
        let refusal = self.refusals.take()?;
        let mut failure = Failure::new(FailureKind::Refused, refusal.call.message());
        failure.machine = self.name(refusal.scope.machine);
        failure.task = refusal.task.and_then(|task| task.name_on_its_machine(&self.status.names));
        failure.at = refusal.at;
        *failure.origin = Origin::of(&self.refusals.backtrace());
        Some(failure)
    }

    fn fail_as(&self, process: ProcessId, failure: Failure) {
        let failure = match self.policy.get() {
            Some(policy) => (policy.on_failure)(process, failure),
            None => Some(failure),
        };
        if let Some(failure) = failure {
            self.end(Verdict::Failed(failure));
        }
    }

    /// Records a call of the running code that fails with an OS error code.
    #[cold]
    pub(crate) fn call_failed(&self, code: i32, text: String) {
        self.failed_calls.add(self.scope().process, code, text);
    }

    /// Finds the failed call whose error code the message shows. Errors of the test's own processes may be passed on to its
    /// body and its plans.
    fn cause_of(&self, message: &str) -> Option<String> {
        let own = self.scope().process;
        let is_test = |process| process == ProcessId::HARNESS || self.is_client(process);
        let may_be = |process| process == own || is_test(own) && is_test(process);
        self.failed_calls.find_cause(message, may_be)
    }

    fn located(&self, mut failure: Failure) -> Failure {
        failure.cause = self.cause_of(&failure.message);
        failure.at = self.clock.now();
        failure.at_start = self.body().is_none();
        failure.machine = failure.machine.or_else(|| self.name(self.scope().machine));
        failure.task = failure.task.or_else(|| {
            self.identity(self.current_task()?)?.name_on_its_machine(&self.status.names)
        });
        failure
    }
}
