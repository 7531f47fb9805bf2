//! [`Budget`]: limits how many machines are hit at a time.

use std::any::TypeId;
use std::collections::BTreeMap;

use crate::engine::MachineId;
use crate::machine::{self, Selector};
use crate::sim;

/// Limits how many machines of a group are down or hit at a time.
///
/// A machine counts while none of its services runs, its processes are paused, or its disk has a
/// fault, for whatever reason.
/// It also counts while a strike of `Swarm` or a `FaultPlan` hits it with a fault of the network, or
/// with any other fault that [takes machines down](crate::Fault::takes_down). Machines without
/// services do not count.
///
/// A strike that would exceed the budget hits fewer machines, or none.
///
/// ```
/// use simmach::Budget;
///
/// // Each shard has a quorum of its own.
/// let budget = Budget::minority_of("shard1-*").and(Budget::minority_of("shard2-*"));
/// let budget = budget.and(Budget::at_most(1, "proxy*"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Budget {
    limits: Vec<Limit>,
}

/// The limit of one group of machines, or of one group for each service.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Limit {
    /// `None` for one group for each service: the machines that run it.
    machines: Option<Selector>,
    /// `None` for a minority.
    most: Option<usize>,
}

impl Budget {
    /// Fewer than half of the machines that run the same service.
    ///
    /// If only one or two machines run a service, the limit is one.
    pub fn minority() -> Self {
        Self { limits: vec![Limit { machines: None, most: None }] }
    }

    /// Fewer than half of these machines.
    ///
    /// If they are only one or two, the limit is one.
    pub fn minority_of(machines: impl Into<Selector>) -> Self {
        Self { limits: vec![Limit { machines: Some(machines.into()), most: None }] }
    }

    /// At most `most` of these machines. `most` must be at least 1.
    pub fn at_most(most: usize, machines: impl Into<Selector>) -> Self {
        Self { limits: vec![Limit { machines: Some(machines.into()), most: Some(most) }] }
    }

    /// At most `most` of the machines that run the same service.
    pub(super) fn at_most_of_a_service(most: usize) -> Self {
        Self { limits: vec![Limit { machines: None, most: Some(most) }] }
    }

    /// Adds the limits of another budget. A strike must keep within all of them.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.limits.extend(other.limits);
        self
    }

    /// Returns the mistakes in the limits, given the names of all machines.
    pub(super) fn mistakes(&self, machines: &[&str]) -> Vec<String> {
        let unknown = self.limits.iter().filter_map(|limit| limit.machines.as_ref());
        let unknown = unknown.flat_map(|named| named.mistakes("`budget`", machines));
        let zero = self.limits.iter().filter(|limit| limit.most == Some(0));
        let zero = zero.map(|limit| {
            let of = limit.machines.as_ref().map(|of| format!(" of `{of}`")).unwrap_or_default();
            format!(
                "`budget`: with 0 machines{of} at a time, the plan can never inject a fault: give at least 1"
            )
        });
        unknown.chain(zero).collect()
    }

    /// Returns the groups of this run's machines. The plan may hit `candidates`.
    pub(super) fn groups(&self, candidates: &[MachineId]) -> Groups {
        let mut groups = Vec::new();
        for Limit { machines, most } in &self.limits {
            let members = match machines {
                Some(selector) => {
                    let mut members = machine::machines(selector);
                    members.retain(|machine| !machine::services_of(*machine).is_empty());
                    vec![members]
                }
                None => by_service(candidates),
            };
            groups.extend(members.into_iter().map(|members| Group {
                limit: most.unwrap_or_else(|| minority(members.len())),
                members,
            }));
        }
        Groups(groups)
    }
}

/// Returns the machines that run the same service, for each service.
fn by_service(machines: &[MachineId]) -> Vec<Vec<MachineId>> {
    let mut members: BTreeMap<TypeId, Vec<MachineId>> = BTreeMap::new();
    for machine in machines {
        for kind in machine::kinds_of_services(*machine) {
            members.entry(kind).or_default().push(*machine);
        }
    }
    members.into_values().collect()
}

/// The groups of a budget in a run.
#[derive(Debug, Default)]
pub(super) struct Groups(Vec<Group>);

#[derive(Debug)]
struct Group {
    members: Vec<MachineId>,
    limit: usize,
}

impl Groups {
    /// Whether these machines can also be hit. A machine that is already hit can be hit again.
    pub(super) fn has_room(&self, more: &[MachineId]) -> bool {
        self.0.iter().all(|group| {
            let is_out = |machine: &&MachineId| {
                more.contains(machine)
                    || sim::is_hit(**machine)
                    || machine::is_paused(**machine)
                    || machine::has_disk_fault(**machine, None)
                    || !machine::has_running_service(**machine)
            };
            group.members.iter().filter(is_out).count() <= group.limit
                || !group.members.iter().any(|machine| more.contains(machine))
        })
    }
}

/// The largest number of machines that leaves a majority, but at least one.
pub(super) fn minority(machines: usize) -> usize {
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
