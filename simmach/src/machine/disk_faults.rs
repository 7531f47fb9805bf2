//! Faults of the disks of machines, and copies of disks.

use std::io;

use crate::engine::acts::DiskFault;
use crate::engine::record::event::DiskChange;
use crate::engine::{self, Effect, Event, MachineId};
use crate::machine::disks::files::{self, PowerFailure};
use crate::machine::power::power_off;
use crate::storage::{self, StoreCopies};

/// A copy of a machine's disk.
#[derive(Debug)]
pub(crate) struct DiskCopy {
    files: files::FileCopy,
    stores: StoreCopies,
}

/// Gives the disk of a machine a fault.
pub(crate) fn break_disk(machine: MachineId, fault: DiskFault) {
    files::break_disk(machine, fault);
    if fault == DiskFault::Full {
        storage::set_full(machine, true);
    }
    let change = change_of(fault);
    engine::record_fault(Effect::DiskFault, Some(machine), || change.words().to_owned());
    engine::trace(Event::DiskChanged { machine, change });
}

/// Ends all faults of a machine's disk. Returns false if there are none.
pub(crate) fn repair_disk(machine: MachineId) -> bool {
    if !has_disk_fault(machine, None) {
        return false;
    }
    storage::set_full(machine, false);
    engine::trace(Event::DiskChanged { machine, change: DiskChange::Repaired });
    files::repair(machine);
    true
}

/// Ends one fault of a machine's disk, and leaves the others.
pub(crate) fn end_disk_fault(machine: MachineId, fault: DiskFault) {
    if fault == DiskFault::Full {
        storage::set_full(machine, false);
    }
    engine::trace(Event::DiskChanged { machine, change: DiskChange::FaultEnded });
    files::end_fault(machine, fault);
}

/// Whether the disk of a machine has this fault, or any if it is `None`.
pub(crate) fn has_disk_fault(machine: MachineId, fault: Option<DiskFault>) -> bool {
    files::has_fault(machine, fault)
}

/// Has a machine lose its power at a changing call on its files, or within a commit to one of its stores, counted from 1. `owner`
/// is the plan of the library that does this, if any.
pub(crate) fn power_off_at_call(machine: MachineId, calls: u64, owner: Option<u64>) {
    storage::set_commit_hook(files::count_commit);
    files::fail_power_at(machine, Some((calls, PowerFailure { owner, take_power: power_off })));
    engine::trace(Event::DiskChanged { machine, change: DiskChange::PowerFailsAtCall });
}

/// Whether a machine is to lose its power at a later call on its files.
pub(crate) fn awaits_power_off(machine: MachineId) -> bool {
    files::awaited_power_failure(machine).is_some()
}

/// Whether a machine is to lose its power at a later call, because of this plan of the library, or the test.
pub(crate) fn awaits_power_off_by(machine: MachineId, owner: Option<u64>) -> bool {
    files::awaited_power_failure(machine).is_some_and(|failure| failure.owner == owner)
}

/// Cancels what [`power_off_at_call`] has announced. Returns false if there is nothing to cancel.
pub(crate) fn cancel_power_off_at_call(machine: MachineId) -> bool {
    let awaits = awaits_power_off(machine);
    if awaits {
        files::fail_power_at(machine, None);
    }
    awaits
}

/// Copies the disk of a machine.
pub(crate) fn copy_disk(machine: MachineId) -> io::Result<DiskCopy> {
    Ok(DiskCopy { files: files::copy(machine), stores: storage::copy(machine)? })
}

/// Replaces the disk of a machine by a copy. No process may run there.
pub(crate) fn restore_disk(machine: MachineId, copy: &DiskCopy) -> io::Result<()> {
    files::restore(machine, &copy.files);
    storage::restore(machine, &copy.stores)?;
    engine::record_fault(Effect::Restore, Some(machine), || {
        DiskChange::Restored.words().to_owned()
    });
    engine::trace(Event::DiskChanged { machine, change: DiskChange::Restored });
    Ok(())
}

fn change_of(fault: DiskFault) -> DiskChange {
    match fault {
        DiskFault::NextSync => DiskChange::NextSyncFails,
        DiskFault::Reads => DiskChange::ReadsFail,
        DiskFault::Writes => DiskChange::WritesFail,
        DiskFault::Full => DiskChange::Full,
        DiskFault::Stall => DiskChange::Stalled,
    }
}

/// A fault in words.
pub(crate) fn describe_fault(fault: DiskFault) -> &'static str {
    change_of(fault).words()
}

/// The end of a fault in words.
pub(crate) fn describe_end(fault: DiskFault) -> &'static str {
    match fault {
        DiskFault::NextSync => "syncs succeed again",
        DiskFault::Reads => "reads succeed again",
        DiskFault::Writes => "writes succeed again",
        DiskFault::Full => "it has free space again",
        DiskFault::Stall => "calls on its files return again",
    }
}
