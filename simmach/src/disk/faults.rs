//! Faults of a machine's disk: what fails, what waits, and the call at which the power fails.
//!
//! A fault belongs to the disk. It outlasts processes, power failures, wipes and snapshots, until the disk is repaired.

use std::collections::BTreeSet;
use std::task::Waker;

use crate::disk::file_system::{FileSystem, SyncKind};
use crate::disk::inode::InodeId;
use crate::disk::machines::{MachineDisk, with};
use crate::disk_profile::{Latency, Stalls};
use crate::engine::acts::DiskFault;
use crate::engine::tasks::pauses::PauseReason;
use crate::engine::{MachineId, ProcessId, context};
use crate::interpose::system::{Answer, Errno};

/// The faults of a disk.
#[derive(Debug, Default)]
pub(super) struct Faults {
    active: BTreeSet<DiskFault>,
    /// Changing calls and commits that are left until the power fails, and what happens then.
    power: Option<(u64, PowerFailure)>,
    /// Processes whose own thread waits for a stalled disk.
    waiting: BTreeSet<ProcessId>,
    /// Other threads that wait for it.
    waiters: Vec<Waker>,
}

/// A power failure that comes at a later call.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PowerFailure {
    /// The plan of the library that causes it, if any.
    pub(crate) owner: Option<u64>,
    /// Takes the power of a machine, on behalf of the owner.
    pub(crate) take_power: fn(MachineId, Option<u64>),
}

/// What a call on a file does to the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    Read,
    /// It changes a file or a name.
    Change,
    /// It makes changes durable.
    Sync,
}

/// What follows a call on a file.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Aftermath {
    /// The power fails in the call.
    PowerFails(PowerFailure),
    /// The call takes time.
    Takes {
        latency: Latency,
        stalls: Stalls,
        /// The disk is stalled, and the call does not return before that ends.
        is_stalled: bool,
    },
}

/// Gives a disk a fault.
pub(crate) fn break_disk(machine: MachineId, fault: DiskFault) {
    let _ = with(|disks| {
        let disk = disks.disk(machine);
        disk.faults.active.insert(fault);
        disk.files.is_full |= fault == DiskFault::Full;
        disks.has_faults = true;
        Ok(())
    });
}

/// Ends all faults of a disk. What waits for it goes on.
pub(crate) fn repair(machine: MachineId) {
    end_faults(machine, |_| true);
}

/// Ends one fault of a disk, and leaves the others. What waits for a stalled disk goes on.
pub(crate) fn end_fault(machine: MachineId, fault: DiskFault) {
    end_faults(machine, |other| other == fault);
}

fn end_faults(machine: MachineId, ends: impl Fn(DiskFault) -> bool) {
    let ended = with(|disks| {
        let disk = disks.disk(machine);
        let faults = &mut disk.faults;
        faults.active.retain(|fault| !ends(*fault));
        disk.files.is_full = faults.active.contains(&DiskFault::Full);
        if faults.active.contains(&DiskFault::Stall) {
            return Ok(Default::default());
        }
        Ok((std::mem::take(&mut faults.waiting), std::mem::take(&mut faults.waiters)))
    });
    let Ok((waiting, waiters)) = ended else { return };
    for process in waiting {
        context::try_with(|engine| engine.resume_process(process, PauseReason::StalledDisk));
    }
    waiters.into_iter().for_each(Waker::wake);
}

/// Whether a disk has this fault, or any if it is `None`.
pub(crate) fn has_fault(machine: MachineId, fault: Option<DiskFault>) -> bool {
    let has = with(|disks| {
        let Some(faults) = disks.faults(machine) else { return Ok(false) };
        Ok(fault.map_or(!faults.active.is_empty(), |fault| faults.active.contains(&fault)))
    });
    has.unwrap_or(false)
}

/// Has the power of a machine fail at a changing call on its files, or at a commit to one of its stores, counted from 1. `None`
/// takes that back.
pub(crate) fn fail_power_at(machine: MachineId, at: Option<(u64, PowerFailure)>) {
    let _ = with(|disks| {
        disks.disk(machine).faults.power = at;
        disks.has_faults |= at.is_some();
        Ok(())
    });
}

/// Returns the power failure that is to come at a later call on a machine's files, if any.
pub(crate) fn awaited_power_failure(machine: MachineId) -> Option<PowerFailure> {
    let awaited = with(|disks| Ok(disks.faults(machine).and_then(|own| own.power)));
    awaited.ok().flatten().map(|(_, failure)| failure)
}

