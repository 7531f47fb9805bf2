//! Liveness of a part of the cluster: a core is healed, and the other machines stay as they are.

use std::future::{Future, pending};
use std::time::Duration;

use crate::engine::failure::verdict::{Failure, FailureKind};
use crate::engine::log::{self, Level};
use crate::engine::time::machine_clocks::ClockSkew;
use crate::engine::{MachineId, ProcessId, Scope, context};
use crate::machine::{self, Selector};
use crate::net;
use crate::sim::machines::{name_of, resolve_machines, set_clock};
use crate::sim::own_faults;
use crate::sim::world::with;
use crate::sim::{ControlError, Sim};
use crate::time::{sleep, timeout};

impl Sim {
    /// Ends all plans and heals a core: `n` of the matching machines, chosen at random. Returns their
    /// names.
    ///
    /// A system that needs a quorum must serve while a quorum is up and connected, whatever the state
    /// of the other machines is. Therefore this method repairs:
    ///
    /// - the machines of the core: they get power and exact clocks, their processes are resumed, their
    ///   services are started, and faults of their disks end;
    /// - the network between them, and between them and the machine of the test's body: partitions
    ///   and clogs are undone;
    /// - what is not limited to the core: packet filters are removed, links get the profiles of the
    ///   topology, faults of packets end, and the test's own faults ([`Fault`](crate::Fault)) are
    ///   undone.
    ///
    /// Apart from this, the other machines stay as they are: down, paused or cut off, also from the
    /// core.
    ///
    /// Then waits for one second of virtual time, as [`settle`](Self::settle) does. Only the test's
    /// body can call this method. Put what must succeed then in [`must_succeed`](Self::must_succeed).
    ///
    /// ```
    /// # use simmach::prelude::*;
    /// # use simmach::program::{Program, Scenario};
    /// # async fn serve() { std::future::pending().await }
    /// let program = Program::new(|| {
    ///     let scenario = Scenario::new().machine("kv{1..=5}", serve).plan(Swarm::new());
    ///     scenario.body(async |sim: Sim| {
    ///         simmach::time::sleep(10.secs()).await;
    ///         let core = sim.heal_core("kv*", 3).await?;
    ///         sim.must_succeed("a write", 30.secs(), async {
    ///             assert!(core.iter().all(|name| sim.is_up(name.as_str())));
    ///         })
    ///         .await;
    ///         Result::<()>::Ok(())
    ///     })
    /// });
    /// assert!(program.run(7).passed());
    /// ```
    ///
    /// # Errors
    ///
    /// [`ControlError::NoMatch`] if no machine matches, and [`ControlError::Core`] if `n` is 0 or
    /// greater than the number of matching machines.
    pub async fn heal_core(
        &self,
        machines: impl Into<Selector>,
        n: usize,
    ) -> Result<Vec<String>, ControlError> {
        let selector = machines.into();
        let mut among = resolve_machines(&selector)?;
        if n == 0 || n > among.len() {
            let selector = selector.to_string();
            return Err(ControlError::Core { selector, n, machines: among.len() });
        }
        let mut core = Vec::new();
        while core.len() < n {
            let chosen = self.random_range(0..among.len() as u64) as usize;
            core.push(among.remove(chosen));
        }
        core.sort_unstable();
        heal(&core);
        let names: Vec<String> = core.iter().copied().filter_map(name_of).collect();
        log::write_line(Level::Fault, Scope::HARNESS.machine, || {
            format!("core healed: [{}]; the other machines stay as they are", names.join(", "))
        });
        sleep(Duration::from_secs(1)).await;
        Ok(names)
    }

    /// Fails the run if `part` does not complete within this virtual time. The failure lists the tasks
    /// that are stuck, and what each one waits for.
    ///
    /// `what` names the part in the failure. Failures with the same name count as the same failure.
    pub async fn must_succeed<F: Future>(
        &self,
        what: &str,
        within: Duration,
        part: F,
    ) -> F::Output {
        if let Ok(output) = timeout(within, part).await {
            return output;
        }
        let kind = FailureKind::Named(format!("no progress: {what}"));
        let message = format!("{what} did not succeed within {within:?}");
        context::try_with(|engine| engine.fail_waiting(Failure::new(kind, message)));
        pending().await
    }
}

/// Ends the plans and heals the core.
fn heal(core: &[MachineId]) {
    context::try_with(|engine| {
        engine.acts.end_script(engine);
        engine.drop_other_tasks(ProcessId::HARNESS);
        engine.points.clear_pending();
    });
    own_faults::undo_all();
    net::control::clear_filters();
    net::control::end_impairments();
    net::control::restore_links();
    let body = with(|world| world.body);
    let reached: Vec<MachineId> = core.iter().copied().chain(body).collect();
    net::control::heal_between(&reached);
    net::control::unclog(&reached, &reached);
    for machine in &reached {
        set_clock(*machine, ClockSkew::exact());
        machine::resume(*machine);
        machine::restore_cpu(*machine);
    }
    for machine in core {
        machine::repair_disk(*machine);
        machine::cancel_power_off_at_call(*machine);
        machine::stopping(|other| other == *machine).into_iter().for_each(machine::kill);
        let mut services = machine::services_of(*machine);
        services.retain(|service| !machine::has_returned(*service));
        machine::bring_up(*machine, &services, None);
    }
}
