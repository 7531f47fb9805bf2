//! Operations on the disk of a machine, which has stores and files.

use std::io;

use crate::disk_image::{Allowance, DiskImage};
use crate::engine::MachineId;
use crate::storage;

/// What a power loss took from a machine's disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct LostData {
    /// Number of lost commits of stores.
    pub(super) commits: u64,
    /// Number of lost changes of files and of names.
    pub(super) changes: u64,
}

/// Applies a power loss to the disk of a machine. Everything that is not durable may be lost.
pub(super) fn power_off(machine: MachineId) -> LostData {
    LostData { commits: storage::power_off(machine), changes: files::power_off(machine) }
}

/// Returns whether the disk of a machine is empty: no data was written since the start of the run
/// or the last wipe.
pub(crate) fn is_disk_empty(machine: MachineId) -> bool {
    storage::is_empty(machine) && files::is_empty(machine)
}

/// Returns whether a machine has files on its disk.
pub(crate) fn has_files(machine: MachineId) -> bool {
    !files::is_empty(machine)
}

/// What there is on the disks of all machines that were used: files, and stores in a folder of their own.
pub(crate) fn disk_images() -> Vec<DiskImage> {
    let mut allowance = Allowance::new();
    let mut images = files::images(&mut allowance);
    for stores in storage::images(&mut allowance) {
        match images.iter_mut().find(|image| image.machine == stores.machine) {
            Some(image) => image.entries.extend(stores.entries),
            None => images.push(stores),
        }
    }
    images
}

/// Empties the disk of a machine.
pub(super) fn wipe(machine: MachineId) -> io::Result<()> {
    files::wipe(machine);
    storage::wipe(machine)
}

#[cfg(all(target_os = "linux", target_env = "gnu", target_pointer_width = "64"))]
pub(super) mod files {
    pub(in crate::machine) use crate::disk::faults::{
        PowerFailure, awaited_power_failure, break_disk, count_commit, end_fault, fail_power_at,
        has_fault, repair,
    };
    pub(super) use crate::disk::machines::{images, is_empty, wipe};
    use crate::disk::orphans;
    pub(in crate::machine) use crate::disk::orphans::keep_disk;
    use crate::disk::snapshot::{self, FileSnapshot};
    use crate::engine::MachineId;

    /// The files of a disk.
    pub(in crate::machine) type FileCopy = Option<FileSnapshot>;

    pub(in crate::machine) fn copy(machine: MachineId) -> FileCopy {
        snapshot::take(machine)
    }

    pub(in crate::machine) fn restore(machine: MachineId, copy: &FileCopy) {
        match copy {
            Some(copy) => snapshot::restore(machine, copy),
            // The disk was never used.
            None => wipe(machine),
        }
    }

    pub(super) fn power_off(machine: MachineId) -> u64 {
        let lost = crate::disk::machines::power_off(machine);
        lost.names + lost.writes
    }

    /// Drops the disks of processes that ran on when the machine lost its power.
    pub(in crate::machine) fn forget_orphans(machine: MachineId) {
        orphans::forget(machine).into_iter().for_each(crate::system::abandon_files);
    }
}

/// Where no system calls are answered, files are the host's.
#[cfg(not(all(target_os = "linux", target_env = "gnu", target_pointer_width = "64")))]
pub(super) mod files {
    use crate::disk_image::{Allowance, DiskImage};
    use crate::engine::acts::DiskFault;
    use crate::engine::{MachineId, ProcessId};

    pub(in crate::machine) type FileCopy = ();

    /// A power failure at a later call, which no call reaches.
    #[derive(Clone, Copy)]
    pub(in crate::machine) struct PowerFailure {
        pub(in crate::machine) owner: Option<u64>,
        #[expect(dead_code, reason = "no call on files is answered")]
        pub(in crate::machine) take_power: fn(MachineId, Option<u64>),
    }

    pub(in crate::machine) fn keep_disk(_: MachineId, _: ProcessId) {}

    pub(in crate::machine) fn forget_orphans(_: MachineId) {}

    pub(in crate::machine) fn break_disk(_: MachineId, _: DiskFault) {}

    pub(in crate::machine) fn repair(_: MachineId) {}

    pub(in crate::machine) fn end_fault(_: MachineId, _: DiskFault) {}

    pub(in crate::machine) fn has_fault(_: MachineId, _: Option<DiskFault>) -> bool {
        false
    }

    pub(in crate::machine) fn fail_power_at(_: MachineId, _: Option<(u64, PowerFailure)>) {}

    pub(in crate::machine) fn count_commit(_: MachineId) {}

    pub(in crate::machine) fn awaited_power_failure(_: MachineId) -> Option<PowerFailure> {
        None
    }

    pub(in crate::machine) fn copy(_: MachineId) -> FileCopy {}

    pub(in crate::machine) fn restore(_: MachineId, (): &FileCopy) {}

    pub(super) fn power_off(_: MachineId) -> u64 {
        0
    }

    pub(super) fn is_empty(_: MachineId) -> bool {
        true
    }

    pub(super) fn images(_: &mut Allowance) -> Vec<DiskImage> {
        Vec::new()
    }

    pub(super) fn wipe(_: MachineId) {}
}
