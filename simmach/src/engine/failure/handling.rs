//! What becomes of a failure of the user's code: the run's end, or what its machine's policy makes of it.

use std::any::Any;

use crate::engine::failure::backtrace::{Origin, RawBacktrace};
use crate::engine::failure::panics;
use crate::engine::failure::refusals::{ForbiddenCall, Refusal};
use crate::engine::failure::verdict::{Failure, FailureKind, Verdict};
use crate::engine::ids::ProcessId;
use crate::engine::state::{Engine, UnobservedPanic};
use crate::engine::status::StuckReport;

impl Engine {
    /// The code that runs now failed: ends the run, unless its machine's policy makes it a crash and no more.
    pub(crate) fn fail(&self, failure: Failure) {
        let failure = self.located(failure);
        self.fail_as(self.scope().process, failure);
    }

    /// The test says that the run failed: so it does, whoever's code says it.
    pub(crate) fn fail_run(&self, failure: Failure) {
        self.end(Verdict::Failed(self.located(failure)));
    }

    /// A panic of what the test gave to a layer below: it is the test's word, and ends the run whatever machine it comes
    /// from. Calls no other layer: the one that called may be in the middle of something.
    pub(crate) fn test_panicked(&self, payload: &(dyn Any + Send)) {
        self.fail_run(Failure::of_panic(panics::note(payload)));
    }

    /// A panic of the user's code that nobody will hear of otherwise.
    pub(crate) fn user_panicked(&self, payload: Box<dyn Any + Send>) {
        let failure = Failure::of_panic(panics::note(payload.as_ref()));
        self.fail(failure);
        crate::engine::drop_payload(payload);
    }

    /// A panic of a task whose handle is alive: it fails the run unless the handle is awaited.
    pub(crate) fn record_unobserved_panic(&self, name: u64, payload: &(dyn Any + Send)) {
        let failure = self.located(Failure::of_panic(panics::note(payload)));
        let process = self.scope().process;
        let is_tolerated =
            self.policy.get().is_some_and(|policy| (policy.is_crash_tolerated)(process));
        let poll = self.counters.steps.get();
        let unobserved = UnobservedPanic { failure, process, poll, is_tolerated };
        self.unobserved.borrow_mut().insert(name, unobserved);
    }

    /// The panic was heard of.
    pub(crate) fn mark_panic_observed(&self, name: u64) {
        self.unobserved.borrow_mut().remove(&name);
    }

    /// The handle was dropped without being awaited: the panic is the run's. If other tasks of the process panicked before,
    /// and were not awaited either, the first of these panics is reported: the others may follow from it.
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

    /// The first panic that nobody heard of, when the run is over.
    pub(crate) fn take_unobserved(&self) -> Option<Failure> {
        let unobserved = self.unobserved.take().into_values().filter(|panic| !panic.is_tolerated);
        unobserved.min_by_key(|panic| panic.poll).map(|panic| panic.failure)
    }

    /// Marks the run, unless the code that runs may do this. True if it must be refused. Never allocates.
    pub(crate) fn refuse(&self, what: ForbiddenCall) -> bool {
        if self.refusals.allows(what) {
            return false;
        }
        let task = self.current_task().and_then(|task| self.identity(task));
        self.refusals.mark(Refusal { what, scope: self.scope(), task, at: self.clock.now() });
        true
    }

    /// Tells the watchdog where the code that runs is: it is `blocked` for good, or the watchdog asks. Never allocates.
    pub(crate) fn report_stuck(&self, blocked: bool) {
        self.status.report_stuck(StuckReport {
            blocked,
            captured: RawBacktrace::here(),
            machine: self.scope().machine,
            task: self.current_task().and_then(|task| self.identity(task)),
            at: self.clock.now(),
        });
    }

    /// The run's end, if it has come. What was refused goes before what that led to, whose words say less; but not before
    /// what says that the run was none.
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

    /// The failure that a mark makes of the run.
    pub(crate) fn take_refusal(&self) -> Option<Failure> {
        let mark = self.refusals.take()?;
        let mut failure = Failure::new(FailureKind::Refused, mark.what.words());
        failure.machine = self.name(mark.scope.machine);
        failure.task = mark.task.and_then(|task| task.name_on_its_machine(&self.status));
        failure.at = mark.at;
        *failure.origin = Origin::of(&self.refusals.captured());
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

    /// Notes what was asked in a call of the running code that is answered with an error of this code.
    #[cold]
    pub(crate) fn call_failed(&self, code: i32, text: String) {
        self.failed_calls.add(self.scope().process, code, text);
    }

    /// What was asked in the call whose error a failure of the running code shows. The test's own processes hand their errors on
    /// to its body and its plans.
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
        failure.task = failure
            .task
            .or_else(|| self.identity(self.current_task()?)?.name_on_its_machine(&self.status));
        failure
    }
}
