//! The declarations in a test's attribute: settings, topology, plans and body. The macro builds a
//! [`Spec`] with [`SpecBuilder`].

mod settings;
mod shape;
mod topology;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::future::Future;
use std::time::{Duration, SystemTime};

use futures::FutureExt;
use futures::future::LocalBoxFuture;

use crate::chaos::{self, Plan};
use crate::engine::Name;
use crate::engine::time::clock;
use crate::guest::Runtime;
use crate::machine::{OnExit, Termination, names};
use crate::mistakes::Mistakes;
use crate::net::NetworkProfile;
use crate::sim::Sim;

pub use crate::spec::settings::{ExpectFailure, Settings, ShouldPanic, SimTest};
pub(crate) use crate::spec::shape::Shape;
pub(crate) use crate::spec::topology::DeclaredService;
pub use crate::spec::topology::Topology;

pub(crate) type Body = Box<dyn FnOnce(Sim) -> LocalBoxFuture<'static, Result<(), String>>>;

/// The topology, plans, limits and body of a test. A new spec is built for each run, on the thread
/// of the run.
pub struct Spec {
    pub(crate) topology: Topology,
    pub(crate) client: Option<String>,
    /// The runtime of processes on machines that [`Topology::native`] does not name.
    pub(crate) runtime: Runtime,
    pub(crate) is_hardware_identical: bool,
    pub(crate) plans: Vec<Box<dyn Plan>>,
    pub(crate) time_limit: Duration,
    pub(crate) stall_limit: Duration,
    pub(crate) poll_limit: u64,
    /// The time that wall clocks show at the beginning of a run, in nanoseconds since 1970.
    pub(crate) epoch: u64,
    pub(crate) body: Body,
}

/// The default machine of the test's body. It can reach all machines.
pub(crate) const CLIENT: &str = "client";

impl Spec {
    /// Declares that all processes use simmach's modules only. See [`Topology::native`].
    #[must_use]
    pub fn native(mut self) -> Self {
        self.runtime = Runtime::Native;
        self
    }

    /// Declares that all machines boot at once and have exact oscillators. See
    /// [`SpecBuilder::identical_hardware`].
    #[must_use]
    pub fn identical_hardware(mut self) -> Self {
        self.is_hardware_identical = true;
        self
    }

    /// Returns messages for all mistakes in the spec. A run can begin only if there are none.
    pub(crate) fn mistakes(&self) -> Vec<String> {
        let (machines, _) = self.machines();
        let machines: Vec<&str> = machines.iter().map(|name| &**name).collect();
        let mut mistakes = self.topology.mistakes.clone();
        self.check_links(&machines, &mut mistakes);
        self.check_selectors(&machines, &mut mistakes);
        for plan in &self.plans {
            mistakes.add_all(plan.name(), plan.mistakes(&machines));
        }
        self.check_own_faults(&mut mistakes);
        self.check_limits(&mut mistakes);
        let mut mistakes: Vec<String> = mistakes.into_iter().collect();
        mistakes.sort();
        mistakes.dedup();
        mistakes
    }

    /// Checks that the test's own faults with the same name are the same fault. A replay finds a
    /// fault by its name.
    fn check_own_faults(&self, mistakes: &mut Mistakes) {
        let mut known: BTreeMap<String, String> = BTreeMap::new();
        let mut plans: Vec<&dyn Plan> = self.plans.iter().map(|plan| &**plan).collect();
        while let Some(plan) = plans.pop() {
            plans.extend(plan.parts());
            let own = plan.faults().iter().map(chaos::within).collect::<Vec<_>>();
            for fault in own.iter().filter(|fault| !fault.is_made_of_calls()) {
                let (name, text) = (fault.name(), format!("{fault:?}"));
                let first = known.entry(name.to_owned()).or_insert_with(|| text.clone());
                mistakes.require(*first == text, || {
                    format!("two faults of plans have the name `{name}`: give each one a name of its own")
                });
            }
        }
    }

    /// Checks that links join zones with machines, and that the client can reach a machine.
    fn check_links(&self, machines: &[&str], mistakes: &mut Mistakes) {
        let links = &self.topology.links;
        // Without links, all zones are joined, so the zones need not be known.
        if links.is_empty() {
            return;
        }
        let zones: BTreeSet<&str> = machines.iter().copied().map(names::zone).collect();
        let known = || zones.iter().map(|zone| format!("`{zone}`")).collect::<Vec<_>>().join(", ");
        for link in links {
            for zone in [&link.from, &link.to] {
                mistakes.require(zones.contains(zone.as_str()), || {
                    format!(
                        "link from `{}` to `{}`: no machine is in the zone `{zone}`; zones with machines: {}",
                        link.from,
                        link.to,
                        known()
                    )
                });
            }
        }
        if let Some(client) = &self.client {
            let zone = names::zone(client);
            let linked = links.iter().any(|link| link.from == zone);
            let alone = machines.iter().all(|name| name == client || names::zone(name) != zone);
            mistakes.require(linked || !alone || zones.len() == 1, || {
                format!(
                    "the test's body runs on `{client}` in the zone `{zone}`, from which no link leads to another \
                     zone: add a link; zones with machines: {}",
                    known()
                )
            });
        }
    }

