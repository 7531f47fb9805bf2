//! The disks of one run: which stores each machine has, which processes have them open, power loss and wipes.
//!
//! A store belongs to a service on a machine and has a name. Opening the store opens its LMDB
//! environment. The environment stays open when processes end, since processes own only handles. A
//! power loss, a wipe and the end of the run close the environment. Each machine has a folder,
//! which is created on first use.

mod copies;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::task::Waker;
use std::{fs, io};

use crate::disk_profile::DiskProfile;
use crate::engine::context;
use crate::engine::{self, Effect, MachineId, ProcessId, RunId, Slot, TimerKey, mix, mix_text};
use crate::storage::disk_errors::{self, Maps};
use crate::storage::error::{Error, Result};
use crate::storage::name;
use crate::storage::options::Options;
use crate::storage::volume::Volume;
use crate::storage::writers::Writers;

pub(crate) use crate::storage::disks::copies::{StoreCopies, copy, images, restore};

thread_local! {
    pub(crate) static DISKS: Slot<Disks> = const { Slot::new() };
}

/// Configuration of the storage of a run.
#[derive(Debug)]
pub(crate) struct StorageSpec {
    pub(crate) folder: RunFolder,
    /// The default disk.
    pub(crate) disk: DiskProfile,
    /// The disks of machines that do not have the default disk.
    pub(crate) disks: BTreeMap<MachineId, DiskProfile>,
}

/// The folder of one run. It is created on first use and deleted at the end of the run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RunFolder {
    /// The parent folder, which exists.
    pub(crate) parent: &'static Path,
    /// The number of the folder, unique among the runs of this process.
    pub(crate) number: u64,
}

/// The storage of one run.
#[derive(Debug)]
pub(crate) struct Disks {
    spec: StorageSpec,
    /// Whether the folder of the run was created.
    has_root: bool,
    /// Machines whose folder was created.
    folders: BTreeSet<MachineId>,
    /// Machines whose disk was filled.
    full: BTreeSet<MachineId>,
    stores: Vec<StoreState>,
    handles: BTreeMap<u64, OpenHandle>,
    next: u64,
    commit_hook: Option<CommitHook>,
    /// The services that processes belong to; a process of the only service of a machine is missing here.
    services: BTreeMap<ProcessId, String>,
}

/// What a process on a machine calls before each commit. It may take the power of the machine.
pub(crate) type CommitHook = fn(MachineId);

/// A store on a machine's disk, whether or not a process has it open.
#[derive(Debug)]
pub(super) struct StoreState {
    pub(super) machine: MachineId,
    service: String,
    pub(super) name: String,
    /// Identifies the store in addresses of draws and in the trace.
    pub(super) address: u64,
    volume: VolumeSlot,
    pub(super) writers: Writers,
    /// Number of writes that have begun.
    pub(super) writes: u64,
    /// Number of writes that have begun in each step of the test, by the word of the step.
    writes_in_steps: BTreeMap<u64, u64>,
    /// The timer of the pending flush.
    pub(super) flush: Option<TimerKey>,
}

/// A store that a process has open.
#[derive(Debug)]
pub(super) struct OpenHandle {
    process: ProcessId,
    pub(super) store: usize,
    pub(super) options: Options,
}

/// Identifies an [`OpenHandle`] of a run. This is what a [`Store`](super::Store) holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct HandleId {
    run: RunId,
    /// The key in [`Disks::handles`].
    pub(super) number: u64,
}

/// The volume of a store, or what happened to it while a transaction uses it.
#[derive(Debug)]
enum VolumeSlot {
    Present(Box<Volume>),
    /// A transaction has taken the volume. A disk event meanwhile aborts the transaction, and is applied after it.
    InUse {
        /// Number of commits that are not durable.
        undurable: u64,
        event: Option<DiskEvent>,
    },
}

/// An event that affects a disk, and thus each store on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum DiskEvent {
    PowerOff,
    Wipe,
}

