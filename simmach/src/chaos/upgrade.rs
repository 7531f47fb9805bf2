//! [`RollingUpgrade`]: a plan that upgrades a cluster one machine after the other.

use std::fmt;
use std::panic::Location;
use std::rc::Rc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::LocalBoxFuture;

use crate::chaos::fault::Fault;
use crate::chaos::hit::Hit;
use crate::chaos::pace::{DurationRange, Strikes};
use crate::chaos::strike::Begun;
use crate::chaos::target::Target;
use crate::chaos::{Needs, Plan, note_needs};
use crate::engine::{MachineId, ProcessId, Role, Scope, mix, mix_text};
use crate::machine::{self, Selector, Service, Termination};
use crate::sim::{ControlError, Sim};
use crate::task::spawn_as;
use crate::time::sleep;

/// Upgrades machines to another version of their service, one after the other in random order, while
/// the others serve.
///
/// For each machine, the plan stops the services with a grace period and starts the other version on
/// the same disk. Other plans can run at the same time: a machine that is down when its turn comes
/// runs the other version as soon as it is started again.
///
/// ```
/// use simmach::prelude::*;
/// use simmach::RollingUpgrade;
/// # mod v1 { pub async fn serve() {} }
/// # mod v2 { pub async fn serve() {} }
///
/// // In the end, all machines run version 1 again.
/// let plan = RollingUpgrade::to(v2::serve).machines("kv*").every(1.secs()..3.secs());
/// let plan = plan.and_back_to(v1::serve);
/// ```
pub struct RollingUpgrade {
    machines: Target,
    every: Option<DurationRange>,
    grace: DurationRange,
    versions: Vec<Version>,
}

/// A version of a service, and the line of the test that named it.
#[derive(Clone)]
struct Version {
    service: Service,
    at: &'static Location<'static>,
}

/// The upgrade of one machine to a version, as a fault.
struct Upgrade {
    name: String,
    version: Version,
    grace: DurationRange,
}

/// The default range of the grace period.
const GRACE: DurationRange = DurationRange::new(Duration::ZERO, Duration::from_secs(2));

impl RollingUpgrade {
    /// A plan that upgrades all machines with services, except the machine of the test's body.
    #[track_caller]
    pub fn to<F, R>(version: F) -> Self
    where
        F: AsyncFn() -> R + 'static,
        R: Termination,
    {
        let versions = vec![Version { service: Service::new(version), at: Location::caller() }];
        Self { machines: Target::new(), every: None, grace: GRACE, versions }
    }

    /// Adds another upgrade: when all machines have been upgraded, they change to this version,
    /// again one after the other.
    ///
    /// Usually, it is the version before the upgrade. Any version is allowed.
    #[must_use]
    #[track_caller]
    pub fn and_back_to<F, R>(mut self, version: F) -> Self
    where
        F: AsyncFn() -> R + 'static,
        R: Termination,
    {
        self.versions.push(Version { service: Service::new(version), at: Location::caller() });
        self
    }

    /// The upgrades to all versions, in order. Their names contain the machines, since a test can
    /// have several plans.
    fn upgrades(&self) -> Vec<Rc<Upgrade>> {
        let of = match self.machines.named() {
            Some(machines) => format!(" of {machines}"),
            None => String::new(),
        };
        let upgrade = |(nth, version): (usize, &Version)| {
            let name = if nth == 0 { "upgrade".to_owned() } else { format!("upgrade {}", nth + 1) };
            let (name, version) = (name + &of, version.clone());
            Rc::new(Upgrade { name, version, grace: self.grace })
        };
        self.versions.iter().enumerate().map(upgrade).collect()
    }

    /// Sets the machines that are upgraded.
    #[must_use]
    pub fn machines(mut self, machines: impl Into<Selector>) -> Self {
        self.machines = self.machines.machines(machines);
        self
    }

    /// Sets the time between the upgrades of two machines. By default, each run draws its own.
    #[must_use]
    pub fn every(mut self, every: impl Into<DurationRange>) -> Self {
        self.every = Some(every.into());
        self
    }

