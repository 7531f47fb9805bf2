//! The disks of a run: one for each machine, created on first use.

use std::collections::BTreeMap;
use std::task::Waker;

use crate::disk::delays::Delays;
use crate::disk::durability::Losses;
use crate::disk::fate::{LossAddress, LossDraws};
use crate::disk::faults::Faults;
use crate::disk::file_system::FileSystem;
use crate::disk::host::{HOME, RealHost};
use crate::disk::inode::{InodeId, ROOT};
use crate::disk::locks::{LockOwner, Locks};
use crate::disk::mappings::Mapping;
use crate::disk::orphans::Orphans;
use crate::disk::path::{self, Follow, Resolved, Start};
use crate::disk::table::DiskTable;
use crate::disk_image::{Allowance, DiskImage};
use crate::disk_profile::FileProfile;
use crate::engine::draws::address::Address;
use crate::engine::{self, MachineId, ProcessId, Slot, mix};
use crate::interpose::system::{Answer, Errno};

thread_local! {
    pub(crate) static FILE_SYSTEMS: Slot<MachineDisks> = const { Slot::new() };
}

/// Folders that exist on each machine's disk from the beginning.
const FOLDERS: [&str; 8] =
    ["/tmp", "/var/tmp", "/var/lib", "/var/log", "/var/cache", "/run", "/dev/shm", HOME];

/// The disks of a run's machines.
#[derive(Debug, Default)]
pub(crate) struct MachineDisks {
    pub(super) disks: DiskTable,
    pub(super) orphans: Orphans,
    /// The working folders of processes that have changed their working folder.
    working: BTreeMap<ProcessId, Start>,
    /// Mappings for writing, by address.
    pub(super) mappings: BTreeMap<usize, Mapping>,
    /// Whether any disk has had a fault, or was to.
    pub(super) has_faults: bool,
    /// The profiles of machines that do not have the default one.
    profiles: BTreeMap<MachineId, FileProfile>,
    /// Whether calls on any of these disks take time.
    pub(super) has_latencies: bool,
    /// Processes that wait for their own calls.
    pub(super) delays: Delays,
}

/// The disk of a machine.
#[derive(Debug)]
pub(crate) struct MachineDisk {
    pub(crate) files: FileSystem,
    /// Number of power failures so far.
    failures: u64,
    locks: BTreeMap<InodeId, Locks>,
    /// Threads that wait for a lock.
    lock_waiters: Vec<Waker>,
    /// Number of files that were opened.
    opened: u64,
    pub(super) faults: Faults,
}

/// Creates the disks of this thread's run.
pub(crate) fn install() {
    FILE_SYSTEMS.with(|slot| slot.install(MachineDisks::default()));
}

/// Sets the profiles of disks, before any disk is used.
pub(crate) fn set_profiles(profiles: BTreeMap<MachineId, FileProfile>) {
    let _ = with(|disks| {
        disks.has_latencies = profiles.values().any(FileProfile::has_latencies);
        disks.profiles = profiles;
        Ok(())
    });
}

/// Removes the disks of this thread's run.
pub(crate) fn remove() {
    let removed = FILE_SYSTEMS.with(Slot::remove);
    if let Some(mut disks) = removed {
        disks.forget_mappings(|_| true);
    }
}

/// Calls `f` with the disk of a machine.
#[inline]
pub(crate) fn with_disk<R>(
    machine: MachineId,
    f: impl FnOnce(&mut MachineDisk) -> Answer<R>,
) -> Answer<R> {
    with(|disks| f(disks.disk(machine)))
}

#[inline]
pub(super) fn with<R>(f: impl FnOnce(&mut MachineDisks) -> Answer<R>) -> Answer<R> {
    const MISSING: Errno = Errno(libc::EIO);
    let called = FILE_SYSTEMS.try_with(|slot| slot.with(f).unwrap_or(Err(MISSING)));
    called.unwrap_or(Err(MISSING))
}

/// Resolves a path for a process, and calls `f` with the disk and the result. `start`: the folder where a relative path
/// begins, if it is not the working folder.
pub(crate) fn at_path<R>(
    (machine, process): (MachineId, ProcessId),
    start: Option<&Start>,
    path: &[u8],
    follow: Follow,
    f: impl FnOnce(&mut MachineDisk, Resolved) -> Answer<R>,
) -> Answer<R> {
    with(|disks| {
        let start = match start {
            Some(start) => start.clone(),
            None => disks.working_folder(machine, process),
        };
        let disk = disks.disk(machine);
        let resolved = path::resolve(&disk.files, &RealHost, &start, path, follow)?;
        f(disk, resolved)
    })
}

