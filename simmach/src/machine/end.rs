//! How processes end: stopped, killed, without power, or by themselves.

use std::future::poll_fn;
use std::io;
use std::task::{Poll, Waker};
use std::time::Duration;

use crate::engine::failure::verdict::Failure;
use crate::engine::record::event::ProcessExit;
use crate::engine::{self, Effect, Event, MachineId, ProcessId, Wait, context};
use crate::machine::process::State;
use crate::machine::{place_of, state_of, with};
use crate::time::timeout;
use crate::{net, storage};

/// Tells processes to stop, waits until all are over or `grace` has passed, and kills what is left.
pub(crate) async fn stop(processes: Vec<ProcessId>, grace: Duration) {
    for process in &processes {
        let wakers = with(|machines| {
            let process = machines.processes.find(*process)?;
            match process.state {
                State::Running => {
                    process.state = State::Stopping;
                    Some(process.on_stop().take())
                }
                State::Stopping | State::Over => None,
            }
        });
        wakers.flatten().into_iter().flatten().for_each(Waker::wake);
    }
    let all = futures::future::join_all(processes.iter().map(|process| ended(*process)));
    if timeout(grace, all).await.is_err() {
        processes.into_iter().for_each(kill);
    }
}

/// Ends a process now; its kernel closes its sockets.
pub(crate) fn kill(process: ProcessId) {
    if state_of(process) == State::Over {
        return;
    }
    let (machine, name) = place_of(process);
    engine::record_fault(Effect::Kill, machine, || format!("{name} killed"));
    end(process, ProcessExit::Killed);
}

/// Ends what was told to stop and has not yet: whoever would have killed it may be gone. False if there is none.
pub(crate) fn end_stopping() -> bool {
    let stopping =
        with(|machines| machines.processes.alive(|process| process.state == State::Stopping));
    let stopping = stopping.unwrap_or_default();
    let any = !stopping.is_empty();
    stopping.into_iter().for_each(kill);
    any
}

/// Takes a machine's power: its future is erased.
pub(crate) fn cut_power(machine: MachineId) {
    let running = with(|machines| {
        machines.all[machine.0 as usize].powered = false;
        machines.processes.alive(|process| process.machine == machine)
    });
    net::control::erase_machine(machine);
    net::control::set_up(machine, false);
    for process in running.into_iter().flatten() {
        end(process, ProcessExit::PowerLost);
    }
    let lost = storage::power_off(machine);
    engine::record_fault(Effect::PowerOff, Some(machine), || match lost {
        0 => "loses power".to_owned(),
        1 => "loses power and 1 commit".to_owned(),
        lost => format!("loses power and {lost} commits"),
    });
    engine::trace(Event::PowerLost { machine, commits: lost });
}

/// Deletes what a machine's disk holds, if it holds anything. Its processes must be down.
pub(crate) fn wipe(machine: MachineId) -> io::Result<()> {
    if storage::is_empty(machine) {
        return Ok(());
    }
    storage::wipe(machine)?;
    engine::record_fault(Effect::Wipe, Some(machine), || "disk wiped".to_owned());
    engine::trace(Event::DiskWiped { machine });
    Ok(())
}

/// Waits until a process is over.
async fn ended(process: ProcessId) {
    let mut waiter = None;
    poll_fn(|cx| {
        let old = with(|machines| {
            let process = machines.processes.find(process)?;
            match process.state {
                State::Over => None,
                State::Running | State::Stopping => {
                    Some(process.on_end().wait(waiter, cx.waker().clone()))
                }
            }
        });
        engine::record_wait(Wait::Named("a process to end"));
        match old.flatten() {
            Some((name, _old)) => {
                waiter = Some(name);
                Poll::Pending
            }
            None => Poll::Ready(()),
        }
    })
    .await;
}

/// The end of a process, however it comes. A stop is one that ended as it was told to.
pub(super) fn end(process: ProcessId, exit: ProcessExit) {
    let (place, name) = place_of(process);
    let ended = with(|machines| {
        let over = machines.processes.find(process)?;
        let before = std::mem::replace(&mut over.state, State::Over);
        if before == State::Over {
            return None;
        }
        let (on_stop, mut on_end) = (over.on_stop().take(), over.on_end().take());
        on_end.extend(on_stop);
        let (machine, service) = (over.machine, over.service);
        if let Some(service) = service {
            let installed = &mut machines.all[machine.0 as usize].services[service];
            installed.running.take_if(|running| *running == process);
            installed.returned = (before, exit) == (State::Running, ProcessExit::Returned);
        }
        Some((before, on_end))
    });
    let Some((before, waiting)) = ended.flatten() else { return };
    context::try_with(|engine| engine.end_process(process));
    match exit {
        // The sockets went with the machine.
        ProcessExit::PowerLost => {}
        ProcessExit::Returned | ProcessExit::Crashed | ProcessExit::Killed => {
            net::control::close_process(process)
        }
    }
    storage::close_process(process);
    engine::trace(Event::ProcessEnded { process, exit });
    engine::note_process_change();
    if (before, exit) == (State::Stopping, ProcessExit::Returned) {
        engine::record_fault(Effect::Stop, place, || format!("{name} stopped"));
    }
    waiting.into_iter().for_each(Waker::wake);
}

/// A process's main function failed.
pub(super) fn failed(process: ProcessId, failure: Failure) {
    context::try_with(|engine| engine.fail(failure));
    end(process, ProcessExit::Crashed);
}
