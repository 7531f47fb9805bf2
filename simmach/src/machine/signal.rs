//! The stop signal in a run: the simulated handles of [`signal`](crate::signal).

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use crate::engine::{self, ProcessId, RunId, Wait};
use crate::machine::process::ProcessState;
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
        self.process_in_run().is_some_and(has_stop_signal)
    }

    pub(crate) fn stopped(&self) -> Stopped {
        Stopped { token: *self, waiter: None }
    }

    fn process_in_run(&self) -> Option<ProcessId> {
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
        if let Some(process) = self.token.process_in_run() {
            self.waiter = register_waiter(process, self.waiter, cx.waker().clone());
        }
        engine::record_wait(Wait::Named("the stop signal"));
        Poll::Pending
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        if let (Some(process), Some(waiter)) = (self.token.process_in_run(), self.waiter) {
            remove_waiter(process, waiter);
        }
    }
}

/// Returns whether a process got the stop signal or has ended.
fn has_stop_signal(process: ProcessId) -> bool {
    with(|machines| machines.processes.find(process).map(|process| process.state))
        .flatten()
        .is_some_and(|state| match state {
            ProcessState::Running => false,
            ProcessState::Stopping | ProcessState::Ended => true,
        })
}

/// Registers a waker for the stop signal, and returns its key.
fn register_waiter(process: ProcessId, key: Option<u64>, waker: Waker) -> Option<u64> {
    let registered =
        with(|machines| Some(machines.processes.find(process)?.on_stop().register(key, waker)));
    registered.flatten().map(|(key, _old)| key)
}

/// Removes the waker with this key.
fn remove_waiter(process: ProcessId, key: u64) {
    drop(with(|machines| machines.processes.find(process)?.on_stop().remove(key)));
}
