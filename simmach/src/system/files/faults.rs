//! Effects of the disk on calls on files, besides their results: latencies, stalls, and power
//! failures in the middle of a call.

use std::time::Duration;

use crate::disk::delays;
use crate::disk::faults::{self, Access, Aftermath, PowerFailure};
use crate::disk_profile::{Latency, Stalls};
use crate::engine::acts::DiskFault;
use crate::engine::draws::address::Address;
use crate::engine::record::event::FileCall;
use crate::engine::tasks::numbering::Numbered;
use crate::engine::{self, Effect, MachineId, ProcessId, Scope, context};
use crate::interpose::system::{Answer, Errno};
use crate::system::files::paths::record_failure;
use crate::system::threads::{self, Deadline};

/// Applies the disk's latencies, stalls and power failures after a call of a process on the files
/// of its machine. The caller must hold no borrow of the run's state.
#[inline]
pub(super) fn finish<T>(scope: Scope, call: FileCall, answer: &Answer<T>) {
    if faults::are_possible() {
        let error = answer.as_ref().err().copied();
        interfere(scope, call, error);
    }
}

/// Applies the effects of the disk to a call that returned this error, if any.
fn interfere(scope: Scope, call: FileCall, error: Option<Errno>) {
    if error == Some(Errno(libc::EIO)) {
        note_error(scope.machine, call);
    }
    let access = match call {
        FileCall::Read => Access::Read,
        FileCall::Sync => Access::Sync,
        _ => Access::Change,
    };
    match faults::finish_call(scope.machine, access, error.is_none()) {
        None => {}
        Some(Aftermath::PowerFails(PowerFailure { owner, take_power })) => {
            take_power(scope.machine, owner);
        }
        Some(Aftermath::Takes { latency, stalls, is_stalled }) => {
            let nanos = draw_latency(latency, stalls);
            if nanos > 0 && !threads::sleep(Duration::from_nanos(nanos)) {
                delay(scope.process, nanos);
            }
            if is_stalled {
                wait(scope.machine, scope.process);
            }
        }
    }
}

/// Draws how long a call takes, in nanoseconds.
fn draw_latency(latency: Latency, stalls: Stalls) -> u64 {
    if latency == Latency::default() && stalls.per_million == 0 {
        return 0;
    }
    let Some(Numbered { source, nth }) = context::try_with(|engine| engine.next_file_call()) else {
        return 0;
    };
    let address = |part| Address::file_call(source, nth, part);
    let own = latency.at(engine::unit(address(0)));
    let chance = f64::from(stalls.per_million) / 1e6;
    if chance > 0.0 && engine::chance(address(1), chance) {
        return own.saturating_add(stalls.length.at(engine::unit(address(2))));
    }
    own
}

/// Delays the next poll of a process. Plans do not wait.
fn delay(process: ProcessId, nanos: u64) {
    if process != ProcessId::HARNESS {
        delays::delay(process, nanos);
    }
}

fn note_error(machine: MachineId, call: FileCall) {
    let call = call.name();
    record_failure(libc::EIO, format!("{call}: an injected disk fault"));
    engine::record_fault(Effect::DiskError, Some(machine), || {
        format!("{call} on a file fails with EIO (injected disk fault)")
    });
}

/// Waits for a stalled disk. A thread that a guest started waits in this function. Otherwise, the
/// process waits before its next poll. Plans do not wait.
fn wait(machine: MachineId, process: ProcessId) {
    if !threads::is_own() {
        if process != ProcessId::HARNESS {
            faults::hold(machine, process);
        }
        return;
    }
    while faults::has_fault(machine, Some(DiskFault::Stall)) {
        let waited = threads::wait(Deadline(None), "a stalled disk", |waker| {
            faults::add_waiter(machine, waker)
        });
        if waited.is_err() {
            return;
        }
    }
}
