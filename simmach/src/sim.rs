//! The control of the world: what a test and a plan hold, and no code under test sees.

use std::any::{Any, TypeId};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::future::Future;
use std::panic::Location;
use std::rc::Rc;
use std::time::Duration;

use crate::choice::{Chooser, Steps, WholeNumber};
use crate::engine::context::{self, Slot};
use crate::engine::deviations::{Deviation, Kind};
use crate::engine::dials::Clock;
use crate::engine::log::{self, Level};
use crate::engine::verdict::{Failure, FailureKind};
use crate::engine::{self, Effect, Family, MachineId, ProcessId, Scope, TraceKind, mix, mix_text};
use crate::machine::{self, Selector, ServiceId};
use crate::net::{self, NetworkProfile, PacketFate, PacketFilter, PacketInfo, SocketEntry};
use crate::task::JoinHandle;

/// What a plan without a name is called.
pub(crate) const A_PLAN: &str = "a plan";

/// A usual grace for [`Sim::stop`]: what a service has to obey before it is killed.
///
/// ```no_run
/// # use simmach::prelude::*;
/// # async fn plan(sim: Sim) -> Result {
/// sim.stop("api1", GRACE).await?;
/// # Ok(())
/// # }
/// ```
pub const GRACE: Duration = Duration::from_secs(2);

thread_local! {
    static WORLD: Slot<World> = const { Slot::new() };
}

/// What the control keeps for a run beside the machines.
pub(crate) struct World {
    seed: u64,
    body: MachineId,
    /// The plans of the library.
    named: Vec<Named>,
    clients: BTreeMap<MachineId, u64>,
    memory: BTreeMap<TypeId, Rc<dyn Any>>,
    /// By task, how many walks of steps it has begun.
    walks: BTreeMap<u64, u64>,
    /// By plan of the user's own, how much it has done.
    acts: BTreeMap<u64, u64>,
    /// What a plan would have taken down, had the overlay not left it out: to start it again is nothing to do.
    spared: BTreeSet<MachineId>,
}

/// A plan, and how often it did something.
struct Named {
    task: u64,
    name: &'static str,
    acts: u64,
}

/// The control of the world. Every test gets one; helpers reach it with [`Sim::current`].
#[derive(Clone, Copy)]
pub struct Sim {
    seed: u64,
}

/// What can't be done to the world.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ControlError {
    /// No machine has such a name.
    #[error("no machine or service is named `{selector}`; there are: {known}")]
    NoMatch {
        /// What was asked for.
        selector: String,
        /// The names there are.
        known: String,
    },
    /// All that were meant are up already.
    #[error("`{0}` is running already")]
    AlreadyRunning(String),
    /// Its disk is in use.
    #[error("`{0}` is running: stop it before its disk is wiped")]
    InUse(String),
    /// Its disk is in use by a client that [`Sim::run_on`] made.
    #[error("a client of `run_on` is running on `{0}`: stop it before the disk is wiped")]
    ClientRuns(String),
    /// The test itself would end, or lose its disk.
    #[error(
        "the test's body runs on `{0}`, and must keep its power and its disk: name other machines"
    )]
    Body(String),
    /// No zones have such names, or no link is between them.
    #[error("{0}")]
    NoLink(String),
    /// The disk could not be wiped.
    #[error("the disk of `{machine}` could not be wiped: {error}")]
    Disk {
        /// The machine.
        machine: String,
        /// Why.
        error: String,
    },
}

impl Sim {
    /// The control of the run that this code is part of.
    ///
    /// # Panics
    ///
    /// Outside a run.
    pub fn current() -> Self {
        let seed = with(|world| world.seed);
        Self { seed: seed.expect("simmach::Sim::current() was called outside a run") }
    }

    /// The run's seed.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// Virtual time since the run began.
    pub fn elapsed(&self) -> Duration {
        Duration::from_nanos(engine::now())
    }

    /// Writes a line into the run's log, in the harness's name.
    pub fn log(&self, text: impl fmt::Display) {
        log::say(Level::Info, Scope::HARNESS.machine, || text.to_string());
    }

    /// The names of the machines that a selector means, in the order of the topology.
    pub fn machines(&self, selector: impl Into<Selector>) -> Vec<String> {
        let machines = machine::machines(&selector.into());
        machines.into_iter().filter_map(name_of).collect()
    }

