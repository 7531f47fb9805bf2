//! The kinds of faults of a [`Swarm`](super::Swarm).

use std::rc::Rc;
use std::time::Duration;

use crate::chaos::fault::Fault;
use crate::chaos::faults::{
    ClockStep, Clog, Delay, Drift, Isolate, Kill, Loss, OneWay, Pause, PowerOff, Stop, Wipe,
};
use crate::chaos::pace::{DurationRange, Strike};
use crate::chaos::swarm::Hardship;

/// How long a strike lasts if the test sets the tempo.
pub(super) const USUAL: DurationRange =
    DurationRange::new(Duration::from_secs(1), Duration::from_secs(10));

// The numbers of the fields that a strike draws. Field 0 is the time until the strike.
const LASTING: u64 = 1;
/// How many machines it hits.
pub(super) const SIZE: u64 = 4;
/// Whether it aims at a role.
pub(super) const AIMED: u64 = 5;
/// Whether it has a second fault, and which.
pub(super) const SECOND: u64 = 7;
/// Which event it waits for, and the n-th.
pub(super) const EVENT: u64 = 9;
pub(super) const NTH: u64 = 11;
/// Which machines it hits: one field for each.
pub(super) const VICTIMS: u64 = 16;

/// A kind of fault. Its number is part of its draws, so new kinds must be added at the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Services get the stop signal.
    Stop = 0,
    Kill = 1,
    PowerOff = 2,
    /// Power is back within milliseconds.
    Bounce = 3,
    /// Several machines lose power at once.
    PowerOffs = 4,
    Pause = 5,
    /// Machines are separated from the other machines.
    Isolate = 6,
    /// Packets from one machine are dropped, or packets to it.
    OneWay = 7,
    /// What one machine sends is held back.
    Clog = 8,
    /// The packets of one machine are late.
    Delay = 9,
    /// Some packets of one machine are lost.
    Loss = 10,
    Drift = 11,
    Blackout = 12,
    Wipe = 13,
    ClockStep = 14,
}

impl Kind {
    pub(super) const ALL: &[Self] = &[
        Self::Stop,
        Self::Kill,
        Self::PowerOff,
        Self::Bounce,
        Self::PowerOffs,
        Self::Pause,
        Self::Isolate,
        Self::OneWay,
        Self::Clog,
        Self::Delay,
        Self::Loss,
        Self::Drift,
        Self::Blackout,
        Self::Wipe,
        Self::ClockStep,
    ];

    /// The name in reports, in the plural.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Stop => "stops",
            Self::Kill => "kills",
            Self::PowerOff => "power-offs",
            Self::Bounce => "short power cuts",
            Self::PowerOffs => "power-offs of several machines",
            Self::Pause => "pauses",
            Self::Isolate => "isolated machines",
            Self::OneWay => "partitions in one direction",
            Self::Clog => "packets held back",
            Self::Delay => "late packets",
            Self::Loss => "lost packets",
            Self::Drift => "clock drift",
            Self::Blackout => "blackouts",
            Self::Wipe => "wipes",
            Self::ClockStep => "clock steps",
        }
    }

    /// The fault of this kind.
    pub(super) fn fault(self) -> Rc<dyn Fault> {
        match self {
            Self::Stop => Rc::new(Stop::new()),
            Self::Kill => Rc::new(Kill),
            Self::PowerOff | Self::Bounce | Self::PowerOffs | Self::Blackout => Rc::new(PowerOff),
            Self::Pause => Rc::new(Pause),
            Self::Isolate => Rc::new(Isolate),
            Self::OneWay => Rc::new(OneWay),
            Self::Clog => Rc::new(Clog),
            Self::Delay => Rc::new(Delay::by(DELAY)),
            Self::Loss => Rc::new(Loss::up_to(50)),
            Self::Drift => Rc::new(Drift::up_to(500)),
            Self::Wipe => Rc::new(Wipe),
            Self::ClockStep => Rc::new(ClockStep::by(CLOCK_STEP)),
        }
    }

    /// The hardship that the test must claim to survive, if any.
    pub(super) fn hardship(self) -> Option<Hardship> {
        match self {
            Self::Blackout => Some(Hardship::Blackout),
            Self::Wipe => Some(Hardship::Wipe),
            Self::ClockStep => Some(Hardship::ClockSteps),
            _ => None,
        }
    }

    /// Whether a strike of this kind can have a second fault of the other kind.
    pub(super) fn goes_with(self, second: Self) -> bool {
        self != second
            && !matches!(second, Self::Blackout | Self::Wipe | Self::Stop | Self::Kill)
            && !(self.takes_power() && second.takes_power())
    }

    fn takes_power(self) -> bool {
        matches!(
            self,
            Self::PowerOff | Self::Bounce | Self::PowerOffs | Self::Blackout | Self::Wipe
        )
    }

    /// Whether it hits several machines at once.
    pub(super) fn hits_several(self) -> bool {
        matches!(self, Self::PowerOffs | Self::Isolate)
    }

    /// How long a strike lasts.
    pub(super) fn lasting(self, strike: Strike, drawn: DurationRange) -> Duration {
        let short = DurationRange::new(Duration::from_millis(1), Duration::from_millis(60));
        strike.duration(LASTING, if self == Self::Bounce { short } else { drawn })
    }
}

/// The delay of packets.
const DELAY: DurationRange = DurationRange::new(Duration::from_millis(1), Duration::from_secs(2));
/// How far wall clocks are set forward or back.
const CLOCK_STEP: DurationRange =
    DurationRange::new(Duration::from_millis(1), Duration::from_secs(3_600));
