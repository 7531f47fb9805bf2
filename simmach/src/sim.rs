//! [`Sim`]: the control over the simulated cluster, for tests and plans. Code under test does not
//! use it.

pub(crate) mod acts;
mod core;
mod disks;
mod links;
mod look;
mod machines;
pub(crate) mod own_faults;
pub(crate) mod points;
mod roles;
mod versions;
pub(crate) mod world;

use std::any::{Any, TypeId};
use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use crate::choice::{Chooser, SampleUniform, Steps};
use crate::engine::acts::Act;
use crate::engine::failure::verdict::{Failure, FailureKind};
use crate::engine::log::{self, Level};
use crate::engine::time::machine_clocks::ClockSkew;
use crate::engine::{self, Event, ProcessId, Scope, context, mix, mix_text, steps};
use crate::machine::{self, Selector};
use crate::net;
pub use crate::sim::disks::DiskSnapshot;
pub(crate) use crate::sim::links::partitioned;
pub use crate::sim::look::Machine;
use crate::sim::machines::set_clock;
pub(crate) use crate::sim::machines::{has_exact_clocks, name_of};
pub use crate::sim::points::AtPoint;
use crate::sim::world::with;
pub(crate) use crate::sim::world::{
    Idle, Kinds, PlanActivity, Want, add_plan, install, is_hit, part_of_plan, record_idle,
    record_idle_of, record_kinds, record_want, release_hits, remove, request_fault, take_hits,
    take_plan_activity,
};

/// Name of plans without their own name.
pub(crate) const A_PLAN: &str = "a plan";

/// A common grace period for [`Sim::stop`]: how long a service may take to stop before it is killed.
///
/// ```no_run
/// # use simmach::prelude::*;
/// # async fn plan(sim: Sim) -> Result {
/// sim.stop("api1", GRACE).await?;
/// # Ok(())
/// # }
/// ```
pub const GRACE: Duration = Duration::from_secs(2);

/// Control over the simulated cluster: machines, network, clocks, and the test's random choices.
///
/// Tests and plans receive one as their argument. Helper functions can get it with [`Sim::current`]. All copies control the
/// same run.
///
/// Methods that take a [`Selector`] accept a machine's name, a pattern such as `"api*"`, or a list of them.
#[derive(Clone, Copy)]
pub struct Sim {
    seed: u64,
}

/// An error of a method of [`Sim`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ControlError {
    /// No machine or service matches the selector.
    #[error("no machine or service matches `{selector}`; known machines: {known}")]
    NoMatch {
        /// The selector.
        selector: String,
        /// The names of all machines.
        known: String,
    },
    /// All matching services are running already.
    #[error("`{0}` is already running")]
    AlreadyRunning(String),
    /// The disk cannot be wiped or replaced while a service runs on the machine.
    #[error(
        "cannot wipe or replace the disk of `{0}`: a service is running on this machine; stop the service first"
    )]
    InUse(String),
    /// The disk cannot be wiped or replaced while a client of [`Sim::run_on`] runs on the machine.
    #[error(
        "cannot wipe or replace the disk of `{0}`: a client of `Sim::run_on` is running on this machine; stop the client first"
    )]
    ClientRuns(String),
    /// The machine of the test's body cannot be stopped, powered off or wiped.
    #[error(
        "`{0}` is the machine of the test's body, which cannot be stopped, powered off or wiped: name other machines"
    )]
    Body(String),
    /// A link's profile has arguments that are out of range.
    #[error("invalid link profile: {0}")]
    Profile(String),
    /// The clock settings are out of range.
    #[error("cannot set the clocks of `{selector}`: {why}")]
    Clock {
        /// The selector.
        selector: String,
        /// What is wrong, and what is allowed.
        why: String,
    },
    /// The quota of a slow CPU is zero, or not shorter than its period.
    #[error(
        "cannot slow down the CPU of `{selector}` to {quota:?} of each {period:?}: the quota must be longer than zero \
         and shorter than the period"
    )]
    Cpu {
        /// The selector.
        selector: String,
        /// How long processes would run in each period.
        quota: Duration,
        /// The period.
        period: Duration,
    },
    /// The core has no machines, or more machines than match.
    #[error(
        "cannot heal a core of {n} of `{selector}`, which matches {machines}: give 1 to {machines}"
    )]
    Core {
        /// The selector.
        selector: String,
        /// The size of the core.
        n: usize,
        /// Number of machines that match.
        machines: usize,
    },
    /// The zones do not exist, or there is no link between them.
    #[error("{0}")]
    NoLink(String),
    /// Copying, deleting or writing the files of a simulated disk failed.
    #[error("cannot copy, wipe or replace the disk of `{machine}`: {error}")]
    Disk {
        /// The name of the machine.
        machine: String,
        /// The error of the operating system.
        error: String,
    },
}

