//! `on_exit`: what happens on a machine when a service fails. A service that returns without an
//! error is not affected.

use crate::engine::failure::verdict::Failure;
use crate::engine::log::{self, Level};
use crate::engine::record::event::ProcessExit;
use crate::engine::time::timer_info::TimerInfo;
use crate::engine::{self, Action, MachineId, ProcessId, TimerKey};
use crate::machine::end::end_process;
use crate::machine::process::ProcessState;
use crate::machine::start::start;
use crate::machine::{
    Machines, OnExit, ServiceId, has_power, incarnation_of, label_of, name_of, state_of, with,
};
use crate::time::nanos;

/// Decides whether a failure fails the run. Returns `None` if only the process crashes. The engine
/// calls this function.
pub(super) fn on_failure(process: ProcessId, failure: Failure) -> Option<Failure> {
    let found = with(|machines| {
        let process = machines.processes.find(process)?;
        let service = process.service?;
        let machine = &machines.all[process.machine.0 as usize];
        Some((ServiceId { machine: process.machine, service }, machine.on_exit))
    });
    let Some((id, on_exit)) = found.flatten() else { return Some(failure) };
    let label = label_of(id);
    let crash = || {
        log::write_line(Level::Error, id.machine, || {
            let cause = failure.cause.as_ref().map(|cause| format!(" (failed call: {cause})"));
            format!("{label} crashed: {}{}", failure.message, cause.unwrap_or_default())
        });
        end_process(process, ProcessExit::Crashed);
    };
    match on_exit {
        OnExit::Fail => return Some(failure),
        OnExit::StayDown => crash(),
        // The process has received the stop signal, so it is not restarted.
        OnExit::Restart(_) if state_of(process) != ProcessState::Running => crash(),
        OnExit::Restart(after) => {
            crash();
            let at = engine::now().saturating_add(nanos(after));
            let word = (u64::from(id.machine.0) << 32) | id.service as u64;
            let timer = engine::arm(at, Action::Call(restart, word, incarnation_of(id)));
            with(|machines| {
                machines.all[id.machine.0 as usize].services[id.service].restart = Some(timer);
            });
        }
    }
    None
}

/// Returns whether a failure would only crash the process. Called by the engine.
pub(super) fn is_crash_tolerated(process: ProcessId) -> bool {
    let found = with(|machines| {
        let process = machines.processes.find(process)?;
        process.service?;
        Some(machines.all[process.machine.0 as usize].on_exit)
    });
    match found.flatten() {
        Some(OnExit::StayDown | OnExit::Restart(_)) => true,
        Some(OnExit::Fail) | None => false,
    }
}

/// A pending restart will be progress, so the run does not count as stalled.
pub(super) const TIMER_INFO: TimerInfo = TimerInfo {
    prevents_stall: || with(|machines| machines.restart_by(|_| true).is_some()).unwrap_or(false),
    describe: |timer| {
        let restarts = |machines: &mut Machines| machines.restart_by(|restart| restart == timer);
        with(restarts).flatten().map(|id| format!("{} restarts", name_of(id)))
    },
};

impl Machines {
    /// A service with a pending restart whose timer matches.
    fn restart_by(&self, which: impl Fn(TimerKey) -> bool) -> Option<ServiceId> {
        (0..).zip(&self.all).find_map(|(number, machine)| {
            let mut services = machine.services.iter();
            let service = services.position(|installed| installed.restart.is_some_and(&which))?;
            Some(ServiceId { machine: MachineId(number), service })
        })
    }
}

/// The timer of a restart. If the service is started or taken down before the timer fires, the timer is cancelled.
fn restart(word: u64, incarnation: u64) {
    let id = ServiceId { machine: MachineId((word >> 32) as u32), service: word as u32 as usize };
    with(|machines| machines.all[id.machine.0 as usize].services[id.service].restart = None);
    if has_power(id.machine) && incarnation_of(id) == incarnation {
        start(id);
    }
}