    /// Checks that each selector matches a machine, and the settings of [`OnExit`].
    fn check_selectors(&self, machines: &[&str], mistakes: &mut Mistakes) {
        let Topology { on_exit, native, disks, tcp_of, pairs, .. } = &self.topology;
        for (selector, on_exit) in on_exit {
            mistakes.extend(selector.mistakes("on_exit", machines));
            mistakes.require(*on_exit != OnExit::Restart(Duration::ZERO), || {
                format!(
                    "on_exit of `{selector}`: the restart delay must be greater than zero; otherwise, a service \
                     that fails at once restarts forever at the same virtual time"
                )
            });
        }
        for selector in native {
            mistakes.extend(selector.mistakes("native", machines));
        }
        for (selector, _) in disks {
            mistakes.extend(selector.mistakes("disk", machines));
        }
        for (selector, _) in tcp_of {
            mistakes.extend(selector.mistakes("tcp_of", machines));
        }
        for (from, to, _) in pairs {
            mistakes.extend(from.mistakes("link_between", machines));
            mistakes.extend(to.mistakes("link_between", machines));
        }
    }

    fn check_limits(&self, mistakes: &mut Mistakes) {
        let limits = [
            ("poll_limit", self.poll_limit == 0),
            ("time_limit", self.time_limit.is_zero()),
            ("stall_limit", self.stall_limit.is_zero()),
        ];
        for (name, is_zero) in limits {
            mistakes.require(!is_zero, || format!("`{name}` must be greater than zero"));
        }
    }

    /// Returns the names of all machines in the order of their ids, and the index of the client. The client comes last unless it
    /// is a machine of the topology.
    pub(crate) fn machines(&self) -> (Vec<Name>, usize) {
        let client = self.client.as_deref().unwrap_or(CLIENT);
        let mut machines: Vec<Name> = self.topology.names().cloned().collect();
        let number = machines.iter().position(|name| **name == *client).unwrap_or_else(|| {
            machines.push(client.into());
            machines.len() - 1
        });
        (machines, number)
    }

    /// Whether the processes of any machine have a tokio runtime.
    pub(crate) fn has_guests(&self, machines: &[Name]) -> bool {
        let is_native =
            |name: &Name| self.topology.native.iter().any(|selector| selector.matches(name));
        self.runtime == Runtime::Tokio && !machines.iter().all(is_native)
    }

    /// Splits the spec into what runs and the [`Shape`] that identifies it.
    pub(crate) fn into_parts(self) -> (Vec<Box<dyn Plan>>, Body, Shape) {
        let plans = self.plans.iter().map(|plan| (plan.name(), plan.settings())).collect();
        let shape = Shape {
            topology: self.topology,
            client: self.client,
            is_hardware_identical: self.is_hardware_identical,
            limits: (self.time_limit, self.stall_limit, self.poll_limit),
            epoch: self.epoch,
            plans,
        };
        (self.plans, self.body, shape)
    }
}

impl fmt::Debug for Spec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Spec").field("topology", &self.topology).finish_non_exhaustive()
    }
}

/// Builds a [`Spec`]. The macro expands every argument of the attribute to one call.
#[derive(Default)]
#[must_use]
pub struct SpecBuilder {
    topology: Topology,
    client: Option<String>,
    runtime: Runtime,
    is_hardware_identical: bool,
    plans: Vec<Box<dyn Plan>>,
    time_limit: Option<Duration>,
    stall_limit: Option<Duration>,
    poll_limit: Option<u64>,
    epoch: Option<SystemTime>,
}

impl SpecBuilder {
    /// Creates a builder with the defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the topology. Machines and links of other calls are added to it.
    pub fn topology(mut self, topology: Topology) -> Self {
        self.topology = topology.merge(self.topology);
        self
    }

    /// See [`Topology::machine`].
    #[track_caller]
    pub fn machine<F, R>(mut self, name: &str, service: F) -> Self
    where
        F: AsyncFn() -> R + 'static,
        R: Termination,
    {
        self.topology = self.topology.machine(name, service);
        self
    }

    /// See [`Topology::link`].
    pub fn link(mut self, a: &str, b: &str, profile: NetworkProfile) -> Self {
        self.topology = self.topology.link(a, b, profile);
        self
    }

