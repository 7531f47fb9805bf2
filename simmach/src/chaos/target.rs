//! [`Target`]: which machines a plan hits.

use std::collections::BTreeSet;
use std::fmt;

use crate::chaos::pace::Strike;
use crate::engine::{self, MachineId};
use crate::machine::{self, Selector};
use crate::sim::{self, Idle, Want, name_of};

/// Which machines a plan hits, and how many of them at once.
///
/// By default, a strike hits one machine of all that have services, except the machine of the
/// test's body.
///
/// ```
/// use simmach::Target;
///
/// let leader = Target::new().machines("kv*").role("leader");
/// let rack = Target::new().zone("rack1").all();
/// let minority = Target::from("kv*").minority();
/// ```
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Target {
    machines: Option<Selector>,
    zone: Option<Selector>,
    aim: Option<Aim>,
    size: Size,
}

/// The role at which a plan aims.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Aim {
    /// Only machines that have the role are hit.
    Required(String),
    /// Other machines are hit only if no machine that has the role can be hit.
    Preferred(String),
}

/// How many machines are hit at once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Size {
    #[default]
    One,
    /// Each strike draws a number from one to the largest that leaves a majority.
    Minority,
    /// The smallest majority.
    Majority,
    All,
}

impl Target {
    /// One machine of all that have services, except the machine of the test's body.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the machines that may be hit. The machine of the test's body is hit only if it is
    /// named.
    #[must_use]
    pub fn machines(mut self, machines: impl Into<Selector>) -> Self {
        self.machines = Some(machines.into());
        self
    }

    /// Sets the zones whose machines may be hit.
    #[must_use]
    pub fn zone(mut self, zone: impl Into<Selector>) -> Self {
        self.zone = Some(zone.into());
        self
    }

    /// Hits only machines that have the role at the time of the strike.
    ///
    /// The code under test declares roles with [`role::enter`](crate::role::enter), a test with
    /// [`Sim::role`](crate::Sim::role).
    #[must_use]
    pub fn role(mut self, role: impl Into<String>) -> Self {
        self.aim = Some(Aim::Required(role.into()));
        self
    }

    /// Hits machines that have the role. If no such machine can be hit, hits others.
    #[must_use]
    pub fn prefer_role(mut self, role: impl Into<String>) -> Self {
        self.aim = Some(Aim::Preferred(role.into()));
        self
    }

    /// Hits a random number of machines, at least one and fewer than half.
    ///
    /// Of one or two machines, one is hit.
    #[must_use]
    pub fn minority(mut self) -> Self {
        self.size = Size::Minority;
        self
    }

    /// Hits the smallest majority of the machines: of five, three.
    #[must_use]
    pub fn majority(mut self) -> Self {
        self.size = Size::Majority;
        self
    }

    /// Hits all machines at once.
    #[must_use]
    pub fn all(mut self) -> Self {
        self.size = Size::All;
        self
    }

    pub(super) fn named(&self) -> Option<&Selector> {
        self.machines.as_ref()
    }

    /// Returns the mistakes in the settings, given the names of all machines.
    pub(super) fn mistakes(&self, machines: &[&str]) -> Vec<String> {
        let unknown = self.machines.iter().flat_map(|named| named.mistakes("`machines`", machines));
        let unnamed = self.role_name().filter(|role| role.is_empty());
        let unnamed = unnamed.map(|_| "`role`: the name of the role is empty".to_owned());
        let zones: Vec<&str> = machines.iter().map(|name| machine::names::zone(name)).collect();
        let empty = |zone: &&Selector| !zones.iter().any(|name| zone.matches(name));
        let no_zone = self.zone.as_ref().filter(empty);
        let no_zone = no_zone.map(|zone| {
            let zones: BTreeSet<String> = zones.iter().map(|name| format!("`{name}`")).collect();
            let zones = zones.into_iter().collect::<Vec<_>>().join(", ");
            format!("`zone`: no machine is in the zone `{zone}`; zones with machines: {zones}")
        });
        unknown.chain(unnamed).chain(no_zone).collect()
    }

    /// Records what the plan needs of the program, for the summary.
    pub(super) fn note_wants(&self) {
        if let Some(role) = self.role_name() {
            sim::record_want(Want::Role(role.to_owned()));
        }
    }

    fn role_name(&self) -> Option<&str> {
        self.aim.as_ref().map(|(Aim::Required(role) | Aim::Preferred(role))| role.as_str())
    }

    /// Returns all machines that may be hit, in the order of the topology. Their present roles do not
    /// matter.
    pub(super) fn candidates(&self) -> Vec<MachineId> {
        let mut machines = match &self.machines {
            Some(selector) => machine::machines(selector),
            None => machine::with_services(),
        };
        if let Some(zone) = &self.zone {
            let there = machine::in_zone(zone);
            machines.retain(|machine| there.contains(machine));
        }
        machines
    }

    /// Returns those of the machines that have the role at which the plan aims. Returns all of them
    /// if it does not aim, or if it only prefers a role that none of them has.
    pub(super) fn aimed(&self, mut machines: Vec<MachineId>) -> Vec<MachineId> {
        let Some(role) = self.role_name() else { return machines };
        let holders = engine::role_holders(role);
        let is_any = machines.iter().any(|machine| holders.contains(machine));
        if is_any || self.is_strict() {
            let had_any = !machines.is_empty();
            machines.retain(|machine| holders.contains(machine));
            if had_any && machines.is_empty() {
                sim::record_idle(Idle::NoRole(role.to_owned()));
            }
        }
        machines
    }

