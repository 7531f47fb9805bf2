//! The control of the world: what a test and a plan hold, and no code under test sees.

mod links;
mod look;
mod machines;
mod world;

use std::any::{Any, TypeId};
use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use crate::choice::{Chooser, Steps, WholeNumber};
use crate::engine::failure::verdict::{Failure, FailureKind};
use crate::engine::record::log::{self, Level};
use crate::engine::time::machine_clocks::ClockSkew;
use crate::engine::{self, Event, ProcessId, Scope, context, mix, mix_text};
use crate::machine::{self, Selector};
use crate::net;
pub(crate) use crate::sim::links::partitioned;
pub use crate::sim::look::Machine;
use crate::sim::machines::set_clock;
use crate::sim::world::with;
pub(crate) use crate::sim::world::{
    Idle, PlanActs, acts, add_plan, install, may_act, note_idle, remove,
};

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
    #[error("no machine or service matches `{selector}`; known machines: {known}")]
    NoMatch {
        /// What was asked for.
        selector: String,
        /// The names there are.
        known: String,
    },
    /// All that were meant are up already.
    #[error("`{0}` is already running")]
    AlreadyRunning(String),
    /// Its disk is in use.
    #[error("cannot wipe the disk of `{0}`: a service is running there; stop it first")]
    InUse(String),
    /// Its disk is in use by a client that [`Sim::run_on`] made.
    #[error("cannot wipe the disk of `{0}`: a client of `run_on` is running there; stop it first")]
    ClientRuns(String),
    /// The test itself would end, or lose its disk.
    #[error(
        "the test's body runs on `{0}`, which cannot be stopped, powered off or wiped; name other machines"
    )]
    Body(String),
    /// No clock can be set like that.
    #[error("the clocks of `{selector}` cannot be set: {why}")]
    Clock {
        /// Which machines were meant.
        selector: String,
        /// Why, and what is allowed.
        why: String,
    },
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
        log::write_value(Level::Info, Scope::HARNESS.machine, &text);
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
        let ended = context::try_with(|engine| engine.drop_other_tasks(ProcessId::HARNESS));
        let mut changed = ended == Some(true);
        changed |= net::control::mend_all();
        changed |= net::control::unclog_all();
        changed |= net::control::clear_filters();
        if net::control::restore_links() {
            engine::trace(Event::LinksRestored);
            changed = true;
        }
        for machine in machine::machines(&Selector::all()) {
            changed |= set_clock(machine, ClockSkew::exact());
        }
        changed |= machine::end_stopping();
        changed |= machine::start_rest();
        if changed {
            let text = || "cluster settled: all faults healed, all services started".to_owned();
            log::write_line(Level::Fault, Scope::HARNESS.machine, text);
        }
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
