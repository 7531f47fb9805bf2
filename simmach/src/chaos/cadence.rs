//! [`Cadence`]: when a plan strikes.

use std::fmt;
use std::ops::RangeInclusive;
use std::rc::Rc;
use std::time::Duration;

use crate::chaos::pace::{DurationRange, Strike, Strikes};
use crate::engine::event_waits::AwaitedEvent;
use crate::engine::{self, wait_for_event};
use crate::sim::{self, Idle, Sim, Want};
use crate::time::{sleep, timeout};

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
    /// A time that the run draws with its tempo.
    Tempo,
    /// A time after the end of the previous strike.
    After(DurationRange),
    /// A number of passes of a fault point since the previous strike.
    Point(String, RangeInclusive<u32>),
    /// A number of commits since the previous strike, on machines that the plan may hit.
    Commit(RangeInclusive<u32>),
    /// A number of packets since the previous strike, from machines that the plan may hit.
    Packet(RangeInclusive<u32>),
    /// A number of steps of the test since the previous strike.
    Step(RangeInclusive<u32>),
}

/// The field of a [`Strike`] at which the number of events to wait for is drawn.
const NTH: u64 = 6;

impl Cadence {
    fn new(occasion: Occasion) -> Self {
        Self { occasion, within: None, times: None, condition: None }
    }

    /// Strikes repeatedly, at a tempo that each run draws. This is the default.
    ///
    /// The mean time between strikes is from 20 ms to 41 s.
    pub fn drawn() -> Self {
        Self::new(Occasion::Tempo)
    }

    /// Strikes repeatedly, this long after the end of the previous strike.
    pub fn every(time: impl Into<DurationRange>) -> Self {
        Self::new(Occasion::After(time.into()))
    }

    /// Strikes once, this long after the plan begins.
    pub fn once(time: impl Into<DurationRange>) -> Self {
        Self::every(time).times(1)
    }

    /// Strikes when code under test passes a fault point ([`fault_point!`](crate::fault_point)).
    ///
    /// For each strike, the seed picks a number n from `nth`. The strike takes place at the n-th
    /// pass after the previous strike; 1 is the next one. It hits the machine whose code passes the
    /// point, within that code.
    pub fn at_point(point: impl Into<String>, nth: RangeInclusive<u32>) -> Self {
        Self::new(Occasion::Point(point.into(), nth))
    }

    /// Strikes when a machine that the plan may hit commits a transaction.
    ///
    /// For each strike, the seed picks a number n from `nth`. The strike takes place at the n-th
    /// commit after the previous strike; 1 is the next one. It hits the machine that commits.
    pub fn at_commit(nth: RangeInclusive<u32>) -> Self {
        Self::new(Occasion::Commit(nth))
    }

    /// Strikes when a machine that the plan may hit sends a packet.
    ///
    /// For each strike, the seed picks a number n from `nth`. The strike takes place at the n-th
    /// packet after the previous strike; 1 is the next one. It hits the machine that sends.
    pub fn at_packet(nth: RangeInclusive<u32>) -> Self {
        Self::new(Occasion::Packet(nth))
    }

    /// Strikes at the beginning of a step of the test ([`Sim::steps`]).
    ///
    /// For each strike, the seed picks a number n from `nth`. The strike takes place at the n-th
    /// step after the previous strike; 1 is the next one.
    pub fn at_step(nth: RangeInclusive<u32>) -> Self {
        Self::new(Occasion::Step(nth))
    }

    /// Strikes only within this span of virtual time, counted from the start of the run.
    ///
    /// No strike begins after the end of the span. The plan ends then.
    #[must_use]
    pub fn within(mut self, span: impl Into<DurationRange>) -> Self {
        self.within = Some(span.into());
        self
    }

    /// Strikes at most `times` times, then ends the plan. `times` must be at least 1.
    ///
    /// A strike that finds no machine to hit counts.
    #[must_use]
    pub fn times(mut self, times: u64) -> Self {
        self.times = Some(times);
        self
    }

