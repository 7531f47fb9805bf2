//! Limits how many machines are hit at a time: a majority of those that run the same service is
//! spared.

use std::any::TypeId;
use std::collections::BTreeMap;

use crate::engine::MachineId;
use crate::machine;

/// The machines that are hit, and the limit for each group of machines.
#[derive(Debug)]
pub(super) struct Budget {
    groups: Vec<Group>,
    /// How many strikes hit each machine at present.
    hit: BTreeMap<MachineId, u32>,
}

/// The machines that run the same service.
#[derive(Debug)]
struct Group {
    members: Vec<MachineId>,
    limit: usize,
}

impl Budget {
    /// The budget for these machines. `at_once` is the limit for each group; `None` selects the
    /// default.
    pub(super) fn new(machines: &[MachineId], at_once: Option<usize>) -> Self {
        let mut members: BTreeMap<TypeId, Vec<MachineId>> = BTreeMap::new();
        for machine in machines {
            for kind in machine::kinds_of_services(*machine) {
                members.entry(kind).or_default().push(*machine);
            }
        }
        let group = |members: Vec<MachineId>| Group {
            limit: at_once.unwrap_or_else(|| minority(members.len())),
            members,
        };
        Self { groups: members.into_values().map(group).collect(), hit: BTreeMap::new() }
    }

    /// Whether these machines can be hit in addition. A machine that is already hit can be hit
    /// again.
    pub(super) fn has_room(&self, more: &[MachineId]) -> bool {
        self.groups.iter().all(|group| {
            let is_out = |machine: &&MachineId| {
                more.contains(machine)
                    || self.hit.contains_key(machine)
                    || !machine::has_running_service(**machine)
            };
            group.members.iter().filter(is_out).count() <= group.limit
                || !group.members.iter().any(|machine| more.contains(machine))
        })
    }

    pub(super) fn take(&mut self, machines: &[MachineId]) {
        for machine in machines {
            *self.hit.entry(*machine).or_default() += 1;
        }
    }

    pub(super) fn release(&mut self, machines: &[MachineId]) {
        for machine in machines {
            if let Some(strikes) = self.hit.get_mut(machine) {
                *strikes -= 1;
                if *strikes == 0 {
                    self.hit.remove(machine);
                }
            }
        }
    }
}

/// The largest number of machines that leaves a majority; at least one.
fn minority(machines: usize) -> usize {
    (machines.saturating_sub(1) / 2).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn majority_is_left() {
        let limits: Vec<usize> = (1..=7).map(minority).collect();
        assert_eq!(limits, [1, 1, 1, 1, 2, 2, 3]);
    }
}
