//! Fault points: named places in the code under test. An act can be bound to a pass of a point, and
//! a pass can be delayed or fail.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

use crate::engine::acts::PointFault;
use crate::engine::draws::mix_text;
use crate::engine::ids::{MachineId, Scope};

/// The points of a run.
#[derive(Default)]
pub(crate) struct Points {
    /// The names of the points that were passed, by their numbers.
    names: RefCell<BTreeMap<u64, String>>,
    /// The pass in progress.
    current: Cell<Option<Pass>>,
    /// What happens to the pass in progress.
    fault: Cell<PointFault>,
    /// Faults of the next pass on a machine.
    pending: RefCell<Vec<(Pass, PointFault)>>,
    armed: RefCell<Vec<Armed>>,
    last_id: Cell<u64>,
}

/// The pass of a point on a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pass {
    pub(crate) machine: MachineId,
    /// The number of the point, a hash of its name.
    pub(crate) point: u64,
}

/// A strike of a plan that waits for a pass of a point.
pub(crate) struct Armed {
    id: u64,
    point: u64,
    machines: Vec<MachineId>,
    /// Number of passes until the strike.
    left: u32,
    /// The scope of the plan.
    pub(crate) scope: Scope,
    pub(crate) strike: Box<dyn FnOnce(MachineId)>,
}

impl Points {
    /// Returns the number of a point.
    pub(crate) fn number(name: &str) -> u64 {
        mix_text(name)
    }

    /// Returns the name of a point that was passed in this run.
    pub(crate) fn name(&self, point: u64) -> Option<String> {
        self.names.borrow().get(&point).cloned()
    }

    /// Returns the names of the points that were passed, in the order of their numbers.
    pub(crate) fn known(&self) -> Vec<String> {
        self.names.borrow().values().cloned().collect()
    }

    /// Returns the pass in progress.
    pub(crate) fn current(&self) -> Option<Pass> {
        self.current.get()
    }

    /// Begins a pass, and returns the strikes that plans have armed for it.
    pub(crate) fn begin(&self, pass: Pass, name: &str) -> Vec<Armed> {
        self.names.borrow_mut().entry(pass.point).or_insert_with(|| name.to_owned());
        self.current.set(Some(pass));
        let mut pending = self.pending.borrow_mut();
        let planned = pending.iter().position(|(planned, _)| *planned == pass);
        self.fault.set(planned.map_or(PointFault::Nothing, |nth| pending.remove(nth).1));
        drop(pending);
        let is_due = |armed: &mut Armed| {
            if armed.point != pass.point || !armed.machines.contains(&pass.machine) {
                return false;
            }
            armed.left = armed.left.saturating_sub(1);
            armed.left == 0
        };
        self.armed.borrow_mut().extract_if(.., is_due).collect()
    }

    /// Ends a pass, and returns what happens to it.
    pub(crate) fn end(&self) -> PointFault {
        self.current.set(None);
        self.fault.take()
    }

    /// Sets the fault of a pass: the one in progress, or else the next one.
    pub(crate) fn set_fault(&self, pass: Pass, fault: PointFault) {
        match self.current.get() == Some(pass) {
            true => self.fault.set(fault),
            false => self.pending.borrow_mut().push((pass, fault)),
        }
    }

    /// Arms a strike at the `nth` pass on one of these machines, counted from 1. Returns its id.
    pub(crate) fn arm(
        &self,
        name: &str,
        machines: Vec<MachineId>,
        nth: u32,
        scope: Scope,
        strike: Box<dyn FnOnce(MachineId)>,
    ) -> u64 {
        let id = self.last_id.get() + 1;
        self.last_id.set(id);
        let point = Self::number(name);
        let armed = Armed { id, point, machines, left: nth.max(1), scope, strike };
        self.armed.borrow_mut().push(armed);
        id
    }

    /// Removes a strike that has not happened.
    pub(crate) fn disarm(&self, id: u64) {
        let armed = self.armed.borrow_mut().extract_if(.., |armed| armed.id == id).next();
        drop(armed);
    }

    /// Drops the faults of later passes. Returns whether there were any.
    pub(crate) fn clear_pending(&self) -> bool {
        !std::mem::take(&mut *self.pending.borrow_mut()).is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn point_is_armed_for_its_nth_pass_on_a_machine() {
        let points = Points::default();
        let pass =
            |machine, name: &str| Pass { machine: MachineId(machine), point: Points::number(name) };
        let arm = |nth| {
            let strike = Box::new(|_| ());
            points.arm("p", vec![MachineId(1), MachineId(2)], nth, Scope::HARNESS, strike)
        };
        let struck = |machine, name: &str| -> Vec<u64> {
            let armed = points.begin(pass(machine, name), name);
            points.end();
            armed.into_iter().map(|armed| armed.id).collect()
        };
        let [first, third, never] = [arm(1), arm(3), arm(2)];
        points.disarm(never);
        assert_eq!(struck(0, "p"), [0; 0]);
        assert_eq!(struck(1, "q"), [0; 0]);
        assert_eq!(struck(1, "p"), [first]);
        assert_eq!(struck(2, "p"), [0; 0]);
        assert_eq!(struck(1, "p"), [third]);
        assert_eq!(points.name(Points::number("q")).as_deref(), Some("q"));
        assert_eq!(points.name(Points::number("r")), None);
    }

    #[test]
    fn point_fault_is_that_of_the_current_or_the_next_pass() {
        let points = Points::default();
        let [one, other] = [1, 2].map(|machine| Pass { machine: MachineId(machine), point: 7 });
        points.set_fault(one, PointFault::Error);
        points.begin(other, "p");
        points.set_fault(other, PointFault::Delay(5));
        assert_eq!(points.end(), PointFault::Delay(5));
        points.begin(one, "p");
        assert_eq!(points.end(), PointFault::Error);
        points.begin(one, "p");
        assert_eq!(points.end(), PointFault::Nothing);
        points.set_fault(one, PointFault::Error);
        assert!(points.clear_pending() && !points.clear_pending());
    }
}
