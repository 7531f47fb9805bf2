//! Budgets: how many machines may be hit at a time.

use std::any::TypeId;
use std::collections::BTreeMap;

use crate::engine::MachineId;
use crate::machine::{self, Selector};
use crate::sim;

/// How many machines of a group may be down or hit at a time, whichever plan or test has hit them.
///
/// A strike that would exceed it hits fewer machines, or none.
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

/// A limit of one group of machines, or of several.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Limit {
    /// `None` for one group for each service: the machines that run it.
    machines: Option<Selector>,
    /// `None` for a minority.
    most: Option<usize>,
}

impl Budget {
    /// Fewer than half of the machines that run the same service; one if only one or two machines run it.
    pub fn minority() -> Self {
        Self { limits: vec![Limit { machines: None, most: None }] }
    }

    /// Fewer than half of these machines; one if they are only one or two.
    pub fn minority_of(machines: impl Into<Selector>) -> Self {
        Self { limits: vec![Limit { machines: Some(machines.into()), most: None }] }
    }

    /// At most so many of these machines.
    pub fn at_most(most: usize, machines: impl Into<Selector>) -> Self {
        Self { limits: vec![Limit { machines: Some(machines.into()), most: Some(most) }] }
    }

    /// At most so many of the machines that run the same service.
    pub(super) fn at_most_of_a_service(most: usize) -> Self {
        Self { limits: vec![Limit { machines: None, most: Some(most) }] }
    }

    /// Adds the limits of another budget. All of them hold.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.limits.extend(other.limits);
        self
    }

    /// What is wrong with it, given the names of all machines.
    pub(super) fn mistakes(&self, machines: &[&str]) -> Vec<String> {
        let unknown = self.limits.iter().filter_map(|limit| limit.machines.as_ref());
        let unknown = unknown.flat_map(|named| named.mistakes("`budget`", machines));
        let zero = self.limits.iter().filter(|limit| limit.most == Some(0));
        let zero = zero.map(|limit| {
            let of = limit.machines.as_ref().map(|of| format!(" of `{of}`")).unwrap_or_default();
            format!(
                "`budget`: with 0 machines{of} at a time the plan can never strike: give at least 1"
            )
        });
        unknown.chain(zero).collect()
    }

    /// The groups of this run's machines, of which a plan may hit some.
    pub(super) fn groups(&self, candidates: &[MachineId]) -> Groups {
        let mut groups = Vec::new();
        for Limit { machines, most } in &self.limits {
            let members = match machines {
                Some(selector) => vec![machine::machines(selector)],
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

/// The machines that run the same service, for each of the services.
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
    /// Whether these machines can be hit as well. A machine that is hit already can be hit again.
    pub(super) fn has_room(&self, more: &[MachineId]) -> bool {
        self.0.iter().all(|group| {
            let is_out = |machine: &&MachineId| {
                more.contains(machine)
                    || sim::is_hit(**machine)
                    || !machine::has_running_service(**machine)
            };
            group.members.iter().filter(is_out).count() <= group.limit
                || !group.members.iter().any(|machine| more.contains(machine))
        })
    }
}

/// The largest number of machines that leaves a majority; at least one.
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
