//! Whether the strikes of a run are aimed at machines that have a role.

use crate::chaos::pace::Strike;
use crate::chaos::swarm::fault::AIMED;
use crate::engine::draws::address::Address;
use crate::engine::{self, MachineId, mix, mix_text};

/// How a run aims.
#[derive(Clone, Copy, Debug)]
pub(super) struct Aim {
    often: Often,
    /// Decides which role it is, if the program has several.
    salt: u64,
}

#[derive(Clone, Copy, Debug)]
enum Often {
    Never,
    /// Every other strike.
    Sometimes,
    Always,
}

/// The field of a plan's settings that contains its aim, after its mask.
const AIM: u64 = 72;

impl Aim {
    /// Draws how a run aims. Half of the runs do not aim.
    pub(super) fn drawn(plan: u64) -> Self {
        let below = |field, n| engine::setting_below(Address::plan_setting(plan, field), n);
        let often = match below(AIM, 4) {
            0 | 1 => Often::Never,
            2 => Often::Sometimes,
            _ => Often::Always,
        };
        Self { often, salt: below(AIM + 1, u64::MAX) }
    }

    /// Returns those of the machines at which a strike aims; none if it does not aim.
    pub(super) fn aimed(self, strike: Strike, machines: &[MachineId]) -> Vec<MachineId> {
        let is_aimed = match self.often {
            Often::Never => false,
            Often::Sometimes => strike.below(AIMED, 2) == 1,
            Often::Always => true,
        };
        // Roles are ordered by the salt, so that a role that a machine enters later rarely replaces
        // the chosen one.
        let roles = engine::known_roles();
        let role = roles.iter().min_by_key(|role| mix(self.salt, mix_text(role)));
        let Some(role) = role.filter(|_| is_aimed) else { return Vec::new() };
        let holders = engine::role_holders(role);
        machines.iter().copied().filter(|machine| holders.contains(machine)).collect()
    }
}
