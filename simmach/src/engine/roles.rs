//! Roles: what a machine is for the program at present, such as its leader. Plans aim at them.

use std::cell::RefCell;
use std::collections::BTreeMap;

use crate::engine::ids::{MachineId, ProcessId, Scope};

/// The roles of a run, and who has them. Who entered a role last comes last.
#[derive(Debug, Default)]
pub(crate) struct Roles(RefCell<BTreeMap<String, Vec<Holder>>>);

/// A machine that has a role.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Holder {
    pub(crate) machine: MachineId,
    /// The process that entered the role. The role ends with it. `None` if the test set the role.
    pub(crate) process: Option<ProcessId>,
}

impl Holder {
    /// The process whose code runs in this scope.
    pub(crate) fn of_process(Scope { machine, process, .. }: Scope) -> Self {
        Self { machine, process: Some(process) }
    }
}

impl Roles {
    /// Adds a holder to a role, after those that it has already.
    pub(crate) fn enter(&self, role: &str, holder: Holder) {
        let mut roles = self.0.borrow_mut();
        let holders = match roles.get_mut(role) {
            Some(holders) => holders,
            None => roles.entry(role.to_owned()).or_default(),
        };
        holders.retain(|other| *other != holder);
        holders.push(holder);
    }

    /// Removes a holder from a role.
    pub(crate) fn leave(&self, role: &str, holder: Holder) {
        if let Some(holders) = self.0.borrow_mut().get_mut(role) {
            holders.retain(|other| *other != holder);
        }
    }

    /// Ends the roles that a process entered.
    pub(crate) fn end_process(&self, process: ProcessId) {
        for holders in self.0.borrow_mut().values_mut() {
            holders.retain(|holder| holder.process != Some(process));
        }
    }

    /// Gives a role to these machines and takes it from all others.
    pub(crate) fn set(&self, role: &str, machines: &[MachineId]) {
        let holder = |machine: &MachineId| Holder { machine: *machine, process: None };
        let holders = machines.iter().map(holder).collect();
        self.0.borrow_mut().insert(role.to_owned(), holders);
    }

    /// Takes a role from all machines.
    pub(crate) fn clear(&self, role: &str) {
        if let Some(holders) = self.0.borrow_mut().get_mut(role) {
            holders.clear();
        }
    }

    /// Returns the machines that have a role, each one once.
    pub(crate) fn holders(&self, role: &str) -> Vec<MachineId> {
        let mut machines = Vec::new();
        for holder in self.0.borrow().get(role).into_iter().flatten() {
            machines.retain(|machine| *machine != holder.machine);
            machines.push(holder.machine);
        }
        machines
    }

    /// Returns the roles that any machine has or had, in the order of their names.
    pub(crate) fn names(&self) -> Vec<String> {
        self.0.borrow().keys().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const M: [MachineId; 3] = [MachineId(0), MachineId(1), MachineId(2)];

    #[test]
    fn role_is_held_by_all_that_entered_and_did_not_leave() {
        let (roles, [a, b, c]) = (Roles::default(), M);
        let holder = |machine: MachineId| Holder { machine, process: Some(ProcessId(machine.0)) };
        for machine in [a, b, c, a] {
            roles.enter("leader", holder(machine));
        }
        assert_eq!(roles.holders("leader"), [b, c, a]);
        roles.leave("leader", holder(c));
        roles.leave("follower", holder(a));
        assert_eq!(roles.holders("leader"), [b, a]);
        roles.set("leader", &[c]);
        roles.set("backup", &[a, b]);
        assert_eq!(roles.holders("leader"), [c]);
        roles.clear("leader");
        assert_eq!(roles.holders("leader"), []);
        assert_eq!(roles.names(), ["backup", "leader"], "what was never given has no name");
    }

    #[test]
    fn role_of_a_process_ends_with_this_process_only() {
        let (roles, [a, b, _]) = (Roles::default(), M);
        let holder = |machine, process| Holder { machine, process };
        let [first, second] = [Some(ProcessId(10)), Some(ProcessId(11))];
        for (machine, process) in [(a, None), (a, first), (b, first), (a, second)] {
            roles.enter("leader", holder(machine, process));
        }
        assert_eq!(roles.holders("leader"), [b, a], "each machine once");
        roles.leave("leader", holder(a, second));
        assert_eq!(roles.holders("leader"), [a, b], "another process of the machine has it");
        roles.end_process(ProcessId(10));
        assert_eq!(roles.holders("leader"), [a], "the test set it");
    }
}