    /// True if any service that is meant runs.
    pub fn is_up(&self, selector: impl Into<Selector>) -> bool {
        machine::services(&selector.into())
            .into_iter()
            .any(|service| machine::process_of(service).is_some())
    }

    /// Starts what is down, and gives its machine power. A machine without services is given power only: its clients are
    /// the test's to run again.
    ///
    /// # Errors
    ///
    /// When nothing has such a name, or all that have are running.
    pub fn start(&self, selector: impl Into<Selector>) -> Result<(), ControlError> {
        let selector = selector.into();
        let Meant { mut services, mut machines, .. } = meant(&selector)?;
        services.retain(|service| machine::process_of(*service).is_none());
        machines.retain(|machine| !machine::has_power(*machine));
        if services.is_empty() && machines.is_empty() {
            return match unspare(&machines_of(&selector)) {
                true => Ok(()),
                false => Err(ControlError::AlreadyRunning(selector.to_string())),
            };
        }
        services.into_iter().for_each(machine::start);
        machines.into_iter().for_each(machine::power_on);
        Ok(())
    }

    /// Tells services, and the clients of whole machines, to stop, and waits for it; what is not over after `grace`
    /// ([`GRACE`] is a usual one) is killed. What is down stays so, also what was to be restarted after a crash, or by a
    /// plan. The test's body goes on.
    ///
    /// # Errors
    ///
    /// When nothing has such a name, and when the test's body is all that has.
    pub async fn stop(
        &self,
        selector: impl Into<Selector>,
        grace: Duration,
    ) -> Result<(), ControlError> {
        let selector = selector.into();
        let meant = meant(&selector)?.but_the_body()?;
        let machines = meant.hit();
        if !meant.runs() || may_act(&machines, || format!("{selector} is told to stop")) {
            machine::stop(meant.take(), grace).await;
        } else {
            spare(machines);
        }
        Ok(())
    }

    /// Ends services, and the clients of whole machines, now; their kernels close their sockets. What is down stays so,
    /// also what was to be restarted after a crash, or by a plan. The test's body goes on.
    ///
    /// # Errors
    ///
    /// When nothing has such a name, and when the test's body is all that has.
    pub fn kill(&self, selector: impl Into<Selector>) -> Result<(), ControlError> {
        let selector = selector.into();
        let meant = meant(&selector)?.but_the_body()?;
        let machines = meant.hit();
        if !meant.runs() || may_act(&machines, || format!("{selector} is killed")) {
            meant.take().into_iter().for_each(machine::kill);
        } else {
            spare(machines);
        }
        Ok(())
    }

    /// Takes machines' power: nothing is sent, and what was not durable is lost. What has none stays so.
    ///
    /// # Errors
    ///
    /// When no machine has such a name, and when the test's body runs on one.
    pub fn power_off(&self, selector: impl Into<Selector>) -> Result<(), ControlError> {
        let meant = machines(&selector.into())?;
        if let Some(body) = with(|world| world.body).filter(|body| meant.contains(body)) {
            return Err(ControlError::Body(name_of(body).unwrap_or_default()));
        }
        for machine in meant {
            let name = || name_of(machine).unwrap_or_default();
            let act = || may_act(&[machine], || format!("{} loses its power", name()));
            if !machine::has_power(machine) || act() {
                machine::take_power(machine, None);
            } else {
                spare(vec![machine]);
            }
        }
        Ok(())
    }

    /// Deletes what machines' disks hold. A restart that is due there after a crash is cancelled.
    ///
    /// # Errors
    ///
    /// When no machine has such a name, when a service, a client or the test's body is running on one, and when a disk
    /// can't be deleted.
    pub fn wipe(&self, selector: impl Into<Selector>) -> Result<(), ControlError> {
        let meant = machines(&selector.into())?;
        let name = |machine| name_of(machine).unwrap_or_default();
        let spared = |machine: &MachineId| with(|world| world.spared.contains(machine));
        if meant.iter().any(|machine| spared(machine) == Some(true)) {
            return Ok(());
        }
        for machine in meant.iter().copied() {
            if machine::serves(machine) {
                return Err(ControlError::InUse(name(machine)));
            } else if !machine::clients_of(machine).is_empty() {
                return Err(ControlError::ClientRuns(name(machine)));
            } else if machine::body() == Some(machine) {
                return Err(ControlError::Body(name(machine)));
            }
        }
        for wiped in meant {
            machine::cancel_restarts(wiped);
            machine::wipe(wiped).map_err(|error| ControlError::Disk {
                machine: name(wiped),
                error: error.to_string(),
            })?;
        }
        Ok(())
    }

