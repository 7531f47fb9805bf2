//! What the attribute says: the test before any run, and the cluster of a run.

mod settings;
mod shape;
mod topology;

use std::collections::BTreeSet;
use std::fmt;
use std::future::Future;
use std::time::{Duration, SystemTime};

use futures::FutureExt;
use futures::future::LocalBoxFuture;

use crate::chaos::Plan;
use crate::engine::Name;
use crate::engine::time::clock;
use crate::machine::{Ending, OnExit, names};
use crate::net::NetworkProfile;
use crate::sim::Sim;

pub use crate::spec::settings::{ExpectFailure, Settings, ShouldPanic, SimTest};
pub(crate) use crate::spec::shape::Shape;
pub(crate) use crate::spec::topology::DeclaredService;
pub use crate::spec::topology::Topology;

pub(crate) type Body = Box<dyn FnOnce(Sim) -> LocalBoxFuture<'static, Result<(), String>>>;

/// The cluster, its plans and the test's body, built afresh for each run on the run's own thread.
pub struct Spec {
    pub(crate) topology: Topology,
    pub(crate) client: Option<String>,
    pub(crate) plans: Vec<Box<dyn Plan>>,
    pub(crate) time_limit: Duration,
    pub(crate) stall_limit: Duration,
    pub(crate) step_limit: u64,
    /// What wall clocks show when a run begins, in nanoseconds since 1970.
    pub(crate) epoch: u64,
    pub(crate) body: Body,
}

/// The machine that the body runs on where the test names none: it reaches all.
pub(crate) const CLIENT: &str = "client";

impl Spec {
    /// All that makes no sense, in words; empty when a run can begin.
    pub(crate) fn mistakes(&self) -> Vec<String> {
        let topology = &self.topology;
        let mut mistakes = topology.mistakes.clone();
        let (machines, _) = self.machines();
        let machines: Vec<&str> = machines.iter().map(|name| &**name).collect();
        // Where there are no links, all zones are joined: nobody asks which there are.
        let named = if topology.links.is_empty() { &[][..] } else { &machines };
        let zones: BTreeSet<&str> = named.iter().copied().map(names::zone).collect();
        let known = || zones.iter().map(|zone| format!("`{zone}`")).collect::<Vec<_>>().join(", ");
        for link in &topology.links {
            for zone in [&link.from, &link.to] {
                if !zones.contains(zone.as_str()) {
                    mistakes.push(format!(
                        "the link `{}` to `{}` names the zone `{zone}`, in which there is no machine; there are: {}",
                        link.from,
                        link.to,
                        known()
                    ));
                }
            }
        }
        if let Some(client) = self.client.as_ref().filter(|_| !topology.links.is_empty()) {
            let zone = names::zone(client);
            let linked = topology.links.iter().any(|link| link.from == zone);
            let alone = machines.iter().all(|name| name == client || names::zone(name) != zone);
            if alone && zones.len() > 1 && !linked {
                mistakes.push(format!(
                    "the client `{client}` has no route: no link leads from its zone `{zone}`; there are the zones {}",
                    known()
                ));
            }
        }
        for (selector, on_exit) in &topology.on_exit {
            mistakes.extend(selector.mistakes("on_exit", &machines));
            if *on_exit == OnExit::Restart(Duration::ZERO) {
                mistakes.push(format!(
                    "on_exit of `{selector}` restarts after no time: a service that fails at once would do so for ever at \
                     one moment; give it some"
                ));
            }
        }
        for (selector, _) in &topology.disks {
            mistakes.extend(selector.mistakes("disk", &machines));
        }
        for (selector, _) in &topology.tcp_of {
            mistakes.extend(selector.mistakes("tcp_of", &machines));
        }
        for (from, to, _) in &topology.pairs {
            mistakes.extend(from.mistakes("link_between", &machines));
            mistakes.extend(to.mistakes("link_between", &machines));
        }
        for plan in &self.plans {
            let of = plan.name();
            mistakes.extend(
                plan.mistakes(&machines).into_iter().map(|mistake| format!("{of}: {mistake}")),
            );
        }
        if self.step_limit == 0 {
            mistakes.push("step_limit is 0: no run could begin".to_owned());
        }
        if self.time_limit.is_zero() || self.stall_limit.is_zero() {
            mistakes.push("time_limit or stall_limit is 0: no run could begin".to_owned());
        }
        mistakes.sort();
        mistakes.dedup();
        mistakes
    }

