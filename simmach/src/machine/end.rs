//! Ends processes: by a stop, a kill, a power loss, or because they return.

use std::future::poll_fn;
use std::io;
use std::task::{Poll, Waker};
use std::time::Duration;

use crate::engine::failure::verdict::Failure;
use crate::engine::log::{self, Level};
use crate::engine::record::event::ProcessExit;
use crate::engine::{self, Effect, Event, MachineId, ProcessId, Wait, context};
use crate::guest::Runtime;
use crate::machine::process::{Process, ProcessState};
use crate::machine::start::runtime_of;
use crate::machine::{disks, machine_and_name, state_of, with};
use crate::time::timeout;
use crate::{net, storage};

/// Sends the stop signal to processes. Returns the processes in which no task waits for the signal.
pub(crate) fn tell_to_stop(processes: &[ProcessId]) -> Vec<ProcessId> {
    let mut unaware = Vec::new();
    for process in processes {
        let wakers = with(|machines| {
            let process = machines.processes.find(*process)?;
            match process.state {
                ProcessState::Running => {
                    process.state = ProcessState::Stopping;
                    Some(process.on_stop().take_all())
                }
                ProcessState::Stopping | ProcessState::Ended => None,
            }
        });
        match wakers.flatten() {
            Some(wakers) if !wakers.is_empty() => wakers.into_iter().for_each(Waker::wake),
            _ => unaware.push(*process),
        }
    }
    unaware
}

/// Waits until all processes have ended, at most for `grace`. Returns whether all have ended.
pub(crate) async fn have_ended(processes: &[ProcessId], grace: Duration) -> bool {
    let all = futures::future::join_all(processes.iter().map(|process| wait_until_ended(*process)));
    timeout(grace, all).await.is_ok()
}

/// Kills processes that were told to stop and have not ended. `unaware` are those that did not wait for the signal.
pub(crate) fn kill_stopping(processes: &[ProcessId], unaware: &[ProcessId]) {
    for process in processes {
        let has_ended = state_of(*process) == ProcessState::Ended;
        kill(*process);
        if !has_ended && unaware.contains(process) {
            warn_of_signals(*process);
        }
    }
}

/// Kills a process. The kernel of its machine closes its sockets.
pub(crate) fn kill(process: ProcessId) {
    if state_of(process) == ProcessState::Ended {
        return;
    }
    let (machine, name) = machine_and_name(process);
    engine::record_fault(Effect::Kill, machine, || format!("{name} killed"));
    context::try_with(|engine| engine.record_own_end(process));
    end_process(process, ProcessExit::Killed);
}

/// The processes that got the stop signal and have not ended.
pub(crate) fn stopping(which: impl Fn(MachineId) -> bool) -> Vec<ProcessId> {
    let stopping = with(|machines| {
        let is_stopping = |process: &Process| process.state == ProcessState::Stopping;
        machines.processes.alive(|process| is_stopping(process) && which(process.machine))
    });
    stopping.unwrap_or_default()
}

/// Kills processes that got the stop signal and have not ended, since who told them may be gone. Returns false if there are
/// none.
pub(crate) fn end_stopping() -> bool {
    let stopping = stopping(|_| true);
    let any = !stopping.is_empty();
    stopping.into_iter().for_each(kill);
    any
}

/// Wipes the disk of a machine unless it is empty. The machine must not have running processes.
pub(crate) fn wipe(machine: MachineId) -> io::Result<()> {
    if disks::is_disk_empty(machine) {
        return Ok(());
    }
    disks::wipe(machine)?;
    engine::record_fault(Effect::Wipe, Some(machine), || "disk wiped".to_owned());
    engine::trace(Event::DiskWiped { machine });
    Ok(())
}

/// Waits until a process has ended.
async fn wait_until_ended(process: ProcessId) {
    let mut waiter = None;
    poll_fn(|cx| {
        let old = with(|machines| {
            let process = machines.processes.find(process)?;
            match process.state {
                ProcessState::Ended => None,
                ProcessState::Running | ProcessState::Stopping => {
                    Some(process.on_end().register(waiter, cx.waker().clone()))
                }
            }
        });
        engine::record_wait(Wait::Named("a process to end"));
        match old.flatten() {
            Some((key, _old)) => {
                waiter = Some(key);
                Poll::Pending
            }
            None => Poll::Ready(()),
        }
    })
    .await;
}

/// Ends a process, for whatever reason. It counts as a stop if the process returned after the stop signal.
pub(super) fn end_process(process: ProcessId, exit: ProcessExit) {
    let (_, name) = machine_and_name(process);
    let ended = with(|machines| {
        let process_state = machines.processes.find(process)?;
        let before = std::mem::replace(&mut process_state.state, ProcessState::Ended);
        if before == ProcessState::Ended {
            return None;
        }
        let (on_stop, mut on_end) =
            (process_state.on_stop().take_all(), process_state.on_end().take_all());
        on_end.extend(on_stop);
        let (machine, service) = (process_state.machine, process_state.service);
        if let Some(service) = service {
            let installed = &mut machines.all[machine.0 as usize].services[service];
            installed.running.take_if(|running| *running == process);
            installed.returned = (before, exit) == (ProcessState::Running, ProcessExit::Returned);
        }
        Some((before, on_end, machine, service.is_none()))
    });
    let Some((before, waiting, machine, is_client)) = ended.flatten() else { return };
    context::try_with(|engine| engine.end_process(process));
    match exit {
        // `erase_machine` has removed the sockets already.
        ProcessExit::PowerLost => {}
        ProcessExit::Returned | ProcessExit::Crashed | ProcessExit::Killed => {
            net::control::close_process(process)
        }
    }
    close_unix_sockets(process);
    storage::close_process(process);
    engine::trace(Event::ProcessEnded { process, machine, is_client, exit });
    engine::note_process_change();
    if (before, exit) == (ProcessState::Stopping, ProcessExit::Returned) {
        engine::record_fault(Effect::Stop, Some(machine), || format!("{name} stopped"));
    }
    waiting.into_iter().for_each(Waker::wake);
}

/// Ends a process whose main function failed.
pub(super) fn fail_process(process: ProcessId, failure: Failure) {
    context::try_with(|engine| engine.fail(failure));
    end_process(process, ProcessExit::Crashed);
}

/// Logs why a process may not have stopped: it has a tokio runtime, and did not wait for the stop signal.
fn warn_of_signals(process: ProcessId) {
    let (machine, name) = machine_and_name(process);
    let Some(machine) = machine else { return };
    if runtime_of(machine) == Runtime::Native {
        return;
    }
    log::write_line(Level::Warn, machine, || {
        format!(
            "{name} was killed at the end of its grace period, because it did not wait for \
             `simmach::signal::stopped()`; `tokio::signal` does not see `Sim::stop`"
        )
    });
}

/// Closes the Unix sockets of a process.
#[cfg(all(target_os = "linux", target_env = "gnu", target_pointer_width = "64"))]
fn close_unix_sockets(process: ProcessId) {
    crate::system::close_process(process);
}

/// Without guests, there are no Unix sockets.
#[cfg(not(all(target_os = "linux", target_env = "gnu", target_pointer_width = "64")))]
fn close_unix_sockets(_: ProcessId) {}