    /// Runs `future` on a machine, as a process of its own beside its services: one more client. It ends when it is
    /// done; a panic is the handle's, or the run's if nobody awaits that. A machine that isn't there breaks the run.
    #[track_caller]
    pub fn run_on<F>(&self, machine: &str, future: F) -> JoinHandle<F::Output>
    where
        F: Future + 'static,
        F::Output: 'static,
    {
        let at = Location::caller();
        let selector = Selector::from(machine);
        let found = machine::machines(&selector).first().copied();
        if found.is_none() {
            machine::misuse(format!("run_on: {}", no_match(&selector)));
        }
        let nth = found.and_then(|machine| {
            with(|world| {
                let count = world.clients.entry(machine).or_default();
                *count += 1;
                *count
            })
        });
        machine::run_client(found, nth.unwrap_or(0), at, future)
    }

    /// Cuts two groups of machines from each other, both ways: what is sent between them is lost. What a plan of the
    /// library cuts too stays cut until both are healed.
    ///
    /// # Errors
    ///
    /// When no machine has such a name.
    pub fn partition(
        &self,
        a: impl Into<Selector>,
        b: impl Into<Selector>,
    ) -> Result<(), ControlError> {
        self.cut(None, &a.into(), &b.into())
    }

    /// As [`partition`](Self::partition); only the plan itself, or who heals all, joins again what a plan has cut.
    pub(crate) fn cut(
        &self,
        plan: Option<u64>,
        a: &Selector,
        b: &Selector,
    ) -> Result<(), ControlError> {
        let (from, to) = (machines(a)?, machines(b)?);
        if !may_act(&from, || format!("{a} and {b} are cut from each other")) {
            return Ok(());
        }
        net::cut(plan, &from, &to);
        net::cut(plan, &to, &from);
        link_changed(Change::Cut, &from, &to);
        link_changed(Change::Cut, &to, &from);
        engine::fault(Effect::Partition, None, || format!("{a} and {b} are cut from each other"));
        Ok(())
    }

    /// Cuts one way only: what `from` sends to `to` is lost.
    ///
    /// # Errors
    ///
    /// When no machine has such a name.
    pub fn partition_one_way(
        &self,
        from: impl Into<Selector>,
        to: impl Into<Selector>,
    ) -> Result<(), ControlError> {
        let (from, to) = (from.into(), to.into());
        let (cut, off) = (machines(&from)?, machines(&to)?);
        if !may_act(&cut, || format!("{from} is cut off from {to}")) {
            return Ok(());
        }
        net::cut(None, &cut, &off);
        link_changed(Change::Cut, &cut, &off);
        engine::fault(Effect::Partition, None, || format!("{from} is cut off from {to}"));
        Ok(())
    }

    /// Joins two groups of machines again, both ways. What a plan of the library cuts stays cut until the plan heals it.
    ///
    /// # Errors
    ///
    /// When no machine has such a name.
    pub fn heal(&self, a: impl Into<Selector>, b: impl Into<Selector>) -> Result<(), ControlError> {
        self.mend(None, &a.into(), &b.into())
    }

    /// As [`heal`](Self::heal), for what [`cut`](Self::cut) has cut for the same plan.
    pub(crate) fn mend(
        &self,
        plan: Option<u64>,
        a: &Selector,
        b: &Selector,
    ) -> Result<(), ControlError> {
        let (from, to) = (machines(a)?, machines(b)?);
        net::mend(plan, &from, &to);
        net::mend(plan, &to, &from);
        link_changed(Change::Mended, &from, &to);
        link_changed(Change::Mended, &to, &from);
        log::say(Level::Fault, Scope::HARNESS.machine, || {
            format!("the cut between {a} and {b} heals")
        });
        Ok(())
    }

