//! Cadences: when a plan strikes.

use std::fmt;
use std::ops::RangeInclusive;
use std::rc::Rc;
use std::time::Duration;

use crate::chaos::pace::{DurationRange, Strike, Strikes};
use crate::engine::event_waits::AwaitedEvent;
use crate::engine::{self, wait_for_event};
use crate::sim::{self, Idle, Sim, Want};
use crate::time::sleep;

/// When a plan strikes: again and again, once, or at events of the program.
///
/// ```
/// use simmach::prelude::*;
/// use simmach::Cadence;
///
/// let often = Cadence::every(1.secs()..5.secs()).within(10.secs()..60.secs());
/// let once = Cadence::once(0.secs()..30.secs());
/// let torn = Cadence::at_point("log written", 1..=20).times(3);
/// let busy = Cadence::at_commit(1..=50).only_while(|sim| sim.is_up("kv1"));
/// ```
#[derive(Clone)]
pub struct Cadence {
    occasion: Occasion,
    within: Option<DurationRange>,
    times: Option<u64>,
    condition: Option<Rc<dyn Fn(Sim) -> bool>>,
}

/// What a strike waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Occasion {
    /// A time that the run's tempo decides.
    Tempo,
    /// A time after the end of the strike before.
    After(DurationRange),
    /// A number of passes of a fault point since the strike before.
    Point(String, RangeInclusive<u32>),
    /// A number of commits since then, of machines that the plan may hit.
    Commit(RangeInclusive<u32>),
    /// A number of packets since then, which machines that the plan may hit have sent.
    Packet(RangeInclusive<u32>),
    /// A number of steps of the test since then.
    Step(RangeInclusive<u32>),
}

/// The field of a strike that says which event of several it waits for.
const NTH: u64 = 6;

impl Cadence {
    fn new(occasion: Occasion) -> Self {
        Self { occasion, within: None, times: None, condition: None }
    }

    /// Again and again, at a tempo that each run draws over several orders of magnitude: the default.
    pub fn drawn() -> Self {
        Self::new(Occasion::Tempo)
    }

    /// Again and again, this long after the strike before is undone.
    pub fn every(time: impl Into<DurationRange>) -> Self {
        Self::new(Occasion::After(time.into()))
    }

    /// Once, this long after the run began.
    pub fn once(time: impl Into<DurationRange>) -> Self {
        Self::every(time).times(1)
    }

    /// At a pass of a fault point ([`fault_point!`](crate::fault_point)): the n-th since the strike before, where `nth` is drawn
    /// from a range, counted from 1. The machine whose code passes is hit, within that code.
    pub fn at_point(point: impl Into<String>, nth: RangeInclusive<u32>) -> Self {
        Self::new(Occasion::Point(point.into(), nth))
    }

    /// At a commit of a store of the machines that the plan may hit: the n-th since the strike before. The machine that commits is
    /// hit.
    pub fn at_commit(nth: RangeInclusive<u32>) -> Self {
        Self::new(Occasion::Commit(nth))
    }

    /// At a packet that a machine sends which the plan may hit: the n-th since the strike before. The machine that sends is hit.
    pub fn at_packet(nth: RangeInclusive<u32>) -> Self {
        Self::new(Occasion::Packet(nth))
    }

    /// At a step of the test ([`Sim::steps`]): the n-th since the strike before.
    pub fn at_step(nth: RangeInclusive<u32>) -> Self {
        Self::new(Occasion::Step(nth))
    }

    /// Strikes only within this span of virtual time, counted from the beginning of the run. The plan ends with it.
    #[must_use]
    pub fn within(mut self, span: impl Into<DurationRange>) -> Self {
        self.within = Some(span.into());
        self
    }

    /// Strikes at most so many times.
    #[must_use]
    pub fn times(mut self, times: u64) -> Self {
        self.times = Some(times);
        self
    }

    /// Strikes only if this is true at the time.
    #[must_use]
    pub fn only_while(mut self, condition: impl Fn(Sim) -> bool + 'static) -> Self {
        self.condition = Some(Rc::new(condition));
        self
    }

    /// Whether the plan ends by itself.
    pub(super) fn ends(&self) -> bool {
        self.times.is_some() || self.within.is_some()
    }