/// Installs the storage of this thread's run.
pub(crate) fn install(spec: StorageSpec) {
    DISKS.with(|slot| {
        slot.install(Disks {
            spec,
            has_root: false,
            folders: BTreeSet::new(),
            full: BTreeSet::new(),
            stores: Vec::new(),
            handles: BTreeMap::new(),
            next: 0,
            commit_hook: None,
            services: BTreeMap::new(),
        });
    });
}

/// Removes the storage of this thread's run: closes all stores and deletes the folders.
pub(crate) fn remove() {
    drop(DISKS.with(Slot::remove));
}

/// Records the service that a process belongs to. Called before the process opens a store. The only service of a machine may
/// have no name.
pub(crate) fn name_process(process: ProcessId, service: &str) {
    if service.is_empty() {
        return;
    }
    state(|disks| disks.services.insert(process, service.to_owned()));
}

/// Closes the handles of a process that has ended, and removes its writers from the queues. Committed data stays.
pub(crate) fn close_process(process: ProcessId) {
    let closed = state(|disks| {
        disks.services.remove(&process);
        disks.close(|handle, _| handle.process == process)
    });
    drop(closed);
}

/// Takes the stores of a machine back to their last durable points. Returns the number of lost commits, which is also counted
/// as [`Effect::CommitLost`].
pub(crate) fn power_off(machine: MachineId) -> u64 {
    let (done, closed) = state(|disks| disks.apply(machine, DiskEvent::PowerOff))
        .unwrap_or((Ok(0), Closed::default()));
    drop(closed);
    let lost = done.unwrap_or(0);
    engine::count_effect(Effect::CommitLost, lost);
    lost
}

/// Returns whether the disk of a machine is empty: no store was used since the start or the last wipe.
pub(crate) fn is_empty(machine: MachineId) -> bool {
    let is_empty = state(|disks| {
        let mut stores = disks.stores.iter().filter(|store| store.machine == machine);
        stores.all(|store| match &store.volume {
            VolumeSlot::Present(volume) => volume.is_empty(),
            VolumeSlot::InUse { .. } => false,
        })
    });
    is_empty.unwrap_or(true)
}

/// Fills the disk of a machine, so that writes fail, or frees it.
pub(crate) fn set_full(machine: MachineId, is_full: bool) {
    state(|disks| match is_full {
        true => disks.full.insert(machine),
        false => disks.full.remove(&machine),
    });
}

/// Whether the disk of a machine was filled.
pub(super) fn is_full(machine: MachineId) -> bool {
    state(|disks| disks.full.contains(&machine)).unwrap_or(false)
}

/// Sets what is called before each commit, on all machines.
pub(crate) fn set_commit_hook(hook: CommitHook) {
    state(|disks| disks.commit_hook = Some(hook));
}

/// Calls the hook of commits, if there is one. Nothing may be borrowed.
pub(super) fn announce_commit(machine: MachineId) {
    if let Some(hook) = state(|disks| disks.commit_hook).flatten() {
        hook(machine);
    }
}

/// Deletes the stores of a machine. Stores opened later are new and empty.
pub(crate) fn wipe(machine: MachineId) -> io::Result<()> {
    let (done, closed) =
        state(|disks| disks.apply(machine, DiskEvent::Wipe)).unwrap_or((Ok(0), Closed::default()));
    drop(closed);
    Ok(done.map(drop)?)
}

/// Opens a store for the running process.
pub(super) fn open(name: &str, options: Options) -> Result<HandleId> {
    name::check(name)?;
    let scope = engine::live_scope().ok_or(Error::Closed)?;
    let run = engine::run_id().ok_or(Error::Closed)?;
    let opened = state(|disks| disks.open(scope.machine, scope.process, name, options));
    let number = opened.ok_or(Error::Closed)??;
    Ok(HandleId { run, number })
}

