//! Control of disks: faults, power failures within a call, snapshots.

use crate::engine::acts::{Act, DiskFault};
use crate::engine::{self, MachineId};
use crate::machine::{self, DiskCopy, Selector};
use crate::sim::machines::{check_unused, name_of, no_match, resolve_machines};
use crate::sim::world::{record_spared, request_fault, with};
use crate::sim::{ControlError, Sim, acts};

/// A copy of a machine's disk, made by [`Sim::snapshot`]. It is valid in its run only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DiskSnapshot {
    number: u64,
}

/// Numbers from here on are those of snapshots that plans took, so that a script of their acts does not use those of the test.
const OF_PLANS: u64 = 1 << 63;

impl Sim {
    /// Makes the next sync of a file fail with `EIO` on each matching machine: `fsync`, `fdatasync`, `msync`, `syncfs`, or a
    /// write to a file opened with `O_SYNC`.
    ///
    /// As in Linux, the data that it was to write counts as written: the next sync succeeds and does not write it. Processes
    /// still read it. A power failure may lose it, until it is written again and synced. Name changes that the failed sync was to
    /// make durable are made durable by the next one.
    ///
    /// Like all faults of disks, it concerns files and not the stores of [`storage`](crate::storage), and lasts across power
    /// failures and [`wipe`](Self::wipe), until it has happened or [`repair_disk`](Self::repair_disk) or
    /// [`settle`](Self::settle) ends it. It is available on 64-bit Linux with the GNU C library.
    ///
    /// ```no_run
    /// # use simmach::prelude::*;
    /// # async fn plan(sim: Sim) -> Result {
    /// sim.fail_sync("db.zone")?;
    /// simmach::time::sleep(5.secs()).await;
    /// sim.power_off("db.zone")?;
    /// sim.start("db.zone")?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`ControlError::NoMatch`] if no machine matches.
    pub fn fail_sync(&self, selector: impl Into<Selector>) -> Result<(), ControlError> {
        break_disks(selector.into(), DiskFault::NextSync)
    }

    /// Makes all reads of files fail with `EIO` on the matching machines, until [`repair_disk`](Self::repair_disk). There is no
    /// page cache from which a read could still be answered; mapped memory can be read.
    ///
    /// # Errors
    ///
    /// [`ControlError::NoMatch`] if no machine matches.
    pub fn fail_reads(&self, selector: impl Into<Selector>) -> Result<(), ControlError> {
        break_disks(selector.into(), DiskFault::Reads)
    }

    /// Makes everything that changes files fail with `EIO` on the matching machines, until [`repair_disk`](Self::repair_disk):
    /// writes, truncations, new and changed names. Syncs fail as with [`fail_sync`](Self::fail_sync).
    ///
    /// # Errors
    ///
    /// [`ControlError::NoMatch`] if no machine matches.
    pub fn fail_writes(&self, selector: impl Into<Selector>) -> Result<(), ControlError> {
        break_disks(selector.into(), DiskFault::Writes)
    }

    /// Fills the disks of the matching machines, until [`repair_disk`](Self::repair_disk).
    ///
    /// A write that needs new pages is cut short at the first of them; one that begins there fails with `ENOSPC`. Pages that a
    /// file has can be overwritten. Names can be created, and space that is freed is taken at once. A write to a store of
    /// [`storage`](crate::storage) fails with [`Error::Full`](crate::storage::Error::Full).
    ///
    /// # Errors
    ///
    /// [`ControlError::NoMatch`] if no machine matches.
    pub fn fill_disk(&self, selector: impl Into<Selector>) -> Result<(), ControlError> {
        break_disks(selector.into(), DiskFault::Full)
    }

    /// Stalls the disks of the matching machines, until [`repair_disk`](Self::repair_disk): reads, writes, syncs and changes of
    /// names do not return. What they change is changed when they begin.
    ///
    /// A thread of a guest waits in its call. The main thread of a process cannot, since a run has one thread for all: its call
    /// returns, and the process is not polled again before the stall ends.
    ///
    /// # Errors
    ///
    /// [`ControlError::NoMatch`] if no machine matches.
    pub fn stall_disk(&self, selector: impl Into<Selector>) -> Result<(), ControlError> {
        break_disks(selector.into(), DiskFault::Stall)
    }