    /// Sets how long a service may take to stop before it is killed. By default, each upgrade draws
    /// a time from 0 to 2 s.
    #[must_use]
    pub fn grace(mut self, grace: impl Into<DurationRange>) -> Self {
        self.grace = grace.into();
        self
    }
}

impl Plan for RollingUpgrade {
    fn run(self: Box<Self>, sim: Sim) -> LocalBoxFuture<'static, Result<(), String>> {
        async move {
            note_needs(&self.machines, Needs::Victim { body: true });
            let mut strikes = Strikes::of_this_plan(self.every);
            for upgrade in self.upgrades() {
                let mut left = self.machines.candidates();
                while !left.is_empty() {
                    let Some(strike) = strikes.next().await else { return Ok(()) };
                    let chosen = strike.below(1, left.len() as u64) as usize;
                    let victim = left.remove(chosen);
                    let hit = Hit::of_plan(sim, strike, 0, vec![victim], Vec::new());
                    let fault: Rc<dyn Fault> = Rc::<Upgrade>::clone(&upgrade);
                    let begun = Begun::begin(std::iter::once((fault, Rc::new(hit))))?;
                    begun.finish(Duration::ZERO).await?;
                }
            }
            Ok(())
        }
        .boxed_local()
    }

    fn mistakes(&self, machines: &[&str]) -> Vec<String> {
        let ranges = [("every", self.every), ("grace", Some(self.grace))];
        super::mistakes(&ranges, &self.machines, machines)
    }

    fn name(&self) -> &'static str {
        "RollingUpgrade"
    }

    fn settings(&self) -> String {
        let Self { machines, every, grace, versions } = self;
        format!("{machines:?} {every:?} {grace:?} {}", versions.len())
    }

    fn faults(&self) -> Vec<Rc<dyn Fault>> {
        self.upgrades().into_iter().map(|upgrade| upgrade as Rc<dyn Fault>).collect()
    }
}

impl Fault for Upgrade {
    fn name(&self) -> &str {
        &self.name
    }

    fn begin(&self, hit: &Hit) -> Result<(), ControlError> {
        let grace = hit.duration(0, self.grace);
        let Version { service, at } = &self.version;
        for victim in hit.victim_ids() {
            let services = machine::services_of(*victim);
            services.into_iter().for_each(|id| machine::set_version(id, service, at));
            let task = mix(mix_text(&self.name), u64::from(victim.0));
            let scope = Scope { task, process: ProcessId::HARNESS, ..Scope::HARNESS };
            drop(spawn_as(Role::Plan, scope, at, restart(*victim, grace)));
        }
        Ok(())
    }

    /// Does nothing: an upgrade is not undone.
    fn end(&self, _: &Hit) -> Result<(), ControlError> {
        Ok(())
    }

    fn wait<'a>(&'a self, hit: &'a Hit) -> LocalBoxFuture<'a, ()> {
        async move {
            let is_stopping = || {
                hit.victim_ids()
                    .iter()
                    .any(|victim| !machine::stopping(|machine| machine == *victim).is_empty())
            };
            loop {
                sleep(Duration::from_millis(1)).await;
                if !is_stopping() {
                    return;
                }
            }
        }
        .boxed_local()
    }
}

/// Stops the services of a machine, and starts those that ran.
async fn restart(machine: MachineId, grace: Duration) {
    let services = machine::services_of(machine);
    let running: Vec<_> =
        services.into_iter().filter(|id| machine::process_of(*id).is_some()).collect();
    let processes: Vec<_> = running.iter().filter_map(|id| machine::process_of(*id)).collect();
    let unaware = machine::tell_to_stop(&processes);
    if !machine::have_ended(&processes, grace).await {
        machine::kill_stopping(&processes, &unaware);
    }
    // If another plan has powered the machine off, the services start when its power is restored.
    if machine::has_power(machine) {
        machine::bring_up(machine, &running, None);
    }
}

impl fmt::Debug for RollingUpgrade {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.settings())
    }
}

impl fmt::Debug for Upgrade {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {:?}", self.name, self.version.at, self.grace)
    }
}