/// Runs `f` on a store that the running process has open.
pub(super) fn with_handle<R>(
    id: HandleId,
    f: impl FnOnce(&mut StoreState, &mut OpenHandle, &DiskProfile) -> Result<R>,
) -> Result<R> {
    let scope = engine::live_scope().ok_or(Error::Closed)?;
    if engine::run_id() != Some(id.run) {
        return Err(Error::Closed);
    }
    let result = state(|disks| {
        let handle = disks.handles.get_mut(&id.number).ok_or(Error::Closed)?;
        if handle.process != scope.process {
            return Err(Error::Foreign);
        }
        let store = &mut disks.stores[handle.store];
        let disk = disks.spec.disks.get(&store.machine).unwrap_or(&disks.spec.disk);
        f(store, handle, disk)
    });
    result.unwrap_or(Err(Error::Closed))
}

/// Like [`with_handle`], for destructors, which any live process may run. Does nothing in a dead process.
pub(super) fn with_handle_in_drop<R>(
    id: HandleId,
    f: impl FnOnce(&mut StoreState) -> R,
) -> Option<R> {
    engine::live_scope()?;
    if engine::run_id() != Some(id.run) {
        return None;
    }
    state(|disks| {
        let handle = disks.handles.get(&id.number)?;
        Some(f(&mut disks.stores[handle.store]))
    })
    .flatten()
}

/// Runs `f` on a store by its index, for timers and at the end of transactions.
pub(super) fn with_store<R>(number: usize, f: impl FnOnce(&mut StoreState) -> R) -> Option<R> {
    state(|disks| f(&mut disks.stores[number]))
}

/// The map sizes of a run, where the volume of store `number` is in use and has a map of `size`.
pub(super) fn maps_beside(number: usize, size: usize) -> Maps {
    let maps = state(|disks| disks.maps(number)).unwrap_or_default();
    Maps { size, ..maps }
}

fn state<R>(f: impl FnOnce(&mut Disks) -> R) -> Option<R> {
    DISKS.try_with(|slot| slot.with(f)).ok().flatten()
}

impl Disks {
    fn open(
        &mut self,
        machine: MachineId,
        process: ProcessId,
        name: &str,
        options: Options,
    ) -> Result<u64> {
        let service = self.services.get(&process).cloned().unwrap_or_default();
        let found = self.stores.iter().position(|store| {
            store.machine == machine && store.service == service && store.name == name
        });
        let store = match found {
            Some(store) => store,
            None => self.create(machine, service, name, options)?,
        };
        let mut handles = self.handles.iter();
        let handle = handles.find(|(_, handle)| handle.process == process && handle.store == store);
        if let Some((number, handle)) = handle {
            if handle.options == options {
                return Ok(*number);
            }
            return Err(Error::Options(format!(
                "the store {name:?} is already open with {:?}, and cannot be opened with {options:?}: use the same `Options` in \
                 every `open`",
                handle.options
            )));
        }
        let size = self.disk(machine).limit(options.size());
        if let VolumeSlot::Present(volume) = &mut self.stores[store].volume {
            let ready = volume.resize(size).and_then(|()| volume.open());
            ready.inspect_err(|error| {
                let maps = self.maps(store);
                disk_errors::break_run(&self.spec.folder.path(), error, maps);
            })?;
        }
        let number = self.next;
        self.next += 1;
        self.handles.insert(number, OpenHandle { process, store, options });
        Ok(number)
    }

    fn create(
        &mut self,
        machine: MachineId,
        service: String,
        name: &str,
        options: Options,
    ) -> Result<usize> {
        let folder = self.make_folder(machine);
        let folder = folder.inspect_err(|error| {
            let maps = self.maps(self.stores.len());
            disk_errors::break_run(&self.spec.folder.path(), error, maps);
        })?;
        let size = self.disk(machine).limit(options.size());
        let volume = Volume::new(&folder, &file_name(&service, name), size);
        let volume = VolumeSlot::Present(Box::new(volume));
        let address = mix(u64::from(machine.0), mix(mix_text(&service), mix_text(name)));
        let name = name.to_owned();
        let store = StoreState {
            machine,
            service,
            name,
            address,
            volume,
            writers: Writers::default(),
            writes: 0,
            writes_in_steps: BTreeMap::new(),
            flush: None,
        };
        self.stores.push(store);
        Ok(self.stores.len() - 1)
    }

