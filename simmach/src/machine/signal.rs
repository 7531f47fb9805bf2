//! The stop signal in a run: what [`signal`](crate::signal)'s handles are there.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use crate::engine::{self, ProcessId, RunId, Wait};
use crate::machine::process::State;
use crate::machine::with;

pub(crate) fn token() -> StopToken {
    StopToken { run: engine::run_id(), process: engine::scope().map(|scope| scope.process) }
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct StopToken {
    run: Option<RunId>,
    process: Option<ProcessId>,
}

impl StopToken {
    pub(crate) fn is_stopped(&self) -> bool {
        self.here().is_some_and(is_told_to_stop)
    }

    pub(crate) fn stopped(&self) -> Stopped {
        Stopped { token: *self, waiter: None }
    }

    fn here(&self) -> Option<ProcessId> {
        self.process.filter(|_| engine::run_id() == self.run)
    }
}

#[derive(Debug)]
#[must_use = "futures do nothing unless polled"]
pub(crate) struct Stopped {
    token: StopToken,
    waiter: Option<u64>,
}

impl Future for Stopped {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.token.is_stopped() {
            return Poll::Ready(());
        }
        if let Some(process) = self.token.here() {
            self.waiter = wait_for_stop(process, self.waiter, cx.waker().clone());
        }
        engine::record_wait(Wait::Named("the signal to stop"));
        Poll::Pending
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        if let (Some(process), Some(waiter)) = (self.token.here(), self.waiter) {
            forget_waiter(process, waiter);
        }
    }
}

/// True once a process was told to stop, or is over.
fn is_told_to_stop(process: ProcessId) -> bool {
    with(|machines| machines.processes.find(process).map(|process| process.state))
        .flatten()
        .is_some_and(|state| match state {
            State::Running => false,
            State::Stopping | State::Over => true,
        })
}

/// Wakes `waker` when the process is told to stop; answers the name under which it waits.
fn wait_for_stop(process: ProcessId, name: Option<u64>, waker: Waker) -> Option<u64> {
    let waits =
        with(|machines| Some(machines.processes.find(process)?.on_stop().wait(name, waker)));
    waits.flatten().map(|(name, _old)| name)
}

/// It waits no longer.
fn forget_waiter(process: ProcessId, name: u64) {
    drop(with(|machines| machines.processes.find(process)?.on_stop().forget(name)));
}