/// The path of a process's working folder.
pub(crate) fn working_folder((machine, process): (MachineId, ProcessId)) -> Answer<Vec<u8>> {
    with(|disks| {
        let start = disks.working_folder(machine, process);
        match start.folder {
            // A folder that was removed has no path.
            Some(folder)
                if folder != ROOT && disks.disk(machine).files.metadata(folder)?.links == 0 =>
            {
                Err(Errno(libc::ENOENT))
            }
            Some(_) | None => Ok(start.path),
        }
    })
}

/// Changes the working folder of a process.
pub(crate) fn set_working_folder(process: ProcessId, folder: Start) -> Answer<()> {
    with(|disks| {
        disks.working.insert(process, folder);
        Ok(())
    })
}

/// A process has ended.
pub(crate) fn close_process(process: ProcessId) {
    let _ = with(|disks| {
        disks.disks.iter_mut().for_each(|disk| disk.faults.forget(process));
        disks.delays.forget(process);
        // An orphan has its disk until its machine starts again.
        if !disks.orphans.contains_key(&process) {
            disks.forget(process);
        }
        Ok(())
    });
}

/// A machine loses its power: what was not durable may be lost. Returns what was.
pub(crate) fn power_off(machine: MachineId) -> Losses {
    let lost = with(|disks| {
        // A machine whose disk was never used has none.
        let Some(disk) = disks.disks.get_mut(machine) else { return Ok(Losses::default()) };
        disk.failures += 1;
        disk.locks.clear();
        let failure = mix(u64::from(machine.0), disk.failures);
        Ok(disk.files.lose_power(&mut RunDraws { machine, failure }))
    });
    lost.unwrap_or_default()
}

/// Whether nothing was written to the disk of a machine since the start or the last wipe.
pub(crate) fn is_empty(machine: MachineId) -> bool {
    let is_empty =
        with(|disks| Ok(disks.disks.get(machine).is_none_or(|disk| disk.files.is_untouched())));
    is_empty.unwrap_or(true)
}

/// The files of all machines that have any.
pub(crate) fn images(allowance: &mut Allowance) -> Vec<DiskImage> {
    let images = with(|disks| {
        let used = disks.disks.iter().filter(|(_, disk)| !disk.files.is_untouched());
        let image = |(machine, disk): (MachineId, &MachineDisk)| DiskImage {
            machine,
            entries: disk.files.image(allowance),
        };
        Ok(used.map(image).collect())
    });
    images.unwrap_or_default()
}

/// Empties the disk of a machine.
pub(crate) fn wipe(machine: MachineId) {
    let _ = with(|disks| {
        let profile = disks.profile(machine);
        if let Some(disk) = disks.disks.get_mut(machine) {
            disk.replace(new_file_system(profile));
        }
        Ok(())
    });
}

fn new_file_system(profile: FileProfile) -> FileSystem {
    let capacity = profile.capacity.map_or(u64::MAX, |capacity| capacity as u64);
    let mut files = FileSystem::new(profile.crash, capacity);
    for folder in FOLDERS {
        let made = files.create_durable_folders(folder.as_bytes(), 0);
        debug_assert!(made.is_ok(), "{folder}");
    }
    files.mark_untouched();
    files
}

impl MachineDisks {
    /// Forgets the working folder and the mappings of a process.
    pub(super) fn forget(&mut self, process: ProcessId) {
        self.working.remove(&process);
        for mapping in self.forget_mappings(|mapping| mapping.process == process) {
            let is_same =
                |other: &Mapping| (other.machine, other.inode) == (mapping.machine, mapping.inode);
            // What its destructors write to memory stays there.
            match self.mappings.values().any(is_same) {
                true => self.unmap(mapping),
                false => self.disk(mapping.machine).files.abandon_mappings(mapping.inode),
            }
        }
    }

    /// Takes what was written through a mapping that is gone.
    pub(super) fn unmap(&mut self, mapping: Mapping) {
        self.disk(mapping.machine).files.unmap(mapping.inode);
    }

    /// The faults of a machine's disk, if it has one.
    pub(super) fn faults(&self, machine: MachineId) -> Option<&Faults> {
        self.disks.get(machine).map(|disk| &disk.faults)
    }

    /// The files of a machine, if its disk was used.
    pub(super) fn files(&self, machine: MachineId) -> Option<&FileSystem> {
        self.disks.get(machine).map(|disk| &disk.files)
    }

    pub(super) fn profile(&self, machine: MachineId) -> FileProfile {
        self.profiles.get(&machine).copied().unwrap_or_default()
    }