    /// Joins all that was cut.
    pub fn heal_all(&self) {
        net::mend_all();
        link_changed(Change::AllMended, &[], &[]);
        log::say(Level::Fault, Scope::HARNESS.machine, || "all partitions heal".to_owned());
    }

    /// Clogs the way from one group of machines to another: what is sent is held, and goes on in order once it is
    /// [unclogged](Self::unclog). Nothing is lost.
    ///
    /// # Errors
    ///
    /// When no machine has such a name.
    pub fn clog(
        &self,
        from: impl Into<Selector>,
        to: impl Into<Selector>,
    ) -> Result<(), ControlError> {
        let (from, to) = (from.into(), to.into());
        let (sending, receiving) = (machines(&from)?, machines(&to)?);
        if !may_act(&sending, || format!("the way from {from} to {to} is clogged")) {
            return Ok(());
        }
        net::clog(&sending, &receiving);
        link_changed(Change::Clogged, &sending, &receiving);
        engine::fault(Effect::Clog, None, || format!("the way from {from} to {to} is clogged"));
        Ok(())
    }

    /// Lets packets go on that a clog has held, and all that are sent from now on.
    ///
    /// # Errors
    ///
    /// When no machine has such a name.
    pub fn unclog(
        &self,
        from: impl Into<Selector>,
        to: impl Into<Selector>,
    ) -> Result<(), ControlError> {
        let (from, to) = (from.into(), to.into());
        let (sending, receiving) = (machines(&from)?, machines(&to)?);
        net::unclog(&sending, &receiving);
        link_changed(Change::Unclogged, &sending, &receiving);
        log::say(Level::Fault, Scope::HARNESS.machine, || {
            format!("the way from {from} to {to} is free again")
        });
        Ok(())
    }