    /// Returns the folder of a machine, and creates it on the first call. Most runs need none.
    fn make_folder(&mut self, machine: MachineId) -> Result<PathBuf> {
        // The parent folder is not created: a worker that is exiting has deleted it, and it must stay deleted.
        if !self.has_root {
            context::outside(|| fs::create_dir(self.spec.folder.path()))?;
            self.has_root = true;
        }
        let folder = self.folder(machine);
        if !self.folders.contains(&machine) {
            context::outside(|| fs::create_dir(&folder))?;
            self.folders.insert(machine);
        }
        Ok(folder)
    }

    /// The map sizes of this store and of all other open stores.
    fn maps(&self, number: usize) -> Maps {
        let mut maps = Maps::default();
        for (other, store) in self.stores.iter().enumerate() {
            match &store.volume {
                VolumeSlot::Present(volume) if other == number => maps.size = volume.map_size(),
                VolumeSlot::Present(volume) if volume.is_open() => {
                    maps.others += 1;
                    maps.total += volume.map_size() as u128;
                }
                VolumeSlot::Present(_) | VolumeSlot::InUse { .. } => {}
            }
        }
        maps
    }

    fn disk(&self, machine: MachineId) -> &DiskProfile {
        self.spec.disks.get(&machine).unwrap_or(&self.spec.disk)
    }

    fn folder(&self, machine: MachineId) -> PathBuf {
        self.spec.folder.path().join(machine.0.to_string())
    }

    fn close(&mut self, which: impl Fn(&OpenHandle, &StoreState) -> bool) -> Closed {
        let (stores, mut wakers) = (&mut self.stores, Vec::new());
        self.handles.retain(|number, handle| {
            let store = &mut stores[handle.store];
            let closes = which(handle, store);
            if closes {
                let departed = store.writers.leave_all(*number);
                wakers.extend(departed.own.into_iter().chain(departed.next));
            }
            !closes
        });
        Closed(wakers)
    }

    fn apply(&mut self, machine: MachineId, event: DiskEvent) -> (Result<u64>, Closed) {
        let closed = self.close(|_, store| store.machine == machine);
        let stores = self.stores.iter_mut().filter(|store| store.machine == machine);
        let done: Result<u64> = stores.map(|store| store.apply(event)).sum();
        let broken = |error: &Error| {
            disk_errors::break_run(&self.spec.folder.path(), error, Maps::default());
        };
        (done.inspect_err(broken), closed)
    }
}

impl RunFolder {
    pub(super) fn path(self) -> PathBuf {
        self.parent.join(format!("run-{}", self.number))
    }
}

impl Drop for Disks {
    fn drop(&mut self) {
        if !self.has_root {
            return;
        }
        let mut clean = true;
        for store in &mut self.stores {
            clean &= store.apply(DiskEvent::Wipe).is_ok();
        }
        context::outside(|| {
            for machine in &self.folders {
                clean &= fs::remove_dir(self.folder(*machine)).is_ok();
            }
            clean &= fs::remove_dir(self.spec.folder.path()).is_ok();
            if !clean {
                // It contains files that this module did not create. The folder belongs to the run, so they are deleted too.
                let _ = fs::remove_dir_all(self.spec.folder.path());
            }
        });
    }
}

impl StoreState {
    /// The name of LMDB's data file.
    fn file_name(&self) -> String {
        format!("{}.mdb", file_name(&self.service, &self.name))
    }

    /// Fails if a transaction is running. Transactions run within one poll, so the caller is its closure.
    pub(super) fn ensure_idle(&self) -> Result<()> {
        match self.volume {
            VolumeSlot::Present(_) => Ok(()),
            VolumeSlot::InUse { .. } => Err(Error::Nested),
        }
    }

    /// Counts a write, and returns what its number counts from and the number. If `step` is not 0, it is the word of the step
    /// in which a task writes: then other steps do not change the number.
    pub(super) fn number_write(&mut self, step: u64) -> (u64, u64) {
        self.writes += 1;
        if step == 0 {
            return (self.address, self.writes);
        }
        let count = self.writes_in_steps.entry(step).or_default();
        *count += 1;
        (mix(self.address, step), *count)
    }

