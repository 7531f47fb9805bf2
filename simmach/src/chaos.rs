//! Plans that break the cluster while a test runs.
//!
//! A plan is an async function that takes [`Sim`]. The plans in this module choose among the
//! running machines, and restore only what they took down themselves. They hit the machine of the
//! test's body only if it is named.

mod budget;
mod cadence;
mod combined;
mod fault;
mod fault_plan;
pub mod faults;
mod hit;
mod monkey;
mod pace;
mod partitions;
mod power_offs;
mod strike;
mod swarm;
mod target;
mod upgrade;

use std::rc::Rc;

use futures::FutureExt;
use futures::future::LocalBoxFuture;

use crate::machine::{self, Termination};
use crate::sim::{self, A_PLAN, Idle, Sim, name_of};

pub use crate::chaos::budget::Budget;
pub use crate::chaos::cadence::Cadence;
pub use crate::chaos::combined::{InSequence, OneOf, SideBySide};
pub use crate::chaos::fault::Fault;
pub use crate::chaos::fault_plan::FaultPlan;
pub use crate::chaos::hit::Hit;
pub use crate::chaos::monkey::GracefulMonkey;
pub use crate::chaos::pace::DurationRange;
pub use crate::chaos::partitions::Partitions;
pub use crate::chaos::power_offs::PowerOffs;
pub(crate) use crate::chaos::strike::{register, within};
pub use crate::chaos::swarm::{Hardship, Swarm};
pub use crate::chaos::target::Target;
pub use crate::chaos::upgrade::RollingUpgrade;

/// A plan that breaks the cluster and may repair it.
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

    /// Whether the plan ends by itself.
    fn ends(&self) -> bool {
        true
    }

    /// The plans that this plan consists of.
    fn parts(&self) -> Vec<&dyn Plan> {
        Vec::new()
    }

    /// The faults that the plan causes.
    ///
    /// It must contain all faults that the test itself defines: a failing run is replayed without
    /// its plans, so only these faults can occur again.
    fn faults(&self) -> Vec<Rc<dyn Fault>> {
        Vec::new()
    }

    /// The plan's settings as text.
    ///
    /// A replay token is rejected if the settings have changed since it was written.
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

/// Returns the mistakes in the ranges and the target of a library's plan.
fn mistakes(
    ranges: &[(&str, Option<DurationRange>)],
    target: &Target,
    machines: &[&str],
) -> Vec<String> {
    let upside_down = ranges.iter().filter_map(|(of, range)| (*range)?.mistake(of));
    upside_down.chain(target.mistakes(machines)).collect()
}

/// What a plan needs to be able to act.
#[derive(Clone, Copy, Debug)]
enum Needs {
    /// A machine with services. The machine of the test's body counts only if it is named.
    Victim { body: bool },
    /// Two machines.
    TwoSides,
}

/// Records what the running plan needs of the program, and the reason if it cannot act.
fn note_needs(target: &Target, needs: Needs) {
    target.note_wants();
    let body = machine::body_machine();
    let mut there = target.candidates();
    let (least, what) = match needs {
        Needs::Victim { body: may } => {
            there.retain(|machine| {
                let serves = !machine::services_of(*machine).is_empty();
                serves && (may || Some(*machine) != body)
            });
            (1, "the plan needs a machine that has services and that the plan may take down")
        }
        Needs::TwoSides => (2, "the plan needs at least two machines that it may separate"),
    };
    if there.len() >= least {
        return;
    }
    let there = match there.first() {
        Some(only) => format!("only `{}` qualifies", name_of(*only).unwrap_or_default()),
        None => "no machine qualifies".to_owned(),
    };
    let body = body.and_then(name_of).unwrap_or_default();
    let cure = match (target.named(), needs) {
        (None, Needs::Victim { body: false }) => format!(
            "the machine of the test's body, `{body}`, is never hit; add machines with services"
        ),
        (None, Needs::Victim { body: true } | Needs::TwoSides) => format!(
            "the machine of the test's body, `{body}`, is excluded by default; include this machine \
             with `machines`, or add machines"
        ),
        (Some(_), Needs::Victim { body: false }) => format!(
            "the machine of the test's body, `{body}`, is never hit; name more machines with \
             `machines`"
        ),
        (Some(_), Needs::Victim { body: true } | Needs::TwoSides) => {
            "name more machines with `machines`".to_owned()
        }
    };
    sim::record_idle(Idle::TooFew(format!("{what}, but {there}: {cure}")));
}