    /// Whether only machines that have a role are hit.
    pub(super) fn is_strict(&self) -> bool {
        matches!(self.aim, Some(Aim::Required(_)))
    }

    /// Whether the plan aims at a role.
    pub(super) fn has_aim(&self) -> bool {
        self.aim.is_some()
    }

    /// Returns the machines that run and satisfy `may`, and those of them at which the plan aims.
    fn running(&self, may: impl Fn(MachineId) -> bool) -> (Vec<MachineId>, Vec<MachineId>) {
        let mut up = self.candidates();
        up.retain(|machine| machine::has_running_service(*machine) && may(*machine));
        if up.is_empty() {
            sim::record_idle(Idle::AllDown);
        }
        let aimed = self.aimed(up.clone());
        (up, aimed)
    }

    /// Draws one of the machines that run and satisfy `may`, at the field `field` of the strike.
    /// Returns `None` if there is none.
    pub(super) fn draw_one(
        &self,
        strike: Strike,
        field: u64,
        may: impl Fn(MachineId) -> bool,
    ) -> Option<MachineId> {
        let (up, aimed) = self.running(may);
        let chosen = strike.below(field, aimed.len() as u64);
        let drawn = usize::try_from(chosen).ok().and_then(|chosen| aimed.get(chosen)).copied();
        match strike.pinned_victim() {
            Some(pinned) => up.contains(&pinned).then_some(pinned),
            None => drawn,
        }
    }

    /// Draws the machines of a strike, among those that run and satisfy `may`. Machines at which the
    /// plan aims come first.
    ///
    /// A majority or a minority is counted among all machines that the plan may hit, running or
    /// not. If `at` is given, this machine is hit first; if it cannot be hit, no machine is.
    /// `has_room` returns whether the given machines can be hit at the same time.
    pub(super) fn draw(
        &self,
        strike: Strike,
        at: Option<MachineId>,
        may: impl Fn(MachineId) -> bool,
        has_room: impl Fn(&[MachineId]) -> bool,
    ) -> Vec<MachineId> {
        let (mut up, mut aimed) = self.running(may);
        if self.is_strict() {
            up.clone_from(&aimed);
        }
        if let Some(at) = at {
            if !up.contains(&at) {
                return Vec::new();
            }
            aimed = vec![at];
        }
        let most = self.count(strike, self.candidates().len());
        let mut victims = Vec::new();
        let mut spares = false;
        for nth in 0..up.len() as u64 {
            if victims.len() == most {
                break;
            }
            aimed.retain(|machine| up.contains(machine));
            let among = if aimed.is_empty() { &up } else { &aimed };
            let chosen = strike.below(VICTIMS + nth, among.len() as u64) as usize;
            let machine = among[chosen];
            up.retain(|other| *other != machine);
            victims.push(machine);
            if !has_room(&victims) {
                victims.pop();
                spares = true;
            }
            if at.is_some() && victims.is_empty() {
                break;
            }
        }
        if victims.is_empty() && spares {
            sim::record_idle(Idle::NoRoom);
        }
        victims
    }

    /// Returns how many of `all` machines a strike hits.
    fn count(&self, strike: Strike, all: usize) -> usize {
        match self.size {
            Size::One => 1,
            Size::Minority => {
                let most = (all.saturating_sub(1) / 2).max(1);
                1 + strike.below(SIZE, most as u64) as usize
            }
            Size::Majority => all / 2 + 1,
            Size::All => all,
        }
    }
}

/// The field of a [`Strike`] at which the number of machines that it hits is drawn.
const SIZE: u64 = 4;
/// The first of the fields of a [`Strike`] at which the machines that it hits are drawn.
const VICTIMS: u64 = 16;

impl<S: Into<Selector>> From<S> for Target {
    fn from(machines: S) -> Self {
        Self::new().machines(machines)
    }
}

/// The text is part of a plan's settings and so of tokens. A target that sets only its machines is
/// written as these machines.
impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { machines, zone, aim, size } = self;
        match (zone, aim, size) {
            (None, None, Size::One) => machines.fmt(f),
            _ => {
                f.debug_tuple("Target").field(machines).field(zone).field(aim).field(size).finish()
            }
        }
    }
}

/// Defines methods of a plan that set its field `machines`, a [`Target`].
macro_rules! target_methods {
    () => {
        /// Sets the machines that the plan may hit.
        #[must_use]
        pub fn machines(mut self, machines: impl Into<$crate::machine::Selector>) -> Self {
            self.machines = self.machines.machines(machines);
            self
        }

        /// Sets the role at which the plan aims.
        ///
        /// A strike hits only machines that have the role at that time. The code under test
        /// declares roles with [`role::enter`](crate::role::enter), a test with
        /// [`Sim::role`](crate::Sim::role).
        #[must_use]
        pub fn role(mut self, role: impl Into<String>) -> Self {
            self.machines = self.machines.role(role);
            self
        }

        /// Sets the role at which the plan aims if it can.
        ///
        /// Like [`role`](Self::role), but if no machine with the role can be hit, a strike hits
        /// another machine.
        #[must_use]
        pub fn prefer_role(mut self, role: impl Into<String>) -> Self {
            self.machines = self.machines.prefer_role(role);
            self
        }
    };
}

pub(super) use target_methods;

/// A selector of exactly these machines.
pub(super) fn selector(machines: impl IntoIterator<Item = MachineId>) -> Selector {
    Selector::from(machines.into_iter().filter_map(name_of).collect::<Vec<_>>())
}
