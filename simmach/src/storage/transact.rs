//! Executes one transaction, within one poll: takes the volume, runs the user's closure, records
//! the commit, and returns the volume.

use std::io;
use std::time::Duration;

use crate::engine::acts::AnchorEvent;
use crate::engine::draws::address::Address;
use crate::engine::record::event::CommitDurability;
use crate::engine::{self, Action, Event, MachineId, context};
use crate::storage::disks::{self, HandleId, StoreState};
use crate::storage::error::{Error, Result, take_converted_full};
use crate::storage::options::Durability;
use crate::storage::txn::{ReadTxn, WriteTxn};
use crate::storage::volume::{Commit, Volume};
use crate::storage::{disk_errors, traced};
use crate::time::nanos;

/// The latencies of one write.
#[derive(Clone, Copy, Debug)]
pub(super) struct Latencies {
    /// The latency before the commit.
    pub(super) disk: Duration,
    /// The latency between the commit and the return of `write`.
    pub(super) acknowledge: Duration,
}

/// Draws the latencies of the next write to a store.
pub(super) fn draw_latencies(id: HandleId) -> Result<Latencies> {
    let step = context::try_with(|engine| engine.step_word()).unwrap_or(0);
    disks::with_handle(id, |store, handle, disk| {
        let (source, nth) = store.number_write(step);
        let of_disk = match handle.options.commit() {
            Durability::EveryCommit => disk.commit(),
            Durability::Periodic(_) => disk.cached(),
        };
        let unit = |part| engine::unit(Address::commit(source, nth, part));
        Ok(Latencies {
            disk: Duration::from_nanos(of_disk.at(unit(0))),
            acknowledge: Duration::from_nanos(disk.acknowledge().at(unit(1))),
        })
    })
}

/// Runs `f` in a write transaction, and commits it with the durability that the store was opened with.
pub(super) fn write<R>(
    id: HandleId,
    f: impl FnOnce(&mut WriteTxn<'_, '_>) -> Result<R>,
) -> Result<R> {
    let mut transaction = Transaction::new(id)?;
    let commit = match transaction.durability {
        Durability::EveryCommit => Commit::Durable,
        Durability::Periodic(_) => Commit::Cached,
    };
    if disks::is_full(transaction.machine) {
        return Err(transaction.disk_full());
    }
    let (number, machine) = (transaction.number, transaction.machine);
    traced::begin();
    transaction
        .run(|volume, own| {
            volume.write(commit, |txn| {
                let value = f(txn).inspect_err(|_| *own = true)?;
                disks::announce_commit(machine);
                // The closure may have powered off its own machine, and the power may fail within the commit.
                match disks::with_store(number, |store| store.was_interrupted()) {
                    Some(false) => Ok(value),
                    Some(true) | None => Err(Error::Closed),
                }
            })
        })
        .inspect(|_| transaction.record_commit())
}

/// Runs `f` in a read transaction.
pub(super) fn read<R>(id: HandleId, f: impl FnOnce(&ReadTxn<'_, '_>) -> Result<R>) -> Result<R> {
    let mut transaction = Transaction::new(id)?;
    transaction.run(|volume, own| volume.read(|txn| f(txn).inspect_err(|_| *own = true)))
}

/// The volume of a store while a transaction uses it. The volume is returned on drop.
struct Transaction {
    volume: Option<Box<Volume>>,
    /// The index of the store.
    number: usize,
    durability: Durability,
    machine: MachineId,
}

impl Transaction {
    fn new(id: HandleId) -> Result<Self> {
        disks::with_handle(id, |store, handle, _| {
            Ok(Self {
                volume: Some(store.take_volume()?),
                number: handle.store,
                durability: handle.options.commit(),
                machine: store.machine,
            })
        })
    }

    /// Runs a transaction and handles errors of the disk. `f` sets its flag if the error comes from the user's closure.
    fn run<R>(&mut self, f: impl FnOnce(&mut Volume, &mut bool) -> Result<R>) -> Result<R> {
        let volume = self.volume.as_mut().ok_or(Error::Closed)?;
        let mut own = false;
        take_converted_full();
        let mut result = f(volume, &mut own);
        if let Err(Error::Io(error)) = &result
            && error.kind() == io::ErrorKind::StorageFull
            && take_converted_full()
        {
            // The closure converted `Error::Full` to an `io::Error`. This undoes the conversion.
            result = Err(Error::full());
        }
        if let Err(Error::Full { .. }) = result {
            let name = disks::with_store(self.number, |store| store.name.clone());
            let name = name.unwrap_or_default();
            disk_errors::record_disk_full(self.machine, &name);
            result = result.map_err(|error| error.in_store(&name, volume.map_size()));
        }
        match &result {
            Err(error @ Error::Io(_)) if !own || disk_errors::is_real_disk_full(error) => {
                let maps = disks::maps_beside(self.number, volume.map_size());
                disk_errors::break_run(volume.folder(), error, maps);
            }
            Ok(_) | Err(_) => {}
        }
        result
    }

    /// The error of a write to a disk that was filled.
    fn disk_full(&self) -> Error {
        let name = disks::with_store(self.number, |store| store.name.clone()).unwrap_or_default();
        disk_errors::record_disk_full(self.machine, &name);
        let size = self.volume.as_ref().map_or(0, |volume| volume.map_size());
        Error::full().in_store(&name, size)
    }

    /// Records a commit, and starts or cancels the flush timer.
    fn record_commit(&self) {
        let undurable = self.volume.as_ref().map_or(0, |volume| volume.undurable());
        disks::with_store(self.number, |store| match self.durability {
            Durability::EveryCommit => {
                drop(store.flush.take().and_then(engine::cancel));
                trace_commit(store, CommitDurability::Durable);
            }
            Durability::Periodic(period) => {
                if store.flush.is_none() && undurable > 0 {
                    let at = engine::now().saturating_add(nanos(period));
                    store.flush = Some(engine::arm(at, Action::Call(flush, self.number as u64, 0)));
                }
                trace_commit(store, CommitDurability::Cached);
            }
        });
        engine::note_progress();
    }
}

impl Drop for Transaction {
    fn drop(&mut self) {
        let Some(volume) = self.volume.take() else { return };
        // If the run's storage is gone already, the volume is closed here.
        disks::with_store(self.number, |store| store.return_volume(volume));
    }
}

/// The timer of a flush: makes the commits of a store durable.
fn flush(number: u64, _: u64) {
    let flushed = disks::with_store(number as usize, |store| {
        let durable = store.make_durable();
        if durable {
            engine::trace(Event::Flushed { store: store.address, nth: store.writes });
        }
        durable
    });
    if flushed == Some(true) {
        engine::note_progress();
    }
}

fn trace_commit(store: &StoreState, durability: CommitDurability) {
    let (machine, nth) = (store.machine, store.writes);
    let written = traced::written();
    engine::trace(Event::Committed { store: store.address, nth, durability, written });
    context::try_with(|engine| {
        engine.acts.note_event(engine, || AnchorEvent::Commit { machine });
    });
}
