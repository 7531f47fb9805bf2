//! Which machine has which stores, and what becomes of them: the state of one run's storage.
//!
//! A store belongs to a service on a machine and has a name. Its environment is opened when it is first asked for and
//! stays open across the ends of processes, which own no more than their place in it; only a loss of power, a wipe and
//! the end of the run close it. Each machine has a folder, made when it is first needed.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::task::Waker;
use std::{fs, io};

use crate::engine::{self, Effect, MachineId, ProcessId, RunId, Slot, TimerKey, mix, mix_text};
use crate::storage::error::{Error, Result};
use crate::storage::faults::{self, Maps};
use crate::storage::name;
use crate::storage::options::Options;
use crate::storage::profile::DiskProfile;
use crate::storage::volume::Volume;
use crate::storage::writers::Writers;

thread_local! {
    static DISKS: Slot<Disks> = const { Slot::new() };
}

/// What a run's storage is made of.
#[derive(Debug)]
pub(crate) struct StorageSpec {
    pub(crate) folder: RunFolder,
    /// The disk of every machine that has none of its own.
    pub(crate) disk: DiskProfile,
    /// The machines' own disks.
    pub(crate) disks: BTreeMap<MachineId, DiskProfile>,
}

/// A folder of one run's alone, made when it is first needed and deleted at the end.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RunFolder {
    /// The one that it is in, which exists.
    pub(crate) parent: &'static Path,
    /// No other run of the process has it.
    pub(crate) number: u64,
}

/// The storage of one run.
#[derive(Debug)]
pub(super) struct Disks {
    spec: StorageSpec,
    /// The run has its folder.
    has_root: bool,
    folders: BTreeSet<MachineId>,
    stores: Vec<Stored>,
    opened: BTreeMap<u64, Opened>,
    next: u64,
    services: BTreeMap<ProcessId, String>,
}

/// A store on a machine's disk, whether or not a process has it open.
#[derive(Debug)]
pub(super) struct Stored {
    pub(super) machine: MachineId,
    service: String,
    pub(super) name: String,
    /// What its draws are addressed by.
    pub(super) address: u64,
    place: Place,
    pub(super) writers: Writers,
    /// How many writes had their turn.
    pub(super) writes: u64,
    /// The flush that is due.
    pub(super) flush: Option<TimerKey>,
}

/// A process's place in a store.
#[derive(Debug)]
pub(super) struct Opened {
    process: ProcessId,
    pub(super) stored: usize,
    pub(super) options: Options,
}

/// What a handle holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct StoreId {
    run: RunId,
    /// The number of the place.
    pub(super) number: u64,
}

#[derive(Debug)]
enum Place {
    Here(Box<Volume>),
    /// A transaction has it. What befalls it meanwhile is done when the transaction is over, which is then aborted.
    InUse {
        undurable: u64,
        loss: Option<Loss>,
    },
}

/// What can befall a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Loss {
    Power,
    Wipe,
}

/// Gives this thread's run its storage.
pub(crate) fn install(spec: StorageSpec) {
    DISKS.with(|slot| {
        slot.install(Disks {
            spec,
            has_root: false,
            folders: BTreeSet::new(),
            stores: Vec::new(),
            opened: BTreeMap::new(),
            next: 0,
            services: BTreeMap::new(),
        });
    });
}

/// Ends this thread's storage: closes everything and deletes the folders.
pub(crate) fn remove() {
    drop(DISKS.with(Slot::remove));
}

/// Says which service a process is an incarnation of: before it opens a store. A machine's only service has no name.
pub(crate) fn name_process(process: ProcessId, service: &str) {
    if service.is_empty() {
        return;
    }
    state(|disks| disks.services.insert(process, service.to_owned()));
}

/// A process has ended: what it waits for in its stores it waits for no longer. What it committed stays.
pub(crate) fn close_process(process: ProcessId) {
    let closed = state(|disks| {
        disks.services.remove(&process);
        disks.close(|opened, _| opened.process == process)
    });
    drop(closed);
}

