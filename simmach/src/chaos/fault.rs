//! [`Fault`]: what a strike does to its victims, and how it is undone.

use std::fmt;

use futures::FutureExt;
use futures::future::LocalBoxFuture;

use crate::chaos::hit::Hit;
use crate::sim::ControlError;

/// What a strike does to its victims, and how it is undone.
///
/// The faults of the library are in [`faults`](crate::faults). A fault of your own is used in the same way: it draws with [`Hit`],
/// and a [`FaultPlan`](crate::FaultPlan) decides when, whom and how many it hits. The run records the strike as one act, with what
/// was drawn for it. Shrinking leaves it out together with its undoing, moves it, binds it to events, and makes its draws smaller;
/// a replay calls it again without the plan.
///
/// ```
/// use simmach::prelude::*;
/// use simmach::program::{Program, Scenario};
/// use simmach::{Cadence, ControlError, Fault, FaultPlan, Hit};
/// use std::cell::Cell;
///
/// /// The prices that a server answers are wrong by some percent.
/// #[derive(Debug)]
/// struct WrongPrices;
///
/// #[derive(Default)]
/// struct Percent(Cell<u64>);
///
/// impl Fault for WrongPrices {
///     fn name(&self) -> &str {
///         "wrong prices"
///     }
///
///     fn begin(&self, hit: &Hit) -> Result<(), ControlError> {
///         hit.sim().state::<Percent>().0.set(1 + hit.below(0, 50));
///         Ok(())
///     }
///
///     fn end(&self, hit: &Hit) -> Result<(), ControlError> {
///         hit.sim().state::<Percent>().0.set(0);
///         Ok(())
///     }
/// }
///
/// # async fn serve() { std::future::pending().await }
/// let program = Program::new(|| {
///     let plan = FaultPlan::new(WrongPrices).when(Cadence::every(1.secs())).lasting(100.millis());
///     Scenario::new().machine("shop", serve).plan(plan).body(async |sim: Sim| {
///         simmach::time::sleep(1050.millis()).await;
///         assert!(sim.state::<Percent>().0.get() > 0);
///         simmach::time::sleep(100.millis()).await;
///         assert_eq!(sim.state::<Percent>().0.get(), 0);
///     })
/// });
/// assert!(program.run(7).passed());
/// ```
pub trait Fault: fmt::Debug + 'static {
    /// The name of the fault in reports. A test cannot have two faults of its own with the same name.
    fn name(&self) -> &str;

    /// Begins the fault.
    ///
    /// # Errors
    ///
    /// An error ends the plan and fails the run.
    fn begin(&self, hit: &Hit) -> Result<(), ControlError>;

    /// Undoes the fault. [`Sim::settle`](crate::Sim::settle) calls it, too.
    ///
    /// # Errors
    ///
    /// As for [`begin`](Self::begin).
    fn end(&self, hit: &Hit) -> Result<(), ControlError>;

    /// Waits until the fault has begun in full. Its duration is counted from then on.
    fn wait<'a>(&'a self, hit: &'a Hit) -> LocalBoxFuture<'a, ()> {
        let _ = hit;
        async {}.boxed_local()
    }

    /// Whether the fault acts through [`Sim`](crate::Sim) only. Each of its calls is then recorded and shrunk by itself; otherwise
    /// the strike is one act.
    fn is_made_of_calls(&self) -> bool {
        false
    }

    /// Whether it can hit a machine, given by its name.
    fn can_hit(&self, machine: &str) -> bool {
        let _ = machine;
        true
    }

    /// Whether it separates its victims from other machines, and does nothing if there are none.
    fn needs_others(&self) -> bool {
        false
    }

    /// Whether the victims count as machines that are down, for a [`Budget`](crate::Budget).
    fn takes_down(&self) -> bool {
        true
    }

    /// Whether the victims count as down to the end of the run, for a [`Budget`](crate::Budget).
    fn is_lasting(&self) -> bool {
        false
    }

    /// What is wrong with the settings of the fault.
    fn mistakes(&self) -> Vec<String> {
        Vec::new()
    }
}
