//! Plans that break the cluster while a test runs.
//!
//! A plan is an async function that takes [`Sim`]. The plans in this module choose among the
//! running machines, and restore only what they took down themselves. They hit the machine of the
//! test's body only if it is named.

mod monkey;
mod pace;
mod partitions;
mod power_offs;
mod swarm;

use futures::FutureExt;
use futures::future::LocalBoxFuture;

use crate::engine::{MachineId, context};
use crate::machine::{self, Selector, Termination};
use crate::sim::{self, A_PLAN, Idle, Sim};

pub use crate::chaos::monkey::GracefulMonkey;
pub use crate::chaos::pace::DurationRange;
use crate::chaos::pace::Strike;
pub use crate::chaos::partitions::Partitions;
pub use crate::chaos::power_offs::PowerOffs;
pub use crate::chaos::swarm::{Hardship, Swarm};

/// Something that breaks the cluster and may restore it.
///
/// Every closure `async |sim: Sim| …` is a plan.
pub trait Plan: 'static {
    /// Runs the plan until it returns, the run ends, or [`Sim::settle`] ends it. An error fails the
    /// run.
    fn run(self: Box<Self>, sim: Sim) -> LocalBoxFuture<'static, Result<(), String>>;

    /// Returns the errors in the plan's settings. `machines` contains the names of all machines. A
    /// test with such errors is not run.
    fn mistakes(&self, machines: &[&str]) -> Vec<String> {
        let _ = machines;
        Vec::new()
    }

    /// The plan's name in reports.
    fn name(&self) -> &'static str {
        A_PLAN
    }

    /// The plan's settings as text. A replay token is rejected if they have changed since it was written.
    fn settings(&self) -> String {
        String::new()
    }
}

impl<F, R> Plan for F
where
    F: AsyncFnOnce(Sim) -> R + 'static,
    R: Termination,
{
    fn run(self: Box<Self>, sim: Sim) -> LocalBoxFuture<'static, Result<(), String>> {
        async move { (*self)(sim).await.into_result() }.boxed_local()
    }
}

/// Returns what is wrong with the ranges of a library's plan, and with the machines that it names.
fn mistakes(
    ranges: &[(&str, Option<DurationRange>)],
    named: Option<&Selector>,
    machines: &[&str],
) -> Vec<String> {
    let upside_down = ranges.iter().filter_map(|(of, range)| (*range)?.mistake(of));
    let unknown = named.into_iter().flat_map(|named| named.mistakes("`machines`", machines));
    upside_down.chain(unknown).collect()
}

/// Returns the machines that a plan may hit: the named ones, or else all that have services, except the machine of the
/// test's body.
fn candidates(sim: Sim, named: Option<&Selector>) -> Vec<String> {
    match named {
        Some(selector) => sim.machines(selector),
        None => machine::with_services(),
    }
}

/// What a plan needs in order to act at all.
#[derive(Clone, Copy, Debug)]
enum Needs {
    /// A machine with services. The machine of the test's body counts only if it is named.
    Victim { body: bool },
    /// Two machines.
    TwoSides,
}

/// Records the reason if the running plan cannot act.
fn note_too_few(sim: Sim, named: Option<&Selector>, needs: Needs) {
    let body = machine::body_machine();
    let number = |name: &String| machine::machines(&Selector::from(name)).first().copied();
    let mut there = candidates(sim, named);
    let (least, what) = match needs {
        Needs::Victim { body: may } => {
            there.retain(|name| {
                let machine = number(name);
                let serves =
                    machine.is_some_and(|machine| !machine::services_of(machine).is_empty());
                serves && (may || machine != body)
            });
            (1, "the plan needs a machine that has services and that the plan may take down")
        }
        Needs::TwoSides => (2, "the plan needs at least two machines that it may separate"),
    };
    if there.len() >= least {
        return;
    }
    let there = match there.first() {
        Some(only) => format!("only `{only}` qualifies"),
        None => "no machine qualifies".to_owned(),
    };
    let name = |body| context::try_with(|engine| engine.name(body)).flatten();
    let body = body.and_then(name).unwrap_or_default();
    let cure = match (named, needs) {
        (None, Needs::Victim { body: false }) => format!(
            "the machine of the test's body, `{body}`, is never hit; add machines with services"
        ),
        (None, Needs::Victim { body: true } | Needs::TwoSides) => format!(
            "the machine of the test's body, `{body}`, is excluded by default; include this machine with `machines`, or add \
             machines"
        ),
        (Some(_), Needs::Victim { body: false }) => format!(
            "the machine of the test's body, `{body}`, is never hit; name more machines with `machines`"
        ),
        (Some(_), Needs::Victim { body: true } | Needs::TwoSides) => {
            "name more machines with `machines`".to_owned()
        }
    };
    sim::record_idle(Idle::TooFew(format!("{what}, but {there}: {cure}")));
}

/// Draws one of the running machines that satisfy `may`, from the strike's field `field`. Returns `None` if none of them is
/// running.
fn victim_of(
    sim: Sim,
    named: Option<&Selector>,
    strike: Strike,
    field: u64,
    may: impl Fn(MachineId) -> bool,
) -> Option<(MachineId, String)> {
    let number = |name: &String| machine::machines(&Selector::from(name)).first().copied();
    let mut up = candidates(sim, named);
    up.retain(|name| sim.is_up(name) && number(name).is_some_and(&may));
    if up.is_empty() {
        sim::record_idle(Idle::AllDown);
    }
    let chosen = strike.below(field, up.len() as u64);
    let drawn = usize::try_from(chosen).ok().and_then(|chosen| up.get(chosen));
    match strike.said_victim() {
        Some(said) => {
            up.iter().find(|name| number(name) == Some(said)).map(|name| (said, name.clone()))
        }
        None => drawn.and_then(|name| Some((number(name)?, name.clone()))),
    }
}
