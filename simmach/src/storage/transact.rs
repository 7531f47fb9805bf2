//! One transaction, in one poll: the volume is taken out, the user's closure runs, and what came of it is accounted for.

use std::io;
use std::time::Duration;

use crate::engine::draws::address::Address;
use crate::engine::record::event::CommitDurability;
use crate::engine::{self, Action, Event, MachineId};
use crate::storage::disks::{self, StoreId};
use crate::storage::error::{Error, Result, take_converted_full};
use crate::storage::options::Durability;
use crate::storage::txn::{ReadTxn, WriteTxn};
use crate::storage::volume::{Commit, Volume};
use crate::storage::{faults, traced};
use crate::time::nanos;

/// What a write waits for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Latencies {
    /// Before it is committed.
    pub(super) disk: Duration,
    /// After.
    pub(super) acknowledge: Duration,
}

/// Draws what the next write of a store waits for.
pub(super) fn draw_latencies(id: StoreId) -> Result<Latencies> {
    disks::reach(id, |stored, opened, disk| {
        stored.writes += 1;
        let of_disk = match opened.options.commit() {
            Durability::EveryCommit => disk.commit(),
            Durability::Periodic(_) => disk.cached(),
        };
        let unit = |part| engine::unit(Address::commit(stored.address, stored.writes, part));
        Ok(Latencies {
            disk: Duration::from_nanos(of_disk.at(unit(0))),
            acknowledge: Duration::from_nanos(disk.acknowledge().at(unit(1))),
        })
    })
}

/// Runs `f` in a write transaction, and commits it as the store's options have it.
pub(super) fn write<R>(
    id: StoreId,
    f: impl FnOnce(&mut WriteTxn<'_, '_>) -> Result<R>,
) -> Result<R> {
    let mut taken = Taken::new(id)?;
    let commit = match taken.durability {
        Durability::EveryCommit => Commit::Durable,
        Durability::Periodic(_) => Commit::Cached,
    };
    let number = taken.number;
    traced::begin();
    taken
        .run(|volume, own| {
            volume.write(commit, |txn| {
                let value = f(txn).inspect_err(|_| *own = true)?;
                // The closure may have switched its own machine off.
                match disks::reach_stored(number, |stored| stored.is_lost()) {
                    Some(false) => Ok(value),
                    Some(true) | None => Err(Error::Closed),
                }
            })
        })
        .inspect(|_| taken.committed())
}

/// Runs `f` in a read transaction.
pub(super) fn read<R>(id: StoreId, f: impl FnOnce(&ReadTxn<'_, '_>) -> Result<R>) -> Result<R> {
    let mut taken = Taken::new(id)?;
    taken.run(|volume, own| volume.read(|txn| f(txn).inspect_err(|_| *own = true)))
}

/// A volume that was taken out for a transaction. It is given back however that ends.
struct Taken {
    volume: Option<Box<Volume>>,
    /// The store's number.
    number: usize,
    durability: Durability,
    machine: MachineId,
}

impl Taken {
    fn new(id: StoreId) -> Result<Self> {
        disks::reach(id, |stored, opened, _| {
            Ok(Self {
                volume: Some(stored.take()?),
                number: opened.stored,
                durability: opened.options.commit(),
                machine: stored.machine,
            })
        })
    }

    /// Runs a transaction, which says whether an error is its closure's own, and deals with what is not.
    fn run<R>(&mut self, f: impl FnOnce(&mut Volume, &mut bool) -> Result<R>) -> Result<R> {
        let volume = self.volume.as_mut().ok_or(Error::Closed)?;
        let mut own = false;
        take_converted_full();
        let mut result = f(volume, &mut own);
        if let Err(Error::Io(error)) = &result
            && error.kind() == io::ErrorKind::StorageFull
            && take_converted_full()
        {
            // The closure made the operating system's error of a full store's.
            result = Err(Error::Full);
        }
        match &result {
            Err(Error::Full) => {
                let name = disks::reach_stored(self.number, |stored| stored.name.clone());
                faults::disk_full(self.machine, &name.unwrap_or_default());
            }
            Err(error @ Error::Io(_)) if !own || faults::is_real_disk_full(error) => {
                let maps = disks::maps_beside(self.number, volume.map_size());
                faults::broken(volume.folder(), error, maps);
            }
            Ok(_) | Err(_) => {}
        }
        result
    }

    /// Accounts for a commit.
    fn committed(&self) {
        let undurable = self.volume.as_ref().map_or(0, |volume| volume.undurable());
        disks::reach_stored(self.number, |stored| match self.durability {
            Durability::EveryCommit => {
                drop(stored.flush.take().and_then(engine::cancel));
                trace_commit(stored.address, stored.writes, CommitDurability::Durable);
            }
            Durability::Periodic(period) => {
                if stored.flush.is_none() && undurable > 0 {
                    let at = engine::now().saturating_add(nanos(period));
                    stored.flush =
                        Some(engine::arm(at, Action::Call(flush, self.number as u64, 0)));
                }
                trace_commit(stored.address, stored.writes, CommitDurability::Cached);
            }
        });
        engine::note_progress();
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        let Some(volume) = self.volume.take() else { return };
        // Where there is no storage any more the volume closes here.
        disks::reach_stored(self.number, |stored| stored.give_back(volume));
    }
}

/// A store's flush is due.
fn flush(number: u64, _: u64) {
    let flushed = disks::reach_stored(number as usize, |stored| {
        let durable = stored.make_durable();
        if durable {
            engine::trace(Event::Flushed { store: stored.address, nth: stored.writes });
        }
        durable
    });
    if flushed == Some(true) {
        engine::note_progress();
    }
}

fn trace_commit(store: u64, nth: u64, durability: CommitDurability) {
    engine::trace(Event::Committed { store, nth, durability, written: traced::written() });
}
