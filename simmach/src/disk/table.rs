//! The disks of a run by machine. Every call on a file looks up the disk of its machine, so the
//! table is indexed by machine.

use crate::disk::machines::MachineDisk;
use crate::engine::{MachineId, Scope};

const HARNESS: MachineId = Scope::HARNESS.machine;

/// The disks that were used.
#[derive(Debug, Default)]
pub(super) struct DiskTable {
    /// The disks of machines, by the number of the machine.
    disks: Vec<Option<Box<MachineDisk>>>,
    /// The disk that plans see.
    harness: Option<Box<MachineDisk>>,
}

impl DiskTable {
    pub(super) fn get(&self, machine: MachineId) -> Option<&MachineDisk> {
        match machine {
            HARNESS => self.harness.as_deref(),
            MachineId(number) => self.disks.get(number as usize)?.as_deref(),
        }
    }

    #[inline]
    pub(super) fn get_mut(&mut self, machine: MachineId) -> Option<&mut MachineDisk> {
        match machine {
            HARNESS => self.harness.as_deref_mut(),
            MachineId(number) => self.disks.get_mut(number as usize)?.as_deref_mut(),
        }
    }

    /// Puts a disk on a machine that has none.
    pub(super) fn add(&mut self, machine: MachineId, disk: MachineDisk) {
        let slot = match machine {
            HARNESS => &mut self.harness,
            MachineId(number) => {
                let number = number as usize;
                if self.disks.len() <= number {
                    self.disks.resize_with(number + 1, || None);
                }
                &mut self.disks[number]
            }
        };
        debug_assert!(slot.is_none(), "{machine:?} has a disk");
        *slot = Some(Box::new(disk));
    }

    /// The disks with their machines, in the order of the machines.
    pub(super) fn iter(&self) -> impl Iterator<Item = (MachineId, &MachineDisk)> {
        let of_machines = (0..).map(MachineId).zip(self.disks.iter());
        let all = of_machines.chain([(HARNESS, &self.harness)]);
        all.filter_map(|(machine, disk)| Some((machine, disk.as_deref()?)))
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut MachineDisk> {
        self.disks.iter_mut().chain([&mut self.harness]).filter_map(Option::as_deref_mut)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn disks_are_listed_in_the_order_of_machines() {
        let mut table = DiskTable::default();
        let machines = [MachineId(3), HARNESS, MachineId(0)];
        for (number, machine) in machines.into_iter().enumerate() {
            assert!(table.get(machine).is_none() && table.get_mut(machine).is_none());
            let mut disk = MachineDisk::for_test();
            for _ in 0..number {
                disk.next_open();
            }
            table.add(machine, disk);
        }
        assert!([1, 2, 4].iter().all(|number| table.get(MachineId(*number)).is_none()));
        let listed: Vec<_> = table.iter().map(|(machine, _)| machine).collect();
        assert_eq!(listed, [MachineId(0), MachineId(3), HARNESS]);
        let numbers: Vec<_> = table.iter_mut().map(MachineDisk::next_open).collect();
        assert_eq!(numbers, [3, 1, 2]);
        let opened = machines.map(|machine| table.get_mut(machine).map(MachineDisk::next_open));
        assert_eq!(opened, [Some(2), Some(3), Some(4)]);
    }
}
