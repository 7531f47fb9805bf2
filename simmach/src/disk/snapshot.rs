//! Copies of disks: a backup, or the image that a machine is set up from.

use crate::disk::fate::{LossAddress, LossDraws};
use crate::disk::file_system::FileSystem;
use crate::disk::machines::with;
use crate::engine::MachineId;

/// A copy of the files of a disk, in which all is durable and no process has a file open.
#[derive(Clone, Debug)]
pub(crate) struct FileSnapshot(FileSystem);

/// Copies the files of a machine as its processes see them; `None` if its disk was never used.
pub(crate) fn take(machine: MachineId) -> Option<FileSnapshot> {
    let copy = with(|disks| Ok(disks.files(machine).map(FileSystem::durable_copy)));
    copy.ok().flatten().map(FileSnapshot)
}

/// Replaces the files of a machine by a copy. No process may run there.
pub(crate) fn restore(machine: MachineId, snapshot: &FileSnapshot) {
    let _ = with(|disks| {
        disks.disk(machine).replace(snapshot.0.clone());
        Ok(())
    });
}

impl FileSystem {
    /// A copy as processes see the files, in which all is durable.
    pub(super) fn durable_copy(&self) -> Self {
        let mut copy = self.clone();
        copy.sync_all();
        copy.lose_power(&mut NoLosses);
        copy
    }
}

/// A power failure that takes nothing.
struct NoLosses;

impl LossDraws for NoLosses {
    fn setting(&mut self, _: LossAddress, _: u64) -> u64 {
        0
    }

    fn is_lost(&mut self, _: LossAddress, _: f64, _: &dyn Fn() -> String) -> bool {
        false
    }

    fn lost_units(&mut self, _: LossAddress, _: u64, _: &dyn Fn(u64) -> String) -> u64 {
        0
    }
}
