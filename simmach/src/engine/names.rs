//! The names of machines and tasks in reports. Other threads may read these names.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use crate::engine::ids::MachineId;
use crate::engine::name::Name;

/// The names of machines, and the titles of tasks that have one.
#[derive(Debug, Default)]
pub(crate) struct ReportNames {
    machines: OnceLock<Vec<Name>>,
    /// The titles, by task path.
    titles: Mutex<BTreeMap<u64, String>>,
}

impl ReportNames {
    /// The name of a machine; `None` before [`set_machines`](Self::set_machines).
    pub(crate) fn machine(&self, machine: MachineId) -> Option<&str> {
        self.machines.get()?.get(machine.0 as usize).map(|name| &**name)
    }

    /// Sets the names of the machines, by number. Only the first call has an effect.
    pub(crate) fn set_machines(&self, names: Vec<Name>) {
        let _ = self.machines.set(names);
    }

    /// Sets the title of a task for reports. The task is a plan, or a service on a machine with
    /// several services.
    pub(crate) fn set_task_title(&self, path: u64, title: String) {
        self.titles().insert(path, title);
    }

    pub(crate) fn task_title(&self, path: u64) -> Option<String> {
        self.titles().get(&path).cloned()
    }

    fn titles(&self) -> MutexGuard<'_, BTreeMap<u64, String>> {
        self.titles.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn machine_names_are_found_by_number() {
        let names = ReportNames::default();
        assert_eq!(names.machine(MachineId(0)), None);
        names.set_machines(["a", "bc.d", "é"].map(Name::from).to_vec());
        let found: Vec<_> = (0..4).map(|number| names.machine(MachineId(number))).collect();
        assert_eq!(found, [Some("a"), Some("bc.d"), Some("é"), None]);
    }
}