    /// Lays a rule on what some machines send to others: `choose` is asked about each packet when it is sent. The rule is
    /// lifted when what comes back is dropped, and by [`settle`](Self::settle). `choose` must not use the network.
    ///
    /// ```
    /// # use simmach::prelude::*;
    /// # use simmach::net::PacketFate;
    /// # fn of(sim: Sim) -> Result {
    /// // The third segment with data from api1 to cl is lost.
    /// let mut data = 0;
    /// let rule = sim.filter_packets("api1.public", "cl.internal", move |packet| {
    ///     data += u64::from(packet.protocol == "tcp" && packet.length > 0);
    ///     if packet.length > 0 && data == 3 { PacketFate::Drop } else { PacketFate::Pass }
    /// })?;
    /// # drop(rule);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// When no machine has such a name.
    ///
    /// # Panics
    ///
    /// Outside a run.
    pub fn filter_packets(
        &self,
        from: impl Into<Selector>,
        to: impl Into<Selector>,
        choose: impl FnMut(&PacketInfo<'_>) -> PacketFate + 'static,
    ) -> Result<PacketFilter, ControlError> {
        let (from, to) = (machines(&from.into())?, machines(&to.into())?);
        let rule = net::filter_packets(&from, &to, Box::new(choose));
        Ok(rule.expect("simmach::Sim::filter_packets was called outside a run"))
    }

    /// Gives what some machines send to others another profile than their zones' link has, from now on; one way.
    ///
    /// # Errors
    ///
    /// When no machine has such a name.
    pub fn set_link_between(
        &self,
        from: impl Into<Selector>,
        to: impl Into<Selector>,
        profile: NetworkProfile,
    ) -> Result<(), ControlError> {
        let (from, to) = (machines(&from.into())?, machines(&to.into())?);
        net::set_pair_profile(&from, &to, &profile);
        link_changed(Change::Profile, &from, &to);
        Ok(())
    }

    /// Gives the link from one zone to another another profile, for what is sent from now on; one way. Until
    /// [`settle`](Self::settle), which gives back what the topology says.
    ///
    /// # Errors
    ///
    /// When there is no such zone.
    pub fn set_link(
        &self,
        from_zone: &str,
        to_zone: &str,
        profile: NetworkProfile,
    ) -> Result<(), ControlError> {
        net::set_profile(from_zone, to_zone, profile)
            .map_err(|error| ControlError::NoLink(error.to_string()))?;
        let zones = mix(mix_text(from_zone), mix_text(to_zone));
        engine::trace(TraceKind::Link, Change::Profile as u64, zones, &[]);
        Ok(())
    }

    /// Sets the clocks of machines, from now on: how far the wall clock is off, and how fast both run. What runs there sees
    /// it in [`time`](crate::time) and in std's `Instant` and `SystemTime`; [`settle`](Self::settle) sets all right again.
    ///
    /// # Errors
    ///
    /// When no machine has such a name.
    pub fn set_clock(
        &self,
        selector: impl Into<Selector>,
        clock: Clock,
    ) -> Result<(), ControlError> {
        for machine in machines(&selector.into())? {
            set_clock(machine, clock);
        }
        Ok(())
    }

    /// The sockets of a machine, as `ss` shows them. None for a machine that isn't there.
    pub fn sockets(&self, machine: &str) -> Vec<SocketEntry> {
        let machines = machine::machines(&Selector::from(machine));
        machines.into_iter().flat_map(net::sockets).collect()
    }

    /// Begins to capture the packets that machines send to each other from now on. It changes nothing of the run.
    pub fn capture(&self) {
        net::capture();
    }

    /// What was captured until now, as the octets of a pcapng file: one interface for each machine, which shows what it
    /// sends, in virtual time. `None` when no [`capture`](Self::capture) was begun.
    ///
    /// ```
    /// # use simmach::prelude::*;
    /// # fn at_the_end(sim: Sim) -> std::io::Result<()> {
    /// if let Some(octets) = sim.captured() {
    ///     std::fs::write("run.pcapng", octets)?;
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn captured(&self) -> Option<Vec<u8>> {
        net::captured()
    }

    /// Ends all that breaks, whoever broke it: plans end with every task they have spawned, partitions and clogs heal,
    /// rules on packets are lifted, links have the topology's profiles again, clocks are set right, machines have power,
    /// and what is down is started, but for services that returned by themselves. Clients, those that plans run among
    /// them, go on. Then gives the cluster a second of virtual time, so that it has been polled and packets on the wire
    /// have arrived.
    ///
    /// A plan's task that calls this goes on; all others of its plan are over.
    ///
    /// # Errors
    ///
    /// None today; it may have some when more can be broken.
    pub async fn settle(&self) -> Result<(), ControlError> {
        context::try_with(|engine| engine.drop_others(ProcessId::HARNESS));
        net::mend_all();
        net::unclog_all();
        net::clear_filters();
        if net::restore_links() {
            engine::trace(TraceKind::Link, Change::Profile as u64, 0, &[]);
        }
        machine::machines(&Selector::all()).into_iter().for_each(|m| set_clock(m, Clock::exact()));
        machine::end_stopping();
        machine::start_rest();
        log::say(Level::Fault, Scope::HARNESS.machine, || "all is healed and started".to_owned());
        crate::time::sleep(Duration::from_secs(1)).await;
        Ok(())
    }

    /// Numbered steps, each with choices of its own that the seed makes.
    pub fn steps(&self, count: u64) -> Steps {
        let task = engine::scope().map_or(0, |scope| scope.task);
        let is_body = context::try_with(|engine| engine.current_task() == engine.body());
        let of =
            if is_body == Some(true) { mix_text("steps") } else { mix(mix_text("steps"), task) };
        let nth = with(|world| {
            let nth = world.walks.entry(of).or_default();
            *nth += 1;
            *nth
        });
        Steps::new(mix(of, nth.unwrap_or(0)), count)
    }

    /// A number of the seed's choice, in a range; calm is the smallest.
    pub fn choose<T: WholeNumber>(&self, range: std::ops::Range<T>) -> T {
        Chooser::of_task().choose(range)
    }

    /// One of several, of the seed's choice; calm is the first.
    ///
    /// # Panics
    ///
    /// If there is none.
    pub fn pick<'a, T>(&self, among: &'a [T]) -> &'a T {
        Chooser::of_task().pick(among)
    }

    /// True with probability `p`; calm is false.
    pub fn flag(&self, p: f64) -> bool {
        Chooser::of_task().flag(p)
    }

    /// Fails the run, under a name by which this failure is known whatever its words.
    pub fn fail(&self, key: &str, message: impl fmt::Display) {
        let kind = FailureKind::Named(key.to_owned());
        let message = message.to_string();
        context::try_with(|engine| engine.fail_run(Failure::new(kind, message)));
    }

    /// Memory of the run outside all machines, one for each type: for what an oracle knows and no crash takes away.
    ///
    /// # Panics
    ///
    /// Never: what is kept under a type is of that type.
    pub fn state<T: Default + 'static>(&self) -> Rc<T> {
        let found = with(|world| world.memory.get(&TypeId::of::<T>()).cloned()).flatten();
        let memory = found.unwrap_or_else(|| {
            let new: Rc<dyn Any> = Rc::new(T::default());
            with(|world| world.memory.insert(TypeId::of::<T>(), Rc::clone(&new)));
            new
        });
        memory.downcast().expect("it is kept under its own type")
    }
}