    /// The names of all machines, in the order of their numbers, and the number of the client: the machines of the
    /// topology, then the client unless it is one of them.
    pub(crate) fn machines(&self) -> (Vec<Name>, usize) {
        let client = self.client.as_deref().unwrap_or(CLIENT);
        let mut machines: Vec<Name> = self.topology.names().cloned().collect();
        let number = machines.iter().position(|name| **name == *client).unwrap_or_else(|| {
            machines.push(client.into());
            machines.len() - 1
        });
        (machines, number)
    }

    /// What runs, and what is left: what tells this spec from another.
    pub(crate) fn into_parts(self) -> (Vec<Box<dyn Plan>>, Body, Shape) {
        let plans = self.plans.iter().map(|plan| (plan.name(), plan.settings())).collect();
        let shape = Shape {
            topology: self.topology,
            client: self.client,
            limits: (self.time_limit, self.stall_limit, self.step_limit),
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

/// Builds a [`Spec`]. The macro calls this; every argument of the attribute is one call.
#[derive(Default)]
#[must_use]
pub struct SpecBuilder {
    topology: Topology,
    client: Option<String>,
    plans: Vec<Box<dyn Plan>>,
    time_limit: Option<Duration>,
    stall_limit: Option<Duration>,
    step_limit: Option<u64>,
    epoch: Option<SystemTime>,
}

impl SpecBuilder {
    /// With the defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// The cluster; what `machine` and `link` said before, and say after, is added to it.
    pub fn topology(mut self, topology: Topology) -> Self {
        self.topology = topology.with(self.topology);
        self
    }

    /// As [`Topology::machine`].
    #[track_caller]
    pub fn machine<F, R>(mut self, name: &str, service: F) -> Self
    where
        F: AsyncFn() -> R + 'static,
        R: Ending,
    {
        self.topology = self.topology.machine(name, service);
        self
    }

    /// As [`Topology::link`].
    pub fn link(mut self, a: &str, b: &str, profile: NetworkProfile) -> Self {
        self.topology = self.topology.link(a, b, profile);
        self
    }

    /// As [`Topology::link_one_way`].
    pub fn link_one_way(mut self, from: &str, to: &str, profile: NetworkProfile) -> Self {
        self.topology = self.topology.link_one_way(from, to, profile);
        self
    }

    /// The machine that the body runs on.
    pub fn client(mut self, name: impl Into<String>) -> Self {
        let name = name.into();
        match names::is_one(&name) {
            Ok(true) => {}
            Ok(false) => {
                self.topology.mistakes.push(format!("the client `{name}` is several machines"))
            }
            Err(error) => self.topology.mistakes.push(error.to_string()),
        }
        self.client = Some(name);
        self
    }

    /// One more plan, side by side with the others.
    pub fn plan(mut self, plan: impl Plan) -> Self {
        self.plans.push(Box::new(plan));
        self
    }

    /// The most virtual time a run takes.
    pub fn time_limit(mut self, limit: Duration) -> Self {
        self.time_limit = Some(limit);
        self
    }

    /// The most virtual time without progress: no bytes arrive, no process starts or ends, the test's own code ends no sleep. A
    /// connect or a connection that will time out, with a task that waits for it, is waited for, and so is a restart that is
    /// due; keep-alive probes, and those of a closed window that are answered, are not.
    pub fn stall_limit(mut self, limit: Duration) -> Self {
        self.stall_limit = Some(limit);
        self
    }

    /// The most polls and events.
    pub fn step_limit(mut self, limit: u64) -> Self {
        self.step_limit = Some(limit);
        self
    }

    /// What wall clocks show when a run begins: a time from 1970 to 2554.
    pub fn epoch(mut self, epoch: SystemTime) -> Self {
        match nanos_since_1970(epoch) {
            Some(_) => self.epoch = Some(epoch),
            None => self.topology.mistakes.push(
                "epoch is out of range: use a time from 1970-01-01T00:00:00Z to 2554-07-21T23:34:33Z".to_owned(),
            ),
        }
        self
    }

    /// The test's body: the spec is complete.
    pub fn body<F, T>(self, body: F) -> Spec
    where
        F: FnOnce(Sim) -> T + 'static,
        T: Future + 'static,
        T::Output: Ending,
    {
        const HOUR: Duration = Duration::from_secs(3_600);
        const MINUTE: Duration = Duration::from_secs(60);
        Spec {
            topology: self.topology,
            client: self.client,
            plans: self.plans,
            time_limit: self.time_limit.unwrap_or(HOUR),
            stall_limit: self.stall_limit.unwrap_or(MINUTE),
            step_limit: self.step_limit.unwrap_or(u64::MAX),
            epoch: self.epoch.and_then(nanos_since_1970).unwrap_or(clock::EPOCH),
            body: Box::new(move |sim| body(sim).map(Ending::into_words).boxed_local()),
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