/// The machine loses its power: its stores go back to their last durable points. Answers, and counts as
/// [`Effect::CommitLost`], how many commits were lost.
pub(crate) fn power_off(machine: MachineId) -> u64 {
    let (done, closed) =
        state(|disks| disks.befall(machine, Loss::Power)).unwrap_or((Ok(0), Closed::default()));
    drop(closed);
    let lost = done.unwrap_or(0);
    engine::count_effect(Effect::CommitLost, lost);
    lost
}

/// Whether a machine's disk holds nothing: none of its stores was ever used, or all were wiped since.
pub(crate) fn is_empty(machine: MachineId) -> bool {
    let is_empty = state(|disks| {
        let mut stores = disks.stores.iter().filter(|stored| stored.machine == machine);
        stores.all(|stored| match &stored.place {
            Place::Here(volume) => volume.is_empty(),
            Place::InUse { .. } => false,
        })
    });
    is_empty.unwrap_or(true)
}

/// The machine's stores are deleted; those opened again are new and empty.
pub(crate) fn wipe(machine: MachineId) -> io::Result<()> {
    let (done, closed) =
        state(|disks| disks.befall(machine, Loss::Wipe)).unwrap_or((Ok(0), Closed::default()));
    drop(closed);
    Ok(done.map(drop)?)
}

/// A place in the store of this name for the process that runs.
pub(super) fn open(name: &str, options: Options) -> Result<StoreId> {
    name::check(name)?;
    let scope = engine::live_scope().ok_or(Error::Closed)?;
    let run = engine::run_id().ok_or(Error::Closed)?;
    let opened = state(|disks| disks.open(scope.machine, scope.process, name, options));
    let number = opened.ok_or(Error::Closed)??;
    Ok(StoreId { run, number })
}

/// Reaches a process's place in a store, for the process itself.
pub(super) fn reach<R>(
    id: StoreId,
    f: impl FnOnce(&mut Stored, &mut Opened, &DiskProfile) -> Result<R>,
) -> Result<R> {
    let scope = engine::live_scope().ok_or(Error::Closed)?;
    if engine::run_id() != Some(id.run) {
        return Err(Error::Closed);
    }
    let reached = state(|disks| {
        let opened = disks.opened.get_mut(&id.number).ok_or(Error::Closed)?;
        if opened.process != scope.process {
            return Err(Error::Foreign);
        }
        let stored = &mut disks.stores[opened.stored];
        let disk = disks.spec.disks.get(&stored.machine).unwrap_or(&disks.spec.disk);
        f(stored, opened, disk)
    });
    reached.unwrap_or(Err(Error::Closed))
}

/// As [`reach`], whoever asks: for a destructor. A dead process's does nothing.
pub(super) fn reach_place<R>(id: StoreId, f: impl FnOnce(&mut Stored) -> R) -> Option<R> {
    engine::live_scope()?;
    if engine::run_id() != Some(id.run) {
        return None;
    }
    state(|disks| {
        let opened = disks.opened.get(&id.number)?;
        Some(f(&mut disks.stores[opened.stored]))
    })
    .flatten()
}

/// Reaches a store by its number: for timers, and to give a volume back.
pub(super) fn reach_stored<R>(number: usize, f: impl FnOnce(&mut Stored) -> R) -> Option<R> {
    state(|disks| f(&mut disks.stores[number]))
}

