//! [`Fault`]: what a strike does to its victims, and how it is undone.

use std::fmt;

use futures::FutureExt;
use futures::future::LocalBoxFuture;

use crate::chaos::faults::Flapping;
use crate::chaos::hit::Hit;
use crate::sim::ControlError;

/// What a strike does to its victims, and how to undo it.
///
/// The library's faults are in [`faults`](crate::faults). Your own faults work the same way: a
/// [`FaultPlan`](crate::FaultPlan) decides when they occur and which machines they hit, and a fault
/// draws its other values with [`Hit`].
///
/// A run records each strike as one act, together with the values that were drawn for it. Shrinking
/// removes the act with its undoing, moves it, binds it to an event, or makes the drawn values
/// smaller. A replay calls the fault again without the plan.
///
/// ```
/// use simmach::prelude::*;
/// use simmach::program::{Program, Scenario};
/// use simmach::{Cadence, ControlError, Fault, FaultPlan, Hit};
/// use std::cell::Cell;
///
/// /// A server answers with prices that are wrong by 1 to 50 percent.
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
    /// The name of the fault in reports and replay tokens.
    ///
    /// A replay finds a fault by its name. A test is not run if two of its own faults have the same
    /// name and different `Debug` texts.
    fn name(&self) -> &str;

    /// Begins the fault.
    ///
    /// # Errors
    ///
    /// An error ends the plan and fails the run.
    fn begin(&self, hit: &Hit) -> Result<(), ControlError>;

    /// Undoes the fault, after it has lasted long enough or when [`Sim::settle`](crate::Sim::settle)
    /// is called.
    ///
    /// # Errors
    ///
    /// As for [`begin`](Self::begin).
    fn end(&self, hit: &Hit) -> Result<(), ControlError>;

    /// Waits until the fault has fully begun. Its duration is counted from then on.
    fn wait<'a>(&'a self, hit: &'a Hit) -> LocalBoxFuture<'a, ()> {
        let _ = hit;
        async {}.boxed_local()
    }

    /// Whether the fault acts only through [`Sim`](crate::Sim).
    ///
    /// If true, each call is recorded and shrunk separately. Otherwise, the strike is one act.
    fn is_made_of_calls(&self) -> bool {
        false
    }

    /// Whether the fault can hit the machine with this name at present.
    fn can_hit(&self, machine: &str) -> bool {
        let _ = machine;
        true
    }

    /// Whether the fault needs machines other than its victims ([`Hit::others`]).
    ///
    /// If true, a plan that may hit only one machine is reported as unable to act.
    fn needs_others(&self) -> bool {
        false
    }

    /// Whether a [`Budget`](crate::Budget) counts the victims while the fault lasts.
    fn takes_down(&self) -> bool {
        true
    }

    /// Whether a [`Budget`](crate::Budget) counts the victims until the end of the run.
    fn is_lasting(&self) -> bool {
        false
    }

    /// The fault as one that comes and goes while a strike lasts.
    #[doc(hidden)]
    fn flapping(&self) -> Option<&Flapping> {
        None
    }

    /// Returns the errors in the fault's settings. A test with such errors is not run.
    fn mistakes(&self) -> Vec<String> {
        Vec::new()
    }
}