impl fmt::Debug for Sim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sim").field("seed", &self.seed).finish()
    }
}

pub(crate) fn install(seed: u64, body: MachineId) -> Sim {
    let (clients, memory) = (BTreeMap::new(), BTreeMap::new());
    let (walks, acts, spared) = (BTreeMap::new(), BTreeMap::new(), BTreeSet::new());
    let world = World { seed, body, named: Vec::new(), clients, memory, walks, acts, spared };
    WORLD.with(|slot| slot.install(world));
    Sim { seed }
}

/// Dropped outside of the slot: it holds what is the user's.
pub(crate) fn remove() {
    drop(WORLD.with(Slot::remove));
}

/// A plan that has a name is told apart by it.
pub(crate) fn add_plan(task: u64, name: &'static str) {
    if name != A_PLAN {
        with(|world| world.named.push(Named { task, name, acts: 0 }));
    }
}

/// The plans that have names, and how often each did something to the cluster.
pub(crate) fn acts() -> Vec<(String, u64)> {
    let acts = |world: &mut World| {
        world.named.iter().map(|plan| (plan.name.to_owned(), plan.acts)).collect()
    };
    with(acts).unwrap_or_default()
}

/// Something is to be done to the cluster. If a plan does it, it is not idle; if it is a plan of the user's own, the overlay
/// may leave it out: then false.
pub(crate) fn may_act(machines: &[MachineId], text: impl Fn() -> String) -> bool {
    let Some(scope) = engine::scope() else { return true };
    let of_a_plan = with(|world| {
        if let Some(plan) = world.named.iter_mut().find(|plan| plan.task == scope.task) {
            plan.acts += 1;
            return None;
        }
        // The test's body and its clients do what they do: what varies there is what they choose.
        (scope.process == ProcessId::HARNESS).then(|| {
            let nth = world.acts.entry(scope.task).or_default();
            *nth += 1;
            *nth
        })
    });
    let Some(nth) = of_a_plan.flatten() else { return true };
    if !engine::happens(Family::Act, scope.task, nth, 0) {
        return false;
    }
    engine::deviates(|| Deviation {
        machine: machines.first().copied(),
        text: text(),
        ..Deviation::new(Family::Act, [scope.task, nth, 0], Kind::Strike, 1, engine::now())
    });
    machines.iter().copied().for_each(engine::touches);
    true
}

fn spare(machines: Vec<MachineId>) {
    with(|world| world.spared.extend(machines));
}

/// Whether one of them would be down, had the overlay not spared it. From now on none would.
fn unspare(machines: &[MachineId]) -> bool {
    let unspare = |world: &mut World| {
        machines.iter().filter(|machine| world.spared.remove(machine)).count() > 0
    };
    with(unspare).unwrap_or(false)
}

/// The machines of what a selector means, services too.
fn machines_of(selector: &Selector) -> Vec<MachineId> {
    let mut machines: Vec<_> =
        machine::services(selector).into_iter().map(|service| service.machine).collect();
    machines.dedup();
    machines
}

fn with<R>(f: impl FnOnce(&mut World) -> R) -> Option<R> {
    WORLD.try_with(|slot| slot.with(f)).ok().flatten()
}

/// What a selector means that can be started and ended.
struct Meant {
    services: Vec<ServiceId>,
    /// Those that are meant as a whole.
    machines: Vec<MachineId>,
    /// Those that run there, but for the body.
    clients: Vec<ProcessId>,
}