/// Whether any disk has had a fault, or calls on any disk take time. Otherwise nothing follows a call.
pub(crate) fn are_possible() -> bool {
    with(|disks| Ok(disks.has_faults || disks.has_latencies)).unwrap_or(false)
}

/// A call on a machine's files has been made. Returns what follows. `is_done`: whether the call succeeded.
pub(crate) fn finish_call(machine: MachineId, access: Access, is_done: bool) -> Option<Aftermath> {
    let after = with(|disks| {
        let files = disks.profile(machine);
        let faults = &mut disks.disk(machine).faults;
        if is_done
            && access != Access::Read
            && let Some(failure) = faults.count_call()
        {
            return Ok(Aftermath::PowerFails(failure));
        }
        let latency = match access {
            Access::Read => files.read,
            Access::Change => files.write,
            Access::Sync => files.sync,
        };
        let is_stalled = faults.active.contains(&DiskFault::Stall);
        Ok(Aftermath::Takes { latency, stalls: files.stalls, is_stalled })
    });
    after.ok()
}

/// A process is about to commit to a store of a machine. Fails the power of the machine if it is to fail in this commit.
pub(crate) fn count_commit(machine: MachineId) {
    let failure = with(|disks| match disks.has_faults {
        true => Ok(disks.disk(machine).faults.count_call()),
        false => Ok(None),
    });
    if let Ok(Some(PowerFailure { owner, take_power })) = failure {
        take_power(machine, owner);
    }
}

/// Has a process wait, from its next poll on, until the disk of its machine is repaired.
pub(crate) fn hold(machine: MachineId, process: ProcessId) {
    let _ = with(|disks| Ok(disks.disk(machine).faults.waiting.insert(process)));
    context::try_with(|engine| engine.pause_process(process, PauseReason::StalledDisk));
}

/// Has a waker woken when the disk of a machine is repaired.
pub(crate) fn add_waiter(machine: MachineId, waker: &Waker) -> Answer<()> {
    with(|disks| {
        disks.disk(machine).faults.waiters.push(waker.clone());
        Ok(())
    })
}

impl Faults {
    /// Counts a call that changes the disk. Returns the power failure if it comes in this call.
    fn count_call(&mut self) -> Option<PowerFailure> {
        let (calls, _) = self.power.as_mut()?;
        *calls = calls.saturating_sub(1);
        let (_, failure) = self.power.take_if(|(calls, _)| *calls == 0)?;
        Some(failure)
    }

    pub(super) fn forget(&mut self, process: ProcessId) {
        self.waiting.remove(&process);
    }
}

impl MachineDisk {
    /// `EIO` if reads, or changes, fail.
    pub(crate) fn check(&self, access: Access) -> Answer<()> {
        let fault = match access {
            Access::Read => DiskFault::Reads,
            Access::Change | Access::Sync => DiskFault::Writes,
        };
        if self.faults.active.contains(&fault) { Err(Errno(libc::EIO)) } else { Ok(()) }
    }

    /// Makes a file or a folder durable, unless that fails.
    pub(crate) fn sync(&mut self, inode: InodeId, kind: SyncKind) -> Answer<()> {
        self.sync_by(|files, fails| match fails {
            true => files.fail_sync(inode),
            false => files.sync(inode, kind),
        })
    }

    /// Makes everything durable, unless that fails.
    pub(crate) fn sync_all(&mut self) -> Answer<()> {
        self.sync_by(|files, fails| {
            if fails {
                files.fail_sync_all()
            } else {
                files.sync_all()
            }
            Ok(())
        })
    }

    /// Makes a range of a file durable, unless that fails.
    pub(crate) fn sync_range(&mut self, file: InodeId, start: u64, length: u64) -> Answer<()> {
        self.sync_by(|files, fails| match fails {
            true => files.fail_sync(file),
            false => files.sync_range(file, start, length),
        })
    }

    /// Calls `f` with whether a sync fails, and returns the error.
    fn sync_by(&mut self, f: impl FnOnce(&mut FileSystem, bool) -> Answer<()>) -> Answer<()> {
        let fails =
            self.faults.active.remove(&DiskFault::NextSync) || self.check(Access::Sync).is_err();
        f(&mut self.files, fails)?;
        if fails { Err(Errno(libc::EIO)) } else { Ok(()) }
    }
}
