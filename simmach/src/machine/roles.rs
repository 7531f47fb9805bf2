//! The machines that have a role.

use crate::engine::{MachineId, context};
use crate::machine::machine_of;

/// The machines that have a role at present: who got it last comes last. A role that a process entered ends with it.
pub(crate) fn holders(role: &str) -> Vec<MachineId> {
    let mut holders = context::try_with(|engine| engine.roles.holders(role)).unwrap_or_default();
    holders.retain(|holder| holder.process.is_none_or(|process| machine_of(process).is_some()));
    holders.into_iter().map(|holder| holder.machine).collect()
}

/// The roles that a machine has or had in this run, by name.
pub(crate) fn known_roles() -> Vec<String> {
    context::try_with(|engine| engine.roles.names()).unwrap_or_default()
}