    /// Ends all faults of the disks of the matching machines, and frees the space that [`fill_disk`](Self::fill_disk) took. Disks
    /// without a fault are left as they are.
    ///
    /// # Errors
    ///
    /// [`ControlError::NoMatch`] if no machine matches.
    pub fn repair_disk(&self, selector: impl Into<Selector>) -> Result<(), ControlError> {
        for machine in resolve_machines(&selector.into())? {
            if machine::has_disk_fault(machine, None) {
                let act = Act::RepairDisk { machine };
                acts::perform(None, &act, || acts::describe(&act));
            }
        }
        Ok(())
    }

    /// Ends one kind of fault of the disks of the matching machines. Other faults stay.
    pub(crate) fn end_disk_fault(
        &self,
        selector: &Selector,
        fault: DiskFault,
    ) -> Result<(), ControlError> {
        for machine in resolve_machines(selector)? {
            if machine::has_disk_fault(machine, Some(fault)) {
                let act = Act::EndDiskFault { machine, fault };
                acts::perform(None, &act, || acts::describe(&act));
            }
        }
        Ok(())
    }

    /// Powers off each matching machine in the middle of its `calls`th call from now that changes or syncs files, or commits to a
    /// store of [`storage`](crate::storage); 1 is the next one, and 0 counts as 1. Calls that fail do not count. A write to a
    /// file opened with `O_SYNC` counts as a write and as a sync. Another call of this method replaces the number.
    ///
    /// A storage engine that commits in one go is otherwise never interrupted, since other faults come between polls. The disk
    /// is left as a power failure leaves it right after that call, which may be lost or torn itself. A commit to a store in which
    /// the power fails is lost, with all earlier commits that are not durable, and [`Store::write`](crate::storage::Store::write)
    /// does not return.
    ///
    /// The code that made a call on files runs on until it awaits something. Its process has ended, so nothing that the code does
    /// has an effect, and its panics are ignored. It keeps the disk as it was at the call, so that it reads what it writes. What
    /// a test notes in its own memory, such as an acknowledged write, it must note after an `await`.
    ///
    /// [`start`](Self::start) brings the machine back. [`settle`](Self::settle) cancels a power failure that has not come yet, and
    /// so does losing power in another way.
    ///
    /// ```no_run
    /// # use simmach::prelude::*;
    /// # async fn plan(sim: Sim) -> Result {
    /// loop {
    ///     let calls = sim.random_range(1..40u64);
    ///     sim.power_off_at_call("db.zone", calls)?;
    ///     simmach::time::sleep(1.secs()).await;
    ///     if !sim.machine("db.zone").has_power() {
    ///         sim.start("db.zone")?;
    ///     }
    /// }
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`ControlError::NoMatch`] if no machine matches, and [`ControlError::Body`] if one of them is the machine of the test's body.
    pub fn power_off_at_call(
        &self,
        selector: impl Into<Selector>,
        calls: u64,
    ) -> Result<(), ControlError> {
        let machines = resolve_machines(&selector.into())?;
        if let Some(body) = with(|world| world.body).filter(|body| machines.contains(body)) {
            return Err(ControlError::Body(name_of(body).unwrap_or_default()));
        }
        for machine in machines {
            let changes = machine::has_power(machine);
            let act = Act::PowerOffAtCall { machine, calls: calls.max(1) };
            if !request_fault(changes, &[machine], || acts::describe(&act)) {
                record_spared(vec![machine]);
            } else if changes {
                acts::perform(None, &act, || acts::describe(&act));
            }
        }
        Ok(())
    }

    /// Copies the disk of a machine: its files as processes see them, and its stores as of their last commits. In the copy,
    /// everything is durable. [`restore`](Self::restore) puts it on a machine.
    ///
    /// The machine goes on meanwhile. A program that keeps several files consistent by syncing them in order may find them in a
    /// state that no power failure would leave, as with a backup by `cp`; here all files are of the same moment.
    ///
    /// ```no_run
    /// # use simmach::prelude::*;
    /// # async fn plan(sim: Sim) -> Result {
    /// let backup = sim.snapshot("db1.zone")?;
    /// sim.kill("db2.zone")?;
    /// sim.restore("db2.zone", backup)?;
    /// sim.start("db2.zone")?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`ControlError::NoMatch`] if no machine has this name. [`ControlError::Disk`] if the files of a store cannot be read.
    pub fn snapshot(&self, machine: &str) -> Result<DiskSnapshot, ControlError> {
        let selector = Selector::from(machine);
        let found = machine::machines(&selector).first().copied();
        let machine = found.ok_or_else(|| no_match(&selector))?;
        let is_plan =
            engine::scope().is_some_and(|scope| scope.process == engine::ProcessId::HARNESS);
        let number = with(|world| {
            let count = if is_plan { &mut world.snapshots_of_plans } else { &mut world.snapshots };
            *count += 1;
            if is_plan { OF_PLANS | *count } else { *count }
        });
        let number = number.unwrap_or(0);
        let act = Act::Snapshot { machine, number };
        engine::record_act(None, &act, || acts::describe(&act));
        take_snapshot(machine, number)?;
        Ok(DiskSnapshot { number })
    }

    /// Replaces the disks of all matching machines by a [`snapshot`](Self::snapshot), of the same machine or of another. Restarts
    /// that are pending after a crash are cancelled.
    ///
    /// # Errors
    ///
    /// [`ControlError::NoMatch`] if no machine matches; [`ControlError::InUse`], [`ControlError::ClientRuns`] or
    /// [`ControlError::Body`] if a process is running on one of them; [`ControlError::Disk`] if a store's files cannot be written.
    pub fn restore(
        &self,
        selector: impl Into<Selector>,
        snapshot: DiskSnapshot,
    ) -> Result<(), ControlError> {
        let machines = resolve_machines(&selector.into())?;
        if crate::sim::machines::are_spared(&machines) {
            request_fault(false, &machines, String::new);
            return Ok(());
        }
        check_unused(&machines)?;
        let number = snapshot.number;
        for machine in machines {
            let act = Act::Restore { machine, number };
            if request_fault(true, &[machine], || acts::describe(&act)) {
                engine::record_act(None, &act, || acts::describe(&act));
                restore(machine, number)?;
            }
        }
        Ok(())
    }
}

