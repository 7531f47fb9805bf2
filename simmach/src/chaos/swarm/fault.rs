//! The kinds of faults of a [`Swarm`](super::Swarm).

use std::ops::RangeInclusive;
use std::rc::Rc;
use std::time::Duration;

use crate::chaos::fault::Fault;
use crate::chaos::faults::{
    Bridge, ClockStep, Clog, Delay, Drift, Duplicate, FailReads, FailSync, FailWrites, Flapping,
    FullDisk, Isolate, Kill, Loss, OneConnection, OneWay, Pause, PowerOff, PowerOffInCall, Reorder,
    SlowCpu, StallDisk, Stop, StuckClock, Throttle, Wipe,
};
use crate::chaos::pace::{DurationRange, Strike};
use crate::chaos::swarm::Hardship;
use crate::engine::MachineId;
use crate::machine;
use crate::net::control::connections;

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
/// Which kind of fault takes its place if the program has nothing that its own could affect.
pub(super) const SUBSTITUTE: u64 = 12;
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
    SlowCpu = 15,
    /// Machines are separated from all other machines but one.
    Bridge = 16,
    /// Some packets of one machine arrive twice.
    Duplicate = 17,
    /// Some packets of one machine are overtaken.
    Reorder = 18,
    /// The bandwidth of one machine is small.
    Throttle = 19,
    OneConnection = 20,
    /// Machines are isolated again and again.
    Flapping = 21,
    StallDisk = 22,
    PowerOffInCall = 23,
    FailSync = 24,
    FailReads = 25,
    FailWrites = 26,
    FullDisk = 27,
    StuckClock = 28,
}

/// What a program may not have, and some faults need.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Need {
    /// Files on a machine's disk.
    Files,
    /// Files or stores on a machine's disk.
    Disk,
    /// A TCP connection between two machines that the plan may hit.
    Connection,
    /// Three machines that the plan may hit.
    ThreeMachines,
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
        Self::SlowCpu,
        Self::Bridge,
        Self::Duplicate,
        Self::Reorder,
        Self::Throttle,
        Self::OneConnection,
        Self::Flapping,
        Self::StallDisk,
        Self::PowerOffInCall,
        Self::FailSync,
        Self::FailReads,
        Self::FailWrites,
        Self::FullDisk,
        Self::StuckClock,
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
            Self::SlowCpu => "slow CPUs",
            Self::Bridge => "partitions with a bridge",
            Self::Duplicate => "duplicated packets",
            Self::Reorder => "reordered packets",
            Self::Throttle => "limited bandwidth",
            Self::OneConnection => "cut connections",
            Self::Flapping => "machines isolated again and again",
            Self::StallDisk => "stalled disks",
            Self::PowerOffInCall => "power-offs within calls",
            Self::FailSync => "failing syncs",
            Self::FailReads => "failing reads",
            Self::FailWrites => "failing writes",
            Self::FullDisk => "full disks",
            Self::StuckClock => "stuck clocks",
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
            Self::SlowCpu => Rc::new(SlowCpu::down_to(1)),
            Self::Bridge => Rc::new(Bridge),
            Self::Duplicate => Rc::new(Duplicate::up_to(50)),
            Self::Reorder => Rc::new(Reorder::by(DELAY)),
            Self::Throttle => Rc::new(Throttle::to(BANDWIDTH)),
            Self::OneConnection => Rc::new(OneConnection),
            Self::Flapping => Rc::new(Flapping::new(Isolate, FLAPPING)),
            Self::StallDisk => Rc::new(StallDisk),
            Self::PowerOffInCall => Rc::new(PowerOffInCall::within(CALLS)),
            Self::FailSync => Rc::new(FailSync),
            Self::FailReads => Rc::new(FailReads),
            Self::FailWrites => Rc::new(FailWrites),
            Self::FullDisk => Rc::new(FullDisk),
            Self::StuckClock => Rc::new(StuckClock),
        }
    }

    /// The hardship that the test must claim to survive, if any.
    pub(super) fn hardship(self) -> Option<Hardship> {
        match self {
            Self::Blackout => Some(Hardship::Blackout),
            Self::Wipe => Some(Hardship::Wipe),
            Self::ClockStep | Self::StuckClock => Some(Hardship::ClockSteps),
            Self::FailSync | Self::FailReads | Self::FailWrites => Some(Hardship::DiskErrors),
            Self::FullDisk => Some(Hardship::FullDisk),
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
            Self::PowerOff
                | Self::Bounce
                | Self::PowerOffs
                | Self::Blackout
                | Self::Wipe
                | Self::PowerOffInCall
        )
    }

    /// What the program must have for a fault of this kind to have an effect.
    pub(super) fn need(self) -> Option<Need> {
        match self {
            Self::StallDisk
            | Self::PowerOffInCall
            | Self::FailSync
            | Self::FailReads
            | Self::FailWrites => Some(Need::Files),
            Self::FullDisk => Some(Need::Disk),
            Self::OneConnection => Some(Need::Connection),
            Self::Bridge => Some(Need::ThreeMachines),
            _ => None,
        }
    }

    /// Whether a fault of this kind can have an effect on a machine at present. `all` are the machines
    /// that the plan may hit.
    pub(super) fn can_affect(self, machine: MachineId, all: &[MachineId]) -> bool {
        match self.need() {
            None => true,
            Some(Need::Files) => machine::has_files(machine),
            Some(Need::Disk) => !machine::is_disk_empty(machine),
            Some(Need::Connection) => {
                connections(machine).iter().any(|connection| all.contains(&connection.peer))
            }
            Some(Need::ThreeMachines) => all.len() > 2,
        }
    }

    /// Whether it hits several machines at once.
    pub(super) fn hits_several(self) -> bool {
        matches!(self, Self::PowerOffs | Self::Isolate | Self::Bridge | Self::Flapping)
    }

    /// How long a strike lasts.
    pub(super) fn lasting(self, strike: Strike, drawn: DurationRange) -> Duration {
        let short = DurationRange::new(Duration::from_millis(1), Duration::from_millis(60));
        strike.duration(LASTING, if self == Self::Bounce { short } else { drawn })
    }
}

/// The delay of packets that are late or overtaken.
const DELAY: DurationRange = DurationRange::new(Duration::from_millis(1), Duration::from_secs(2));
/// How far wall clocks are set forward or back.
const CLOCK_STEP: DurationRange =
    DurationRange::new(Duration::from_millis(1), Duration::from_secs(3_600));
/// The bandwidth of a machine, in bytes per second.
const BANDWIDTH: RangeInclusive<u64> = 1_000..=1_000_000;
/// How long a machine is isolated that is isolated again and again, and how long it is not.
const FLAPPING: DurationRange =
    DurationRange::new(Duration::from_millis(10), Duration::from_secs(1));
/// The power fails within one of this number of calls on files.
const CALLS: u64 = 64;