    /// See [`Topology::link_one_way`].
    pub fn link_one_way(mut self, from: &str, to: &str, profile: NetworkProfile) -> Self {
        self.topology = self.topology.link_one_way(from, to, profile);
        self
    }

    /// Declares that all processes use simmach's modules only. See [`Topology::native`].
    pub fn native(mut self) -> Self {
        self.runtime = Runtime::Native;
        self
    }

    /// Declares that all machines boot at once, and that their clocks run equally fast.
    ///
    /// Otherwise, the seed draws for each machine of tokio programs:
    ///
    /// - when it boots: up to 50 ms after the start of the run, if at least two machines have services. Until then, packets
    ///   to the machine are lost. The test's body and the plans begin when all machines have booted.
    /// - how fast its clocks run: up to 100 ppm too fast or too slow, except on the machine of the test's body.
    ///
    /// Shrinking removes both where the failure does not need them.
    ///
    /// ```
    /// use simmach::prelude::*;
    /// use simmach::program::{Program, Scenario};
    ///
    /// async fn serve() { std::future::pending().await }
    ///
    /// let program = Program::new(|| {
    ///     let scenario = Scenario::new().machine("kv{1..=3}", serve).identical_hardware();
    ///     scenario.body(async |sim: Sim| assert!(sim.elapsed().is_zero()))
    /// });
    /// assert!((0..10).all(|seed| program.run(seed).passed()));
    /// ```
    pub fn identical_hardware(mut self) -> Self {
        self.is_hardware_identical = true;
        self
    }

    /// Sets the machine of the test's body.
    pub fn client(mut self, name: impl Into<String>) -> Self {
        let name = name.into();
        match names::is_single(&name) {
            Ok(true) => {}
            Ok(false) => self
                .topology
                .mistakes
                .add(format_args!("`client` must name one machine, got `{name}`")),
            Err(error) => self.topology.mistakes.add(error),
        }
        self.client = Some(name);
        self
    }

    /// Adds a plan. All plans run concurrently.
    pub fn plan(mut self, plan: impl Plan) -> Self {
        self.plans.push(Box::new(plan));
        self
    }

    /// Sets the maximum virtual time of a run. The default is 1 hour.
    pub fn time_limit(mut self, limit: Duration) -> Self {
        self.time_limit = Some(limit);
        self
    }

    /// Sets the maximum virtual time without progress. The default is 1 minute.
    ///
    /// Progress means that bytes arrive, a transaction is committed, a process starts or ends, a step begins, or a sleep of
    /// a second or more in the test's own code ends. The limit is extended while a task waits for a connect or a connection
    /// that will time out, and while a restart is pending. Keep-alive probes and answered zero-window probes do not extend
    /// it.
    pub fn stall_limit(mut self, limit: Duration) -> Self {
        self.stall_limit = Some(limit);
        self
    }

    /// Sets the maximum number of polls: polls of tasks and fired timers. By default there is no limit.
    pub fn poll_limit(mut self, limit: u64) -> Self {
        self.poll_limit = Some(limit);
        self
    }

    /// Sets the time that wall clocks show at the beginning of a run, between 1970 and 2554.
    pub fn epoch(mut self, epoch: SystemTime) -> Self {
        match nanos_since_1970(epoch) {
            Some(_) => self.epoch = Some(epoch),
            None => self.topology.mistakes.add(
                "epoch is out of range: expected a time from 1970-01-01T00:00:00Z to 2554-07-21T23:34:33Z",
            ),
        }
        self
    }

    /// Sets the body of the test, and completes the spec.
    pub fn body<F, T>(self, body: F) -> Spec
    where
        F: FnOnce(Sim) -> T + 'static,
        T: Future + 'static,
        T::Output: Termination,
    {
        const HOUR: Duration = Duration::from_secs(3_600);
        const MINUTE: Duration = Duration::from_secs(60);
        Spec {
            topology: self.topology,
            client: self.client,
            runtime: self.runtime,
            is_hardware_identical: self.is_hardware_identical,
            plans: self.plans,
            time_limit: self.time_limit.unwrap_or(HOUR),
            stall_limit: self.stall_limit.unwrap_or(MINUTE),
            poll_limit: self.poll_limit.unwrap_or(u64::MAX),
            epoch: self.epoch.and_then(nanos_since_1970).unwrap_or(clock::EPOCH),
            body: Box::new(move |sim| body(sim).map(Termination::into_result).boxed_local()),
        }
    }
}

fn nanos_since_1970(time: SystemTime) -> Option<u64> {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).ok()?;
    u64::try_from(since.as_nanos()).ok()
}

impl fmt::Debug for SpecBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SpecBuilder").field("topology", &self.topology).finish_non_exhaustive()
    }
}