fn break_disks(selector: Selector, fault: DiskFault) -> Result<(), ControlError> {
    for machine in resolve_machines(&selector)? {
        let changes = !machine::has_disk_fault(machine, Some(fault));
        let act = Act::BreakDisk { machine, fault };
        if request_fault(changes, &[machine], || acts::describe(&act)) && changes {
            acts::perform(None, &act, || acts::describe(&act));
        }
    }
    Ok(())
}

/// Keeps a copy of a machine's disk under a number.
pub(super) fn take_snapshot(machine: MachineId, number: u64) -> Result<(), ControlError> {
    let copy = machine::copy_disk(machine).map_err(|error| disk_error(machine, &error))?;
    with(|world| world.disks.insert(number, std::rc::Rc::new(copy)));
    Ok(())
}

/// Puts the copy with this number on a machine. Does nothing if there is none, since a script may have left it out.
pub(super) fn restore(machine: MachineId, number: u64) -> Result<(), ControlError> {
    let copy = with(|world| world.disks.get(&number).cloned()).flatten();
    machine::cancel_restarts(machine);
    match copy {
        Some(copy) => put(machine, &copy),
        None => Ok(()),
    }
}

fn put(machine: MachineId, copy: &DiskCopy) -> Result<(), ControlError> {
    machine::restore_disk(machine, copy).map_err(|error| disk_error(machine, &error))
}

fn disk_error(machine: MachineId, error: &std::io::Error) -> ControlError {
    ControlError::Disk { machine: name_of(machine).unwrap_or_default(), error: error.to_string() }
}
