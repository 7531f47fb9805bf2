//! What the disk's faults do to calls on files, apart from their answers: the power fails in a call, or the call waits.

use crate::disk::faults::{self, Access, Aftermath};
use crate::engine::record::event::FileCall;
use crate::engine::{self, Effect, MachineId, ProcessId};
use crate::interpose::system::{Answer, Errno};
use crate::system::files::paths::record_failure;
use crate::system::threads::{self, Deadline};

/// A call on the files of the running process's machine has been made, and nothing is borrowed.
pub(super) fn finish<T>(call: FileCall, answer: &Answer<T>) {
    let Some(scope) = engine::live_scope() else { return };
    if let Err(Errno(libc::EIO)) = answer {
        note_error(scope.machine, call);
    }
    let access = match call {
        FileCall::Read => Access::Read,
        FileCall::Sync => Access::Sync,
        _ => Access::Change,
    };
    match faults::finish_call(scope.machine, access, answer.is_ok()) {
        Aftermath::Nothing => {}
        Aftermath::PowerFails(fail) => fail(scope.machine),
        Aftermath::Waits => wait(scope.machine, scope.process),
    }
}

fn note_error(machine: MachineId, call: FileCall) {
    let call = call.name();
    record_failure(libc::EIO, format!("{call}: the machine's disk fails"));
    engine::record_fault(Effect::DiskError, Some(machine), || {
        format!("{call} on a file fails: the disk fails")
    });
}

/// Waits for a stalled disk: on a guest's thread here, and otherwise before the process's next poll. Plans do not wait.
fn wait(machine: MachineId, process: ProcessId) {
    if !threads::is_own() {
        if process != ProcessId::HARNESS {
            faults::hold(machine, process);
        }
        return;
    }
    while faults::has_fault(machine, Some(crate::engine::acts::DiskFault::Stall)) {
        let waited = threads::wait(Deadline(None), "a stalled disk", |waker| {
            faults::add_waiter(machine, waker)
        });
        if waited.is_err() {
            return;
        }
    }
}