    /// Takes the volume for a transaction, so that nothing is borrowed while the user's closure runs.
    pub(super) fn take_volume(&mut self) -> Result<Box<Volume>> {
        let undurable = match &self.volume {
            VolumeSlot::Present(volume) => volume.undurable(),
            VolumeSlot::InUse { .. } => return Err(Error::Nested),
        };
        match std::mem::replace(&mut self.volume, VolumeSlot::InUse { undurable, event: None }) {
            VolumeSlot::Present(volume) => Ok(volume),
            VolumeSlot::InUse { .. } => Err(Error::Nested),
        }
    }

    /// Returns whether the disk lost power or was wiped since the volume was taken.
    pub(super) fn was_interrupted(&self) -> bool {
        matches!(self.volume, VolumeSlot::InUse { event: Some(_), .. })
    }

    /// Returns the volume after a transaction, and applies the disk event that took place meanwhile.
    pub(super) fn return_volume(&mut self, volume: Box<Volume>) {
        match std::mem::replace(&mut self.volume, VolumeSlot::Present(volume)) {
            VolumeSlot::InUse { event: Some(event), .. } => {
                if let (Err(error), VolumeSlot::Present(volume)) = (self.apply(event), &self.volume)
                {
                    disk_errors::break_run(volume.folder(), &error, Maps::default());
                }
            }
            VolumeSlot::InUse { event: None, .. } | VolumeSlot::Present(_) => {}
        }
    }

    /// Makes all commits durable. Returns false if a transaction is running.
    pub(super) fn make_durable(&mut self) -> bool {
        self.flush = None;
        match &mut self.volume {
            VolumeSlot::Present(volume) => {
                volume.make_durable();
                true
            }
            VolumeSlot::InUse { .. } => false,
        }
    }

    /// Applies a disk event. Returns the number of lost commits.
    fn apply(&mut self, event: DiskEvent) -> Result<u64> {
        drop(self.flush.take().and_then(engine::cancel));
        match (&mut self.volume, event) {
            (VolumeSlot::Present(volume), DiskEvent::PowerOff) => volume.power_off(),
            (VolumeSlot::Present(volume), DiskEvent::Wipe) => volume.wipe().map(|()| 0),
            (VolumeSlot::InUse { undurable, event }, DiskEvent::PowerOff) => {
                *event = event.or(Some(DiskEvent::PowerOff));
                Ok(std::mem::take(undurable))
            }
            (VolumeSlot::InUse { event, .. }, DiskEvent::Wipe) => {
                *event = Some(DiskEvent::Wipe);
                Ok(0)
            }
        }
    }
}

/// Wakers of writers whose handles were closed, and of the next writers. They are woken on drop, which must take place when
/// nothing of the run is borrowed.
#[derive(Debug, Default)]
struct Closed(Vec<Waker>);

impl Drop for Closed {
    fn drop(&mut self) {
        self.0.drain(..).for_each(Waker::wake);
    }
}

/// The file name of a store, `<service>.<store>`. Characters of the service's name that file names cannot have are escaped; names
/// of stores have none.
fn file_name(service: &str, store: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    let mut name = String::new();
    for byte in service.bytes() {
        match byte {
            byte if plain(byte) => name.push(char::from(byte)),
            byte => name.push_str(&format!("%{byte:02x}")),
        }
    }
    // The only service of a machine may have no name. No escaped name is equal to `@`.
    let service = if name.is_empty() { "@" } else { &name };
    format!("{service}.{store}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_names_of_stores_differ() {
        let pairs = [("a", "b.c"), ("a.b", "c"), ("", "b"), ("@", "b"), ("a/b", "c"), ("é", "c")];
        let names: BTreeSet<_> =
            pairs.iter().map(|(service, store)| file_name(service, store)).collect();
        assert_eq!(names.len(), pairs.len());
        assert!(names.iter().all(|name| name.is_ascii() && !name.contains('/')), "{names:?}");
    }
}
