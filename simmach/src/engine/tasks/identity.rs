//! The identity of a task and its names in reports.

use std::panic::Location;

use crate::engine::ids::{MachineId, Scope};
use crate::engine::names::ReportNames;

const SPAWNED_BY_A_LIBRARY: &str = "a task spawned by a library";

/// The role of a task in its run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// The test's body.
    Body,
    /// A plan.
    Plan,
    /// The main task of a service's process.
    Main,
    /// A spawned task, or a client.
    Spawned,
    /// A thread that a guest started.
    Thread,
}

/// The data from which reports name a task. An identity can be copied where allocation is
/// forbidden, and another thread can format the name.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Identity {
    pub(crate) role: Role,
    pub(crate) machine: MachineId,
    /// The task's path.
    pub(crate) path: u64,
    /// Where the task was spawned or, for [`Role::Main`], where the service was declared.
    pub(crate) spawned_at: &'static Location<'static>,
}

impl Identity {
    pub(crate) fn new(role: Role, scope: Scope, spawned_at: &'static Location<'static>) -> Self {
        Self { role, machine: scope.machine, path: scope.task, spawned_at }
    }

    /// Returns the task's name for a report.
    pub(crate) fn name(self, names: &ReportNames) -> String {
        match self.role {
            Role::Body => "the test's body".to_owned(),
            Role::Plan => names.task_title(self.path).unwrap_or_else(|| "a plan".to_owned()),
            Role::Main => {
                let machine = || names.machine(self.machine).unwrap_or("a machine").to_owned();
                format!("the main task of {}", names.task_title(self.path).unwrap_or_else(machine))
            }
            Role::Thread => match names.task_title(self.path) {
                Some(name) => format!("the thread `{name}`"),
                None => "a thread".to_owned(),
            },
            Role::Spawned if self.is_of_a_library() => SPAWNED_BY_A_LIBRARY.to_owned(),
            Role::Spawned => {
                let at = self.spawned_at;
                format!("the task spawned at {}:{}:{}", at.file(), at.line(), at.column())
            }
        }
    }

    /// Returns the task's name for a list of tasks in which each line begins with the machine.
    pub(crate) fn name_in_list(self, names: &ReportNames) -> String {
        let is_declared = self.role == Role::Main && names.task_title(self.path).is_none();
        let is_located = self.role == Role::Spawned && !self.is_of_a_library();
        let what = match (is_declared, is_located) {
            (true, _) => "service declared",
            (false, true) => "task spawned",
            (false, false) => return self.name(names),
        };
        format!("the {what} at {}:{}", self.spawned_at.file(), self.spawned_at.line())
    }

    /// Whether a library spawned the task through an executor of the layer `compat`, so that `spawned_at` is a location in
    /// `compat`.
    fn is_of_a_library(self) -> bool {
        let sources = file!().strip_suffix("engine/tasks/identity.rs");
        let own = sources.and_then(|sources| self.spawned_at.file().strip_prefix(sources));
        own.is_some_and(|own| own.starts_with("compat/"))
    }

    /// Returns the task's name for a line that already names its machine; `None` for the body.
    pub(crate) fn name_on_its_machine(self, names: &ReportNames) -> Option<String> {
        match self.role {
            Role::Body => None,
            Role::Main if names.task_title(self.path).is_none() => Some("its main task".to_owned()),
            Role::Main | Role::Plan | Role::Spawned | Role::Thread => Some(self.name(names)),
        }
    }
}