impl Sim {
    /// Returns the `Sim` of the current run.
    ///
    /// # Panics
    ///
    /// If called outside a run.
    pub fn current() -> Self {
        let seed = with(|world| world.seed);
        Self { seed: seed.expect("simmach::Sim::current() was called outside a run") }
    }

    /// Returns the seed of the run.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// Returns the virtual time since the run began.
    ///
    /// The test's body begins when all machines have booted: up to 50 ms after the run, unless the hardware of all machines
    /// [is identical](crate::program::Scenario::identical_hardware).
    pub fn elapsed(&self) -> Duration {
        Duration::from_nanos(engine::now())
    }

    /// Writes a line to the log of the run. The line shows the machine whose code calls this method, such as the machine of
    /// the test's body. For plans, which do not run on a machine, it shows `harness`.
    pub fn log(&self, text: impl fmt::Display) {
        let scope = engine::scope().unwrap_or(Scope::HARNESS);
        log::write_value(Level::Info, scope.machine, &text);
    }

    /// Ends all plans, repairs all faults and starts everything that is down.
    ///
    /// In detail:
    ///
    /// - Plans end, with all tasks that they spawned. If a plan calls this, the calling task continues.
    /// - Partitions heal, clogs are released, packet filters are removed, and impairments of links end.
    /// - Links get back the profiles of the topology, and clocks are reset.
    /// - Paused processes resume, and slow CPUs are as fast as usual.
    /// - Faults of disks end, and a power failure at a later call is cancelled. Disks that were wiped or replaced stay so.
    /// - All machines get power, and all services are started, except those that returned by themselves.
    /// - Clients continue, including those that plans started.
    ///
    /// Then waits for one second of virtual time, so that started services have run and packets in flight have arrived.
    ///
    /// # Errors
    ///
    /// Currently, this method does not fail. The result leaves room for faults whose repair can fail.
    pub async fn settle(&self) -> Result<(), ControlError> {
        let is_plan = engine::scope().is_some_and(|scope| scope.process == ProcessId::HARNESS);
        if !is_plan {
            context::try_with(|engine| engine.acts.end_script(engine));
        }
        acts::perform(None, &Act::Settle, || acts::describe(&Act::Settle));
        crate::time::sleep(Duration::from_secs(1)).await;
        Ok(())
    }

    /// Returns an iterator over `count` numbered steps.
    ///
    /// Each step has random choices of its own ([`Step::random_range`](crate::Step::random_range) and others). When a failing
    /// run is shrunk, steps are left out one by one; the choices of the remaining steps stay the same.
    ///
    /// ```no_run
    /// # use simmach::prelude::*;
    /// # fn of(sim: Sim) {
    /// for step in sim.steps(40) {
    ///     let amount = step.random_range(1..100u64);
    ///     sim.log(format!("step {}: transfer {amount}", step.number()));
    /// }
    /// # }
    /// ```
    pub fn steps(&self, count: u64) -> Steps {
        let task = engine::scope().map_or(0, |scope| scope.task);
        let is_body = context::try_with(|engine| engine.current_task() == engine.body());
        let source =
            if is_body == Some(true) { mix_text("steps") } else { mix(mix_text("steps"), task) };
        // A sequence within a step is counted in the step.
        let source = match steps::own_step() {
            0 => source,
            step => mix(source, step),
        };
        let nth = with(|world| {
            let nth = world.sequences.entry(source).or_default();
            *nth += 1;
            *nth
        });
        Steps::new(mix(source, nth.unwrap_or(0)), count)
    }

