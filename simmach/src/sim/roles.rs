//! Roles that a test gives to machines.

use crate::engine::{self, context};
use crate::machine::Selector;
use crate::sim::machines::{name_of, resolve_machines};
use crate::sim::{ControlError, Sim};

impl Sim {
    /// Gives a role, such as the leader, to the matching machines and takes it from all others.
    ///
    /// The role lasts until it is set again or cleared, even if the processes of the machine end. In
    /// half of its runs, [`Swarm`](crate::Swarm) aims at machines that have a role. Other plans aim
    /// at a role if it is set with a method such as [`PowerOffs::role`](crate::PowerOffs::role).
    /// Code under test declares a role of its own process with [`role::enter`](crate::role::enter).
    ///
    /// ```
    /// # use simmach::prelude::*;
    /// # use simmach::program::{Program, Scenario};
    /// # async fn serve() { std::future::pending().await }
    /// let program = Program::new(|| {
    ///     let plan = PowerOffs::new().role("leader").every(1.secs()).downtime(100.millis());
    ///     Scenario::new().machine("kv{1..=3}", serve).plan(plan).body(async |sim: Sim| {
    ///         sim.role("leader", "kv2")?;
    ///         assert_eq!(sim.machines_with_role("leader"), ["kv2"]);
    ///         simmach::time::sleep(5.secs()).await;
    ///         sim.clear_role("leader");
    ///         Result::<()>::Ok(())
    ///     })
    /// });
    /// let report = program.run(7);
    /// assert!(report.faults().count() > 0);
    /// assert!(report.faults().all(|fault| fault.machine == Some("kv2")));
    /// ```
    ///
    /// # Errors
    ///
    /// [`ControlError::NoMatch`] if no machine matches.
    pub fn role(&self, role: &str, machines: impl Into<Selector>) -> Result<(), ControlError> {
        let machines = resolve_machines(&machines.into())?;
        context::try_with(|engine| engine.roles.set(role, &machines));
        Ok(())
    }

    /// Returns the names of the machines that have a role at present. The machine that entered it
    /// last comes last.
    pub fn machines_with_role(&self, role: &str) -> Vec<String> {
        engine::role_holders(role).into_iter().filter_map(name_of).collect()
    }

    /// Takes a role from all machines.
    pub fn clear_role(&self, role: &str) {
        context::try_with(|engine| engine.roles.clear(role));
    }
}
