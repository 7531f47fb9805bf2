//! Strikes at fault points of the code under test.

use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::rc::Rc;
use std::task::{Poll, Waker};
use std::time::Duration;

use crate::engine::acts::{Act, PointFault};
use crate::engine::points::Points;
use crate::engine::{self, MachineId, Scope, Wait, context};
use crate::machine::{self, Selector};
use crate::sim::machines::{name_of, resolve_machines};
use crate::sim::world::{Want, record_want, request_fault};
use crate::sim::{ControlError, Sim, acts};
use crate::time::nanos;

impl Sim {
    /// Selects a fault point of the code under test ([`fault_point!`](crate::fault_point)) on the
    /// matching machines, to wait for a pass of the point or to strike there.
    ///
    /// A strike takes place within the code that passes the point, before anything else happens. The
    /// methods of [`AtPoint`] return a future, which begins to wait when it is polled. It completes
    /// after the strike, with the name of the machine.
    ///
    /// ```
    /// # use simmach::prelude::*;
    /// # use simmach::program::{Effect, Program, Scenario};
    /// async fn serve() {
    ///     loop {
    ///         simmach::time::sleep(1.secs()).await;
    ///         simmach::fault_point!("written").await;
    ///     }
    /// }
    ///
    /// let program = Program::new(|| {
    ///     let plan = async |sim: Sim| {
    ///         sim.at_point("written", "kv*").nth(3).power_off().await?;
    ///         Result::<()>::Ok(())
    ///     };
    ///     let body = async |_| simmach::time::sleep(10.secs()).await;
    ///     // The clock of `kv1` is exact.
    ///     Scenario::new().identical_hardware().machine("kv1", serve).plan(plan).body(body)
    /// });
    /// let report = program.run(7);
    /// let fault = report.faults().next().expect("a power-off");
    /// assert_eq!((fault.effect, fault.at), (Effect::PowerOff, 3.secs()));
    /// ```
    pub fn at_point(&self, point: &str, machines: impl Into<Selector>) -> AtPoint {
        AtPoint { point: point.to_owned(), machines: machines.into(), nth: 1 }
    }
}

/// A fault point on some machines, returned by [`Sim::at_point`].
///
/// # Errors
///
/// The futures of its methods return [`ControlError::NoMatch`] if no machine matches.
#[derive(Clone, Debug)]
pub struct AtPoint {
    point: String,
    machines: Selector,
    nth: u32,
}

impl AtPoint {
    /// Sets which pass to wait for: the `nth`, counted from 1. By default, it is the first.
    ///
    /// Counting starts at the first poll of the future, and includes the passes on all matching
    /// machines.
    #[must_use]
    pub fn nth(mut self, nth: u32) -> Self {
        self.nth = nth;
        self
    }

    /// Waits for the pass, and injects no fault.
    pub fn passed(self) -> impl Future<Output = Result<String, ControlError>> {
        self.strike(|_| ())
    }

    /// Powers the machine off at the pass. The machine of the test's body is not hit.
    pub fn power_off(self) -> impl Future<Output = Result<String, ControlError>> {
        self.strike(|machine| {
            if machine::body_machine() != Some(machine) {
                request_and_perform(&Act::PowerOff { machine });
            }
        })
    }

    /// Kills the services of the machine at the pass.
    pub fn kill(self) -> impl Future<Output = Result<String, ControlError>> {
        self.strike(|machine| {
            let who = acts::services_on(machine);
            request_and_perform(&Act::Kill { who });
        })
    }

    /// Pauses the processes of the machine at the pass. The code continues until it awaits something.
    pub fn pause(self) -> impl Future<Output = Result<String, ControlError>> {
        self.strike(|machine| {
            if machine::can_pause(machine) {
                request_and_perform(&Act::Pause { machine });
            }
        })
    }

    /// Makes the code fail at the pass if the point has a second argument, as in
    /// `fault_point!("renamed", return Err(error))`. Otherwise, the code goes on.
    pub fn fail(self) -> impl Future<Output = Result<String, ControlError>> {
        let point = Points::number(&self.point);
        let fault = PointFault::Error;
        self.strike(move |machine| request_and_perform(&Act::Point { machine, point, fault }))
    }

    /// Delays the code at the pass, if it awaits the point.
    pub fn delay(self, by: Duration) -> impl Future<Output = Result<String, ControlError>> {
        let point = Points::number(&self.point);
        let fault = PointFault::Delay(nanos(by));
        self.strike(move |machine| request_and_perform(&Act::Point { machine, point, fault }))
    }

    async fn strike(
        self,
        strike: impl FnOnce(MachineId) + 'static,
    ) -> Result<String, ControlError> {
        let machines = resolve_machines(&self.machines)?;
        let machine = strike_at(&self.point, machines, self.nth, strike).await;
        Ok(name_of(machine).unwrap_or_default())
    }
}

fn request_and_perform(act: &Act) {
    let machine = act.machine();
    if request_fault(true, machine.as_slice(), || acts::describe(act)) {
        acts::perform(None, act, || acts::describe(act));
    }
}

/// Waits for the `nth` pass of a point on one of the machines. Calls `strike` within the code that
/// passes, in the scope of the code that waits.
pub(crate) async fn strike_at(
    point: &str,
    machines: Vec<MachineId>,
    nth: u32,
    strike: impl FnOnce(MachineId) + 'static,
) -> MachineId {
    record_want(Want::Point(point.to_owned()));
    let passed = Rc::new(RefCell::new((None, None::<Waker>)));
    let scope = engine::scope().unwrap_or(Scope::HARNESS);
    let note = Rc::clone(&passed);
    let strike = Box::new(move |machine| {
        strike(machine);
        let waker = {
            let mut noted = note.borrow_mut();
            noted.0 = Some(machine);
            noted.1.take()
        };
        waker.into_iter().for_each(Waker::wake);
    });
    let id = context::try_with(|engine| engine.points.arm(point, machines, nth, scope, strike));
    let _disarmed = Disarm(id);
    poll_fn(|cx| {
        let mut passed = passed.borrow_mut();
        match passed.0 {
            Some(machine) => Poll::Ready(machine),
            None => {
                passed.1 = Some(cx.waker().clone());
                engine::record_wait(Wait::Named("a fault point to be passed"));
                Poll::Pending
            }
        }
    })
    .await
}

/// Disarms a strike when its future is dropped.
struct Disarm(Option<u64>);

impl Drop for Disarm {
    fn drop(&mut self) {
        if let Some(id) = self.0 {
            context::try_with(|engine| engine.points.disarm(id));
        }
    }
}