    /// The disk of a machine, as the running process sees it.
    #[inline]
    pub(super) fn disk(&mut self, machine: MachineId) -> &mut MachineDisk {
        if let Some(process) = self.running_orphan(machine) {
            let profile = self.profile(machine);
            let new = || (machine, MachineDisk::new(profile));
            return &mut self.orphans.entry(process).or_insert_with(new).1;
        }
        if self.disks.get(machine).is_none() {
            self.disks.add(machine, MachineDisk::new(self.profile(machine)));
        }
        self.disks.get_mut(machine).expect("it was added if it was missing")
    }

    fn working_folder(&mut self, machine: MachineId, process: ProcessId) -> Start {
        if let Some(start) = self.working.get(&process) {
            return start.clone();
        }
        let folder = path::on_disk(&self.disk(machine).files, HOME.as_bytes());
        Start { folder, path: HOME.as_bytes().to_vec() }
    }
}

impl MachineDisk {
    fn new(profile: FileProfile) -> Self {
        Self {
            files: new_file_system(profile),
            failures: 0,
            locks: BTreeMap::new(),
            lock_waiters: Vec::new(),
            opened: 0,
            faults: Faults::default(),
        }
    }

    #[cfg(test)]
    pub(super) fn for_test() -> Self {
        Self::new(FileProfile::default())
    }

    /// A copy for the machine. The original is left to an orphan, without faults and the numbers of power failures.
    pub(super) fn split(&mut self) -> Self {
        Self {
            files: self.files.clone(),
            failures: self.failures,
            locks: BTreeMap::new(),
            lock_waiters: std::mem::take(&mut self.lock_waiters),
            opened: self.opened,
            faults: std::mem::take(&mut self.faults),
        }
    }

    /// Puts other files on the disk. No process may have one of the old ones open.
    pub(super) fn replace(&mut self, files: FileSystem) {
        let FileSystem { profile, capacity, is_full, .. } = self.files;
        self.files = files;
        (self.files.profile, self.files.capacity) = (profile, capacity);
        self.files.is_full = is_full;
        self.locks.clear();
    }

    /// A number for a file that is opened.
    pub(crate) fn next_open(&mut self) -> u64 {
        self.opened += 1;
        self.opened
    }

    /// The locks of a file.
    pub(crate) fn locks(&mut self, file: InodeId) -> &mut Locks {
        self.locks.entry(file).or_default()
    }

    /// Removes the locks that go when a descriptor of a file is closed: those of its process, and those of the open file if this
    /// was its last descriptor. Returns who may wait for them.
    #[must_use]
    pub(crate) fn release_locks(
        &mut self,
        file: InodeId,
        owners: impl IntoIterator<Item = LockOwner>,
    ) -> Vec<Waker> {
        let Some(locks) = self.locks.get_mut(&file) else { return Vec::new() };
        owners.into_iter().for_each(|owner| locks.remove(owner));
        if locks.is_empty() {
            self.locks.remove(&file);
        }
        self.take_lock_waiters()
    }

    /// Has a waker woken when a lock of the machine is released.
    pub(crate) fn add_lock_waiter(&mut self, waker: &Waker) {
        self.lock_waiters.push(waker.clone());
    }

    /// Those that wait for locks. They try again.
    #[must_use]
    pub(crate) fn take_lock_waiters(&mut self) -> Vec<Waker> {
        std::mem::take(&mut self.lock_waiters)
    }

    /// The folder of the last name of a path, made on the disk if it is only on the host.
    pub(crate) fn parent(&mut self, resolved: &Resolved, now: i64) -> Answer<InodeId> {
        match resolved.parent {
            Some(parent) => Ok(parent),
            None => {
                let slash = resolved.path.iter().rposition(|byte| *byte == b'/').unwrap_or(0);
                self.files.create_durable_folders(&resolved.path[..slash], now)
            }
        }
    }
}

/// The draws of a machine's power failure.
struct RunDraws {
    machine: MachineId,
    failure: u64,
}

impl RunDraws {
    fn address(&self, at: LossAddress) -> Address {
        Address::disk_loss(self.failure, at.subject, at.part)
    }
}

impl LossDraws for RunDraws {
    fn setting(&mut self, at: LossAddress, n: u64) -> u64 {
        engine::setting_below(self.address(at), n)
    }

    fn is_lost(&mut self, at: LossAddress, chance: f64, describe: &dyn Fn() -> String) -> bool {
        let is_lost = engine::chance(self.address(at), chance);
        if is_lost {
            engine::describe_disk_loss(self.machine, describe);
        }
        is_lost
    }

    fn lost_units(&mut self, at: LossAddress, n: u64, describe: &dyn Fn(u64) -> String) -> u64 {
        let lost = engine::below(self.address(at), n + 1);
        if lost > 0 {
            engine::describe_disk_loss(self.machine, || describe(lost));
        }
        lost
    }
}
