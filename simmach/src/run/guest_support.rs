//! Installs the system calls of a run, and lists the layers' state that moves with a run from
//! thread to thread.

#[cfg(all(target_os = "linux", target_env = "gnu", target_pointer_width = "64"))]
mod linux {
    use std::collections::BTreeMap;

    use crate::disk_profile::DiskProfile;
    use crate::engine::record::log_lines;
    use crate::engine::slot::Carry;
    use crate::engine::{MachineId, RunId};
    use crate::interpose::system::set_calls;
    use crate::net::simulated::kernel;
    use crate::sim::world;
    use crate::storage::disks;
    use crate::{disk, machine, system};

    /// The states of the layers, except the engine.
    static LAYERS: [&'static dyn Carry; 8] = [
        &log_lines::LINES,
        &kernel::NET,
        &disks::DISKS,
        &disk::machines::FILE_SYSTEMS,
        &machine::MACHINES,
        &world::WORLD,
        &system::DESCRIPTORS,
        &system::THREADS,
    ];

    pub(in crate::run) fn prepare() {
        set_calls(system::CALLS);
        system::set_carried(&LAYERS);
    }

    pub(in crate::run) fn install(run: RunId) {
        system::install(run);
        disk::machines::install();
    }

    /// Sets the profiles of the machines' disks.
    pub(in crate::run) fn set_disks(disks: &BTreeMap<MachineId, DiskProfile>) {
        let files = disks.iter().map(|(machine, disk)| (*machine, disk.files()));
        disk::machines::set_profiles(files.collect());
    }

    /// Removes the state. Returns the number of threads that did not end.
    pub(in crate::run) fn remove() -> u64 {
        let left = system::remove() as u64;
        disk::machines::remove();
        left
    }
}

#[cfg(all(target_os = "linux", target_env = "gnu", target_pointer_width = "64"))]
pub(super) use linux::{install, prepare, remove, set_disks};

/// On platforms without guests, a run has one thread and does not answer system calls.
#[cfg(not(all(target_os = "linux", target_env = "gnu", target_pointer_width = "64")))]
mod elsewhere {
    pub(in crate::run) fn prepare() {}

    pub(in crate::run) fn install(_: crate::engine::RunId) {}

    pub(in crate::run) fn set_disks(
        _: &std::collections::BTreeMap<crate::engine::MachineId, crate::disk_profile::DiskProfile>,
    ) {
    }

    pub(in crate::run) fn remove() -> u64 {
        0
    }
}

#[cfg(not(all(target_os = "linux", target_env = "gnu", target_pointer_width = "64")))]
pub(super) use elsewhere::{install, prepare, remove, set_disks};