    /// What is wrong with it.
    pub(super) fn mistakes(&self) -> Vec<String> {
        let mut mistakes = Vec::new();
        if let Some(span) = self.within {
            let is_over = |why: String| format!("`within`: the plan can never strike: {why}");
            match &self.occasion {
                _ if span.least() >= span.most() => mistakes.push(is_over(format!(
                    "the span {:?} to {:?} is empty: give the earlier time first",
                    span.least(),
                    span.most()
                ))),
                Occasion::After(time) if span.least() + time.least() > span.most() => {
                    mistakes.push(is_over(format!(
                        "the first strike comes {:?} after the beginning of the span, which ends before: set a shorter time",
                        time.least()
                    )));
                }
                _ => {}
            }
        }
        if self.times == Some(0) {
            mistakes.push("`times`: with 0 times the plan can never strike".to_owned());
        }
        match &self.occasion {
            Occasion::After(time) => mistakes.extend(time.mistake("every")),
            Occasion::Point(name, nth) => {
                if name.is_empty() {
                    mistakes.push("`at_point`: the name of the point is empty".to_owned());
                }
                mistakes.extend(mistake_of(nth, "at_point"));
            }
            Occasion::Commit(nth) => mistakes.extend(mistake_of(nth, "at_commit")),
            Occasion::Packet(nth) => mistakes.extend(mistake_of(nth, "at_packet")),
            Occasion::Step(nth) => mistakes.extend(mistake_of(nth, "at_step")),
            Occasion::Tempo => {}
        }
        mistakes
    }

    /// The time between strikes; `None` if the run draws it.
    pub(super) fn every_time(&self) -> Option<DurationRange> {
        match &self.occasion {
            Occasion::Tempo => None,
            Occasion::After(time) => Some(*time),
            // The effects of strikes at events last as long as those of a plan with a given time.
            Occasion::Point(..) | Occasion::Commit(_) | Occasion::Packet(_) | Occasion::Step(_) => {
                Some(Duration::ZERO.into())
            }
        }
    }

    /// Waits until a strike may come, and for its time. Returns `None` after the last one.
    pub(super) async fn next(&self, strikes: &mut Strikes) -> Option<Strike> {
        if self.times.is_some_and(|times| strikes.count() >= times) {
            return None;
        }
        if let Some(span) = self.within {
            sleep(span.least().saturating_sub(Duration::from_nanos(engine::now()))).await;
        }
        let strike = match &self.occasion {
            Occasion::Tempo | Occasion::After(_) => strikes.next().await?,
            Occasion::Point(..) | Occasion::Commit(_) | Occasion::Packet(_) | Occasion::Step(_) => {
                strikes.begin_next()?
            }
        };
        (!self.is_over()).then_some(strike)
    }

    /// The fault point at which it strikes, and the n-th pass.
    pub(super) fn point(&self, strike: Strike) -> Option<(&str, u32)> {
        match &self.occasion {
            Occasion::Point(name, nth) => Some((name, draw_nth(strike, nth))),
            _ => None,
        }
    }

    /// Waits for the event of a strike, if it is not a pass of a point. Returns the machine of the event.
    pub(super) async fn wait(
        &self,
        strike: Strike,
        machines: Vec<engine::MachineId>,
    ) -> Option<engine::MachineId> {
        let (event, nth, what) = match &self.occasion {
            Occasion::Commit(nth) => (AwaitedEvent::Commit(machines), nth, "commit"),
            Occasion::Packet(nth) => (AwaitedEvent::Packet(machines), nth, "packet"),
            Occasion::Step(nth) => (AwaitedEvent::Step, nth, "step"),
            Occasion::Tempo | Occasion::After(_) | Occasion::Point(..) => return None,
        };
        let nth = draw_nth(strike, nth);
        sim::record_idle(Idle::NoEvent(format!("the {what} at which it strikes did not come")));
        wait_for_event(event, nth).await
    }

    /// Notes what it needs of the program, for the summary.
    pub(super) fn note_wants(&self) {
        if let Occasion::Point(name, _) = &self.occasion {
            sim::record_want(Want::Point(name.clone()));
        }
    }

    /// Whether the span in which it strikes is over.
    pub(super) fn is_over(&self) -> bool {
        self.within.is_some_and(|span| Duration::from_nanos(engine::now()) > span.most())
    }

    /// Whether its condition holds now.
    pub(super) fn holds(&self, sim: Sim) -> bool {
        let holds = self.condition.as_ref().is_none_or(|condition| condition(sim));
        if !holds {
            sim::record_idle(Idle::NoEvent(
                "its condition did not hold when a strike was due".into(),
            ));
        }
        holds
    }
}

fn mistake_of(nth: &RangeInclusive<u32>, of: &str) -> Option<String> {
    let (first, last) = (nth.start(), nth.end());
    let is_wrong = *first == 0 || first > last;
    is_wrong.then(|| {
        format!("`{of}`: the range {first}..={last} is empty, or begins before 1: give the smaller number first")
    })
}

fn draw_nth(strike: Strike, nth: &RangeInclusive<u32>) -> u32 {
    let span = u64::from(nth.end().saturating_sub(*nth.start())) + 1;
    nth.start().saturating_add(strike.below(NTH, span) as u32)
}

impl fmt::Debug for Cadence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { occasion, within, times, condition } = self;
        let mut all = f.debug_tuple("Cadence");
        all.field(occasion).field(within).field(times).field(&condition.is_some()).finish()
    }
}