fn meant(selector: &Selector) -> Result<Meant, ControlError> {
    let is_nothing = |one: &Selector| {
        machine::services(one).is_empty() && machine::whole_machines(one).is_empty()
    };
    if let Some(nothing) = selector.each().find(is_nothing) {
        return Err(no_match(&nothing));
    }
    let machines = machine::whole_machines(selector);
    let clients = machines.iter().copied().flat_map(machine::clients_of).collect();
    Ok(Meant { services: machine::services(selector), machines, clients })
}

impl Meant {
    /// The body is not ended: to mean it alone is a mistake.
    fn but_the_body(self) -> Result<Self, ControlError> {
        match machine::body() {
            Some(body)
                if self.machines == [body]
                    && self.services.is_empty()
                    && self.clients.is_empty() =>
            {
                Err(ControlError::Body(name_of(body).unwrap_or_default()))
            }
            Some(_) | None => Ok(self),
        }
    }

    /// The machines of its services, and those that have clients only.
    fn hit(&self) -> Vec<MachineId> {
        let mut hit: Vec<_> = self.services.iter().map(|service| service.machine).collect();
        hit.dedup();
        let all = self.machines.iter().copied();
        hit.extend(all.filter(|machine| {
            machine::services_of(*machine).is_empty() && !machine::clients_of(*machine).is_empty()
        }));
        hit
    }

    fn runs(&self) -> bool {
        let mut services = self.services.iter();
        !self.clients.is_empty() || services.any(|id| machine::process_of(*id).is_some())
    }

    /// All that runs of it is to end and to stay down.
    fn take(self) -> Vec<ProcessId> {
        let mut running = machine::take(&self.services, None);
        running.extend(self.clients);
        running
    }
}

fn machines(selector: &Selector) -> Result<Vec<MachineId>, ControlError> {
    match selector.each().find(|one| machine::machines(one).is_empty()) {
        Some(none) => Err(no_match(&none)),
        None => Ok(machine::machines(selector)),
    }
}

/// What became of the way between two groups of machines, or two zones, for the trace.
#[derive(Clone, Copy)]
enum Change {
    Cut,
    Mended,
    AllMended,
    Clogged,
    Unclogged,
    Profile,
}

fn link_changed(change: Change, from: &[MachineId], to: &[MachineId]) {
    let ids = from.iter().chain(to).flat_map(|machine| machine.0.to_le_bytes());
    let ids: Vec<u8> = ids.collect();
    engine::trace(TraceKind::Link, change as u64, from.len() as u64, &ids);
}

/// Sets one machine's clocks; what it changed is a fault, unless it sets them right.
fn set_clock(machine: MachineId, clock: Clock) {
    let changed = context::try_with(|engine| {
        let dials = &engine.clock.dials;
        let changes = clock != Clock::exact() || dials.is_wrong(machine);
        changes.then(|| dials.set(machine, engine.clock.now(), clock))
    });
    let Some(changed) = changed.flatten() else { return };
    engine::trace(TraceKind::Machine, u64::from(machine.0), 5, &changed.step.to_le_bytes());
    let name = name_of(machine).unwrap_or_default();
    if clock == Clock::exact() {
        return log::say(Level::Fault, machine, || format!("the clocks of {name} are set right"));
    }
    let by = Duration::from_nanos(changed.step.unsigned_abs());
    if changed.step > 0 {
        engine::fault(Effect::ClockStep, Some(machine), || {
            format!("the wall clock of {name} jumps ahead by {by:?}")
        });
    } else if changed.step < 0 {
        engine::fault(Effect::ClockStep, Some(machine), || {
            format!("the wall clock of {name} jumps back by {by:?}")
        });
    }
    if let Some(ppm) = changed.drift {
        engine::fault(Effect::ClockDrift, Some(machine), || {
            format!("the clocks of {name} drift by {ppm} millionths")
        });
    }
}

fn name_of(machine: MachineId) -> Option<String> {
    context::try_with(|engine| engine.name(machine)).flatten()
}

fn no_match(selector: &Selector) -> ControlError {
    let known = machine::machines(&Selector::all()).into_iter().filter_map(name_of);
    ControlError::NoMatch {
        selector: selector.to_string(),
        known: known.collect::<Vec<_>>().join(", "),
    }
}