    /// Returns a random integer in `range`, drawn from the seed. Shrinking prefers the smallest.
    ///
    /// An empty range ends the run with an error that is neither a pass nor a failure.
    #[track_caller]
    pub fn random_range<T: SampleUniform>(&self, range: std::ops::Range<T>) -> T {
        Chooser::of_task().random_range(range)
    }

    /// Returns a random element of `among`, drawn from the seed. Shrinking prefers the first.
    ///
    /// # Panics
    ///
    /// If `among` is empty.
    #[track_caller]
    pub fn choose<'a, T>(&self, among: &'a [T]) -> &'a T {
        Chooser::of_task().choose(among)
    }

    /// Returns `true` with probability `p`, drawn from the seed. Shrinking prefers `false`.
    ///
    /// A `p` outside 0 to 1 ends the run with an error that is neither a pass nor a failure.
    #[track_caller]
    pub fn random_bool(&self, p: f64) -> bool {
        Chooser::of_task().random_bool(p)
    }

    /// Fails the run with a message.
    ///
    /// `key` identifies the failure: failures with the same key count as the same failure, whatever their messages are.
    pub fn fail(&self, key: &str, message: impl fmt::Display) {
        let kind = FailureKind::Named(key.to_owned());
        let message = message.to_string();
        context::try_with(|engine| engine.fail_run(Failure::new(kind, message)));
    }

    /// Returns a value that belongs to the run rather than to a machine. There is one for each type, created with `Default`.
    ///
    /// Crashes do not affect it. It is meant for what a test's oracle knows, such as the writes that were acknowledged.
    pub fn state<T: Default + 'static>(&self) -> Rc<T> {
        let found = with(|world| world.memory.get(&TypeId::of::<T>()).cloned()).flatten();
        let memory = found.unwrap_or_else(|| {
            let new: Rc<dyn Any> = Rc::new(T::default());
            with(|world| world.memory.insert(TypeId::of::<T>(), Rc::clone(&new)));
            new
        });
        let Ok(memory) = memory.downcast() else {
            unreachable!("values are stored under their own type")
        };
        memory
    }
}

/// Ends all plans but the running task, repairs all faults and starts everything that is down.
fn repair_everything() {
    let ended = context::try_with(|engine| engine.drop_other_tasks(ProcessId::HARNESS));
    let mut changed = ended == Some(true);
    changed |= net::control::heal_all();
    changed |= net::control::unclog_all();
    changed |= net::control::clear_filters();
    changed |= net::control::end_impairments();
    if net::control::restore_links() {
        engine::trace(Event::LinksRestored);
        changed = true;
    }
    for machine in machine::machines(&Selector::all()) {
        changed |= set_clock(machine, ClockSkew::exact());
        changed |= machine::resume(machine);
        changed |= machine::restore_cpu(machine);
        changed |= machine::repair_disk(machine);
        changed |= machine::cancel_power_off_at_call(machine);
    }
    changed |= context::try_with(|engine| engine.points.clear_pending()) == Some(true);
    changed |= own_faults::undo_all();
    changed |= machine::end_stopping();
    changed |= machine::start_remaining();
    if changed {
        let text = || "cluster settled: all faults repaired, all services started".to_owned();
        log::write_line(Level::Fault, Scope::HARNESS.machine, text);
    }
}

impl fmt::Debug for Sim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sim").field("seed", &self.seed).finish()
    }
}