    /// Skips a strike if `condition` returns false when the strike is due.
    #[must_use]
    pub fn only_while(mut self, condition: impl Fn(Sim) -> bool + 'static) -> Self {
        self.condition = Some(Rc::new(condition));
        self
    }

    /// Whether the plan ends by itself.
    pub(super) fn ends(&self) -> bool {
        self.times.is_some() || self.within.is_some()
    }

    /// Returns the mistakes in the settings.
    pub(super) fn mistakes(&self) -> Vec<String> {
        let mut mistakes = Vec::new();
        if let Some(span) = self.within {
            match &self.occasion {
                _ if span.least() >= span.most() => mistakes.push(format!(
                    "`within`: the span from {:?} to {:?} is empty, so the plan can never inject a fault: \
                     its end must be later than its beginning",
                    span.least(),
                    span.most()
                )),
                Occasion::After(time)
                    if span.least().saturating_add(time.least()) > span.most() =>
                {
                    mistakes.push(format!(
                        "`within`: the span ends before the plan's first fault, which comes {:?} or more after \
                         the span's beginning: set a shorter time in `every` or `once`, or a later end in `within`",
                        time.least()
                    ));
                }
                _ => {}
            }
        }
        if self.times == Some(0) {
            mistakes.push(
                "`times`: with 0 times, the plan can never inject a fault: give at least 1"
                    .to_owned(),
            );
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

    /// Returns the time between strikes. `None` means that the run draws it.
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

    /// Waits for the time of the next strike. Returns `None` after the last one.
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

    /// Returns the fault point that a strike waits for, and the number of the pass.
    pub(super) fn point(&self, strike: Strike) -> Option<(&str, u32)> {
        match &self.occasion {
            Occasion::Point(name, nth) => Some((name, draw_nth(strike, nth))),
            _ => None,
        }
    }

    /// Waits for the commit, packet or step at which a strike takes place, and returns its machine.
    /// Returns `None` at once for strikes at times and at fault points.
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
        sim::record_idle(Idle::NoEvent(format!(
            "the {what} that the plan waited for did not occur before the test or the plan ended: give smaller \
             numbers to `at_{what}`, or make the test longer"
        )));
        wait_for_event(event, nth).await
    }

    /// Records what the plan needs of the program, for the summary.
    pub(super) fn note_wants(&self) {
        if let Occasion::Point(name, _) = &self.occasion {
            sim::record_want(Want::Point(name.clone()));
        }
    }

    /// Waits for `event`. Returns `None` if the span for strikes ends before.
    pub(super) async fn until_over<T>(&self, event: impl Future<Output = T>) -> Option<T> {
        match self.within {
            Some(span) => {
                // The last nanosecond belongs to the span.
                let end = span.most().saturating_add(Duration::from_nanos(1));
                let left = end.saturating_sub(Duration::from_nanos(engine::now()));
                timeout(left, event).await.ok()
            }
            None => Some(event.await),
        }
    }

    /// Whether the span for strikes is over.
    pub(super) fn is_over(&self) -> bool {
        self.within.is_some_and(|span| Duration::from_nanos(engine::now()) > span.most())
    }

    /// Whether the condition holds now.
    pub(super) fn holds(&self, sim: Sim) -> bool {
        let holds = self.condition.as_ref().is_none_or(|condition| condition(sim));
        if !holds {
            sim::record_idle(Idle::NoEvent(
                "whenever a fault was due, the condition of `only_while` was false: relax the condition, or let \
                 the plan inject faults more often"
                    .to_owned(),
            ));
        }
        holds
    }
}

fn mistake_of(nth: &RangeInclusive<u32>, of: &str) -> Option<String> {
    let (first, last) = (nth.start(), nth.end());
    let is_wrong = *first == 0 || first > last;
    is_wrong.then(|| {
        format!(
            "`{of}`: the range {first}..={last} is not valid: it must begin at 1 or more, and must not end \
             before it begins"
        )
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