/// The map of a store whose volume is taken out, of this size, and those of the others that are open.
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
        let found = self.stores.iter().position(|stored| {
            stored.machine == machine && stored.service == service && stored.name == name
        });
        let stored = match found {
            Some(stored) => stored,
            None => self.make(machine, service, name, options)?,
        };
        let mut places = self.opened.iter();
        let place = places.find(|(_, opened)| opened.process == process && opened.stored == stored);
        if let Some((number, opened)) = place {
            if opened.options == options {
                return Ok(*number);
            }
            return Err(Error::Options(format!(
                "the store {name:?} is open in this process with other options: {:?}",
                opened.options
            )));
        }
        let size = self.disk(machine).limit(options.size());
        if let Place::Here(volume) = &mut self.stores[stored].place {
            let ready = volume.resize(size).and_then(|()| volume.open());
            ready.inspect_err(|error| {
                let maps = self.maps(stored);
                faults::broken(&self.spec.folder.path(), error, maps);
            })?;
        }
        let number = self.next;
        self.next += 1;
        self.opened.insert(number, Opened { process, stored, options });
        Ok(number)
    }

    fn make(
        &mut self,
        machine: MachineId,
        service: String,
        name: &str,
        options: Options,
    ) -> Result<usize> {
        let folder = self.make_folder(machine);
        let folder = folder.inspect_err(|error| {
            let maps = self.maps(self.stores.len());
            faults::broken(&self.spec.folder.path(), error, maps);
        })?;
        let size = self.disk(machine).limit(options.size());
        let volume = Volume::new(&folder, &file_name(&service, name), size);
        let place = Place::Here(Box::new(volume));
        let address = mix(u64::from(machine.0), mix(mix_text(&service), mix_text(name)));
        let name = name.to_owned();
        let stored = Stored {
            machine,
            service,
            name,
            address,
            place,
            writers: Writers::default(),
            writes: 0,
            flush: None,
        };
        self.stores.push(stored);
        Ok(self.stores.len() - 1)
    }

    /// A machine's folder, which is there from the first time on: most runs need none.
    fn make_folder(&mut self, machine: MachineId) -> Result<PathBuf> {
        // Not the folder that the run's is in: a worker that is on its way out has deleted that for good.
        if !self.has_root {
            fs::create_dir(self.spec.folder.path())?;
            self.has_root = true;
        }
        let folder = self.folder(machine);
        if !self.folders.contains(&machine) {
            fs::create_dir(&folder)?;
            self.folders.insert(machine);
        }
        Ok(folder)
    }

    /// The map of this store, and those of the others that are open.
    fn maps(&self, number: usize) -> Maps {
        let mut maps = Maps::default();
        for (other, stored) in self.stores.iter().enumerate() {
            match &stored.place {
                Place::Here(volume) if other == number => maps.size = volume.map_size(),
                Place::Here(volume) if volume.is_open() => {
                    maps.others += 1;
                    maps.total += volume.map_size() as u128;
                }
                Place::Here(_) | Place::InUse { .. } => {}
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

    fn close(&mut self, which: impl Fn(&Opened, &Stored) -> bool) -> Closed {
        let (stores, mut told) = (&mut self.stores, Vec::new());
        self.opened.retain(|number, opened| {
            let stored = &mut stores[opened.stored];
            let closes = which(opened, stored);
            if closes {
                let left = stored.writers.leave_place(*number);
                told.extend(left.own.into_iter().chain(left.next));
            }
            !closes
        });
        Closed(told)
    }

    fn befall(&mut self, machine: MachineId, loss: Loss) -> (Result<u64>, Closed) {
        let closed = self.close(|_, stored| stored.machine == machine);
        let stores = self.stores.iter_mut().filter(|stored| stored.machine == machine);
        let done: Result<u64> = stores.map(|stored| stored.befall(loss)).sum();
        let broken = |error: &Error| {
            faults::broken(&self.spec.folder.path(), error, Maps::default());
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
        for stored in &mut self.stores {
            clean &= stored.befall(Loss::Wipe).is_ok();
        }
        for machine in &self.folders {
            clean &= fs::remove_dir(self.folder(*machine)).is_ok();
        }
        clean &= fs::remove_dir(self.spec.folder.path()).is_ok();
        if !clean {
            // Something of another's making is in there. It goes too: the folder is the run's.
            let _ = fs::remove_dir_all(self.spec.folder.path());
        }
    }
}

impl Stored {
    /// A volume is out for a transaction only while its closure runs: who asks then is that closure.
    pub(super) fn check_that_it_is_not_in_use(&self) -> Result<()> {
        match self.place {
            Place::Here(_) => Ok(()),
            Place::InUse { .. } => Err(Error::Nested),
        }
    }

    /// Takes the volume out for a transaction, so that nothing is borrowed while the user's closure runs.
    pub(super) fn take(&mut self) -> Result<Box<Volume>> {
        let undurable = match &self.place {
            Place::Here(volume) => volume.undurable(),
            Place::InUse { .. } => return Err(Error::Nested),
        };
        match std::mem::replace(&mut self.place, Place::InUse { undurable, loss: None }) {
            Place::Here(volume) => Ok(volume),
            Place::InUse { .. } => Err(Error::Nested),
        }
    }

    /// True if the power went, or the disk was wiped, since the volume was taken out.
    pub(super) fn is_lost(&self) -> bool {
        matches!(self.place, Place::InUse { loss: Some(_), .. })
    }

    /// Gives the volume back.
    pub(super) fn give_back(&mut self, volume: Box<Volume>) {
        match std::mem::replace(&mut self.place, Place::Here(volume)) {
            Place::InUse { loss: Some(loss), .. } => {
                if let (Err(error), Place::Here(volume)) = (self.befall(loss), &self.place) {
                    faults::broken(volume.folder(), &error, Maps::default());
                }
            }
            Place::InUse { loss: None, .. } | Place::Here(_) => {}
        }
    }

    /// Makes a durable point; false if a transaction is running.
    pub(super) fn make_durable(&mut self) -> bool {
        self.flush = None;
        match &mut self.place {
            Place::Here(volume) => {
                volume.make_durable();
                true
            }
            Place::InUse { .. } => false,
        }
    }

    /// Answers how many commits are lost by it.
    fn befall(&mut self, loss: Loss) -> Result<u64> {
        drop(self.flush.take().and_then(engine::cancel));
        match (&mut self.place, loss) {
            (Place::Here(volume), Loss::Power) => volume.power_off(),
            (Place::Here(volume), Loss::Wipe) => volume.wipe().map(|()| 0),
            (Place::InUse { undurable, loss }, Loss::Power) => {
                *loss = loss.or(Some(Loss::Power));
                Ok(std::mem::take(undurable))
            }
            (Place::InUse { loss, .. }, Loss::Wipe) => {
                *loss = Some(Loss::Wipe);
                Ok(0)
            }
        }
    }
}

/// The wakers of those who waited in a store that was closed, and of those who got a turn by it. Dropped when nothing is
/// borrowed, it tells them.
#[derive(Debug, Default)]
struct Closed(Vec<Waker>);

impl Drop for Closed {
    fn drop(&mut self) {
        self.0.drain(..).for_each(Waker::wake);
    }
}

/// `<service>.<store>`; a service may have any name, a store's has no character that is not plain.
fn file_name(service: &str, store: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    let mut name = String::new();
    for byte in service.bytes() {
        match byte {
            byte if plain(byte) => name.push(char::from(byte)),
            byte => name.push_str(&format!("%{byte:02x}")),
        }
    }
    // A machine's only service may have no name of its own; no other can be called this.
    let service = if name.is_empty() { "@" } else { &name };
    format!("{service}.{store}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_stores_of_a_machine_have_one_file() {
        let pairs = [("a", "b.c"), ("a.b", "c"), ("", "b"), ("@", "b"), ("a/b", "c"), ("é", "c")];
        let names: BTreeSet<_> =
            pairs.iter().map(|(service, store)| file_name(service, store)).collect();
        assert_eq!(names.len(), pairs.len());
        assert!(names.iter().all(|name| name.is_ascii() && !name.contains('/')), "{names:?}");
    }
}
