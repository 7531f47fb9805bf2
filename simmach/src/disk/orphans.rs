//! The disks of orphans: processes that run on although their machine has lost its power.
//!
//! If the power fails within a call, the code that made the call runs on until its poll ends. The
//! orphan keeps the disk as it was, so that it reads what it has written, and fails at nothing that
//! the machine did not fail at. The machine gets a copy of the disk, which loses what was not
//! durable. Nothing that an orphan does reaches the copy.

use std::collections::BTreeMap;

use crate::disk::machines::{MachineDisk, MachineDisks, with};
use crate::engine::{self, MachineId, ProcessId};

/// The disks of orphans, by process.
pub(super) type Orphans = BTreeMap<ProcessId, (MachineId, MachineDisk)>;

/// Keeps the disk of a machine for the running process, which is about to become an orphan. Does
/// nothing if another process is running.
pub(crate) fn keep_disk(machine: MachineId, process: ProcessId) {
    if engine::live_scope().is_none_or(|scope| scope.process != process) {
        return;
    }
    let _ = with(|disks| {
        if let Some(disk) = disks.disks.get_mut(machine) {
            let copy = disk.split();
            let kept = std::mem::replace(disk, copy);
            disks.orphans.insert(process, (machine, kept));
        }
        Ok(())
    });
}

/// Whether a process that has ended keeps a disk.
pub(crate) fn is_orphan(process: ProcessId) -> bool {
    with(|disks| Ok(disks.orphans.contains_key(&process))).unwrap_or(false)
}

/// Drops the disks of the orphans of a machine, whose polls have ended. Returns the orphans.
pub(crate) fn forget(machine: MachineId) -> Vec<ProcessId> {
    let orphans = with(|disks| {
        let of_machine = disks.orphans.iter().filter(|(_, (of, _))| *of == machine);
        let orphans: Vec<ProcessId> = of_machine.map(|(process, _)| *process).collect();
        for process in &orphans {
            disks.orphans.remove(process);
            disks.forget(*process);
        }
        Ok(orphans)
    });
    orphans.unwrap_or_default()
}

impl MachineDisks {
    /// The running process, if it is an orphan of this machine.
    #[inline]
    pub(super) fn running_orphan(&self, machine: MachineId) -> Option<ProcessId> {
        if self.orphans.is_empty() {
            return None;
        }
        let scope = engine::scope().filter(|scope| !scope.alive)?;
        let (of, _) = self.orphans.get(&scope.process)?;
        (*of == machine).then_some(scope.process)
    }
}
