//! What becomes of a failure of the user's code: the run's end, or what its machine's policy makes of it.

use std::any::Any;

use super::ids::ProcessId;
use super::panics;
use super::state::Engine;
use super::verdict::{Failure, Verdict};

impl Engine {
    /// The code that runs now failed: ends the run, unless its machine's policy makes it a crash and no more.
    pub(crate) fn fail(&self, failure: Failure) {
        let failure = self.located(failure);
        self.fail_as(self.scope().process, failure);
    }

    /// A panic of the user's code that nobody will hear of otherwise.
    pub(crate) fn user_panicked(&self, payload: Box<dyn Any + Send>) {
        let failure = Failure::of_panic(panics::note(payload.as_ref()));
        self.fail(failure);
    }

    /// A panic of a task whose handle is alive: it fails the run unless the handle is awaited.
    pub(crate) fn panicked_unobserved(&self, name: u64, payload: &(dyn Any + Send)) {
        let failure = self.located(Failure::of_panic(panics::note(payload)));
        self.unobserved.borrow_mut().insert(name, failure);
    }

    /// The panic was heard of.
    pub(crate) fn observe(&self, name: u64) {
        self.unobserved.borrow_mut().remove(&name);
    }

    /// The handle went, and nobody had asked it: the panic is the run's.
    pub(crate) fn unobservable(&self, name: u64, process: ProcessId) {
        let failure = self.unobserved.borrow_mut().remove(&name);
        if let Some(failure) = failure {
            self.fail_as(process, failure);
        }
    }

    /// The first panic that nobody heard of, when the run is over.
    pub(crate) fn take_unobserved(&self) -> Option<Failure> {
        self.unobserved.take().into_values().min_by_key(|failure| failure.at)
    }

    fn fail_as(&self, process: ProcessId, failure: Failure) {
        let failure = match self.policy.get() {
            Some(policy) => policy(process, failure),
            None => Some(failure),
        };
        if let Some(failure) = failure {
            self.end(Verdict::Failed(failure));
        }
    }

    fn located(&self, mut failure: Failure) -> Failure {
        failure.at = self.clock.now();
        failure.machine = failure.machine.or_else(|| self.name(self.scope().machine));
        failure.task = failure.task.or_else(|| {
            // The body was spawned by the harness, at a place that tells nobody anything.
            let task = self.current_task().filter(|task| self.body() != Some(*task))?;
            self.spawned_at(task).map(panics::place_of)
        });
        failure
    }
}
