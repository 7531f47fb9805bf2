//! Roles: what a machine is for the program at present, such as its leader. Plans aim at them.

use std::cell::RefCell;
use std::collections::BTreeMap;

use crate::engine::ids::{MachineId, ProcessId};

/// The roles of a run.
#[derive(Debug, Default)]
pub(crate) struct Roles(RefCell<BTreeMap<String, Vec<Holder>>>);

/// A machine that has a role.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Holder {
    pub(crate) machine: MachineId,
    /// The process that said so: the role ends with it. `None` if the test or a plan said so.
    pub(crate) process: Option<ProcessId>,
}

impl Roles {
    /// A machine has the role from now on, beside those that have it already.
    pub(crate) fn enter(&self, role: &str, holder: Holder) {
        let mut roles = self.0.borrow_mut();
        let holders = match roles.get_mut(role) {
            Some(holders) => holders,
            None => roles.entry(role.to_owned()).or_default(),
        };
        holders.retain(|other| other.machine != holder.machine);
        holders.push(holder);
    }

    /// A machine no longer has the role.
    pub(crate) fn leave(&self, role: &str, machine: MachineId) {
        if let Some(holders) = self.0.borrow_mut().get_mut(role) {
            holders.retain(|holder| holder.machine != machine);
        }
    }

    /// These machines have the role from now on, and no others.
    pub(crate) fn set(&self, role: &str, machines: &[MachineId]) {
        let holder = |machine: &MachineId| Holder { machine: *machine, process: None };
        let holders = machines.iter().map(holder).collect();
        self.0.borrow_mut().insert(role.to_owned(), holders);
    }

    /// No machine has the role from now on.
    pub(crate) fn clear(&self, role: &str) {
        if let Some(holders) = self.0.borrow_mut().get_mut(role) {
            holders.clear();
        }
    }

    /// The machines that have the role: who got it last comes last.
    pub(crate) fn holders(&self, role: &str) -> Vec<Holder> {
        self.0.borrow().get(role).cloned().unwrap_or_default()
    }

    /// The roles that a machine has or had, in the order of their names.
    pub(crate) fn names(&self) -> Vec<String> {
        self.0.borrow().keys().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const M: [MachineId; 3] = [MachineId(0), MachineId(1), MachineId(2)];

    fn machines(roles: &Roles, role: &str) -> Vec<MachineId> {
        roles.holders(role).iter().map(|holder| holder.machine).collect()
    }

    #[test]
    fn role_is_held_by_all_that_entered_and_did_not_leave() {
        let (roles, [a, b, c]) = (Roles::default(), M);
        let enter = |machine| {
            roles.enter("leader", Holder { machine, process: Some(ProcessId(machine.0)) });
        };
        [a, b, c, a].into_iter().for_each(enter);
        assert_eq!(machines(&roles, "leader"), [b, c, a]);
        roles.leave("leader", c);
        roles.leave("follower", a);
        assert_eq!(machines(&roles, "leader"), [b, a]);
        roles.set("leader", &[c]);
        roles.set("backup", &[a, b]);
        assert_eq!(machines(&roles, "leader"), [c]);
        roles.clear("leader");
        assert_eq!(machines(&roles, "leader"), []);
        assert_eq!(roles.names(), ["backup", "leader"], "what was never given has no name");
    }
}
