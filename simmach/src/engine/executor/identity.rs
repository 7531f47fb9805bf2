//! What a task is called in reports.

use std::panic::Location;

use crate::engine::ids::{MachineId, Scope};
use crate::engine::status::RunStatus;

const A_LIBRARYS: &str = "a task that a library spawned";

/// What a task is to its run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// The test's body.
    Body,
    /// A plan.
    Plan,
    /// The main task of a service's process.
    Main,
    /// One that was spawned, or a client.
    Spawned,
}

/// A task, as far as reports name it. It can be taken where nothing may allocate, and named on another thread.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Identity {
    pub(crate) role: Role,
    pub(crate) machine: MachineId,
    /// Its path.
    pub(crate) path: u64,
    /// Where it was spawned: a place in the user's code for [`Role::Spawned`], and for [`Role::Main`] where the service
    /// was declared.
    pub(crate) spawned_at: &'static Location<'static>,
}

impl Identity {
    pub(crate) fn new(role: Role, scope: Scope, spawned_at: &'static Location<'static>) -> Self {
        Self { role, machine: scope.machine, path: scope.task, spawned_at }
    }

    /// What it is called.
    pub(crate) fn name(self, status: &RunStatus) -> String {
        match self.role {
            Role::Body => "the test's body".to_owned(),
            Role::Plan => status.task_title(self.path).unwrap_or_else(|| "a plan".to_owned()),
            Role::Main => {
                let machine = || status.name(self.machine).unwrap_or("a machine").to_owned();
                format!("the main task of {}", status.task_title(self.path).unwrap_or_else(machine))
            }
            Role::Spawned if self.is_of_a_library() => A_LIBRARYS.to_owned(),
            Role::Spawned => {
                let at = self.spawned_at;
                format!("the task of {}:{}:{}", at.file(), at.line(), at.column())
            }
        }
    }

    /// What it is called in a list of what goes on, each line of which begins with a machine.
    pub(crate) fn name_in_list(self, status: &RunStatus) -> String {
        let is_declared = self.role == Role::Main && status.task_title(self.path).is_none();
        let has_place = self.role == Role::Spawned && !self.is_of_a_library();
        if has_place || is_declared {
            return format!("the task of {}:{}", self.spawned_at.file(), self.spawned_at.line());
        }
        self.name(status)
    }

    /// Whether a library spawned it through an executor of the layer `compat`, behind a pointer that hides its own
    /// place.
    fn is_of_a_library(self) -> bool {
        let sources = file!().strip_suffix("engine/executor/identity.rs");
        let own = sources.and_then(|sources| self.spawned_at.file().strip_prefix(sources));
        own.is_some_and(|own| own.starts_with("compat/"))
    }

    /// What it is called in a line that names its machine. The body goes without: its place in the source says it all.
    pub(crate) fn name_on_its_machine(self, status: &RunStatus) -> Option<String> {
        match self.role {
            Role::Body => None,
            Role::Main if status.task_title(self.path).is_none() => {
                Some("its main task".to_owned())
            }
            Role::Main | Role::Plan | Role::Spawned => Some(self.name(status)),
        }
    }
}
