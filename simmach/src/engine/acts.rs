//! Acts: what plans do to the cluster, as plain data. A script is a list of acts.
//!
//! Everything that a plan does is recorded as an [`Act`]: *what* is done to *whom*. This includes
//! plans that are a user's `async |sim|`. A [`TimedAct`] adds *when*, and how the act is undone: a
//! fault is an act with its repairs. A [`Script`] is a list of timed acts, which replaces all
//! plans: a run whose overlay has a script carries out the acts and starts no plans. The shrinker,
//! tokens and reports therefore know only acts, not the plans that decided on them.
//!
//! An act names machines and services by number, never by pattern. An act that finds nothing to do, such as starting a
//! service that is running, has no effect. Acts of a script therefore do not depend on each other, and any of them can be
//! left out.
//!
//! An act is bound to a time or to an event of a machine; see [`Anchor`]. Times and events are
//! counted from the preceding step of the test, so that leaving out earlier steps does not shift
//! the act.
//!
//! The decisions that lead to an act are separate draws. A plan draws when it strikes (cadence),
//! whom it hits (target), what it does and how that is undone (fault), and how many machines are
//! hit at once (budget).
//!
//! Faults that the test's body and its clients cause are not acts: they remain part of the test.

mod anchors;
mod pairing;
mod runner;

use serde::{Deserialize, Serialize};

use crate::engine::ids::MachineId;

pub(crate) use crate::engine::acts::anchors::{Anchor, AnchorCounts, AnchorEvent};
pub(crate) use crate::engine::acts::runner::{DueAct, ScriptRunner};

/// The place after all other events at the same time.
pub(crate) const LAST: u32 = u32::MAX;

/// Something that is done to the cluster at one point in time.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) enum Act {
    /// Processes get the stop signal. After `grace` nanoseconds, those that have not ended are
    /// killed, at `end_place` among the events of that time.
    Stop { who: Processes, grace: u64, end_place: u32 },
    /// The end of a stop: processes on a machine that got the stop signal are killed.
    EndStop { machine: MachineId },
    /// Processes are killed.
    Kill { who: Processes },
    /// A machine loses power.
    PowerOff { machine: MachineId },
    /// A machine gets power, and services on it are started.
    Start { machine: MachineId, services: Vec<u32> },
    /// The processes of a machine are paused, except that of the test's body.
    Pause { machine: MachineId },
    /// The paused processes of a machine go on.
    Resume { machine: MachineId },
    /// The disk of a machine is wiped, unless a process runs there.
    Wipe { machine: MachineId },
    /// Packets are dropped: from one group of machines to another, or in both directions.
    Partition { from: Vec<MachineId>, to: Vec<MachineId>, both_ways: bool },
    /// A partition ends.
    Heal { from: Vec<MachineId>, to: Vec<MachineId>, both_ways: bool },
    /// All partitions end.
    HealAll,
    /// Packets are held.
    Clog { from: Vec<MachineId>, to: Vec<MachineId> },
    /// Held packets are released.
    Unclog { from: Vec<MachineId>, to: Vec<MachineId> },
    /// Links get a new profile, encoded by the layer `net`. This is a repair if the profile is the original one.
    Link { paths: LinkPaths, profile: Vec<u8>, is_original: bool },
    /// The clocks of a machine are set. This is a repair if they become exact.
    Clock { machine: MachineId, offset: i128, drift: i32 },
    /// A packet filter is added. Its decisions are listed; it passes all other packets.
    Filter { number: u64, from: Vec<MachineId>, to: Vec<MachineId>, verdicts: Vec<PacketVerdict> },
    /// A packet filter is removed.
    EndFilter { number: u64 },
    /// Everything is repaired, and all services are started, as in `Sim::settle`.
    Settle,
    /// The disk of a machine gets a fault.
    BreakDisk { machine: MachineId, fault: DiskFault },
    /// All faults of a machine's disk end.
    RepairDisk { machine: MachineId },
    /// A machine loses power at this changing call on its files, counted from 1.
    PowerOffAtCall { machine: MachineId, calls: u64 },
    /// A copy of a machine's disk is kept.
    Snapshot { machine: MachineId, number: u64 },
    /// A machine's disk is replaced by a kept copy, unless a process runs there.
    Restore { machine: MachineId, number: u64 },
    /// The pass of a fault point on a machine is delayed or fails: the one that is going on, or else the next one. `point` is a
    /// hash of its name.
    Point { machine: MachineId, point: u64, fault: PointFault },
    /// A fault that the user wrote, with the other machines that its plan may hit, and what was drawn for it.
    Own {
        number: u64,
        name: String,
        victims: Vec<MachineId>,
        others: Vec<MachineId>,
        drawn: Vec<(u32, u64)>,
    },
    /// A fault that the user wrote is undone.
    EndOwn { number: u64 },
    /// One fault of a machine's disk ends. Its other faults stay.
    EndDiskFault { machine: MachineId, fault: DiskFault },
    /// A machine that was to lose power at a later call on its files keeps it.
    CancelPowerOff { machine: MachineId },
    /// Packets from one group of machines to another are impaired, beyond what their links do.
    Impair { number: u64, from: Vec<MachineId>, to: Vec<MachineId>, impairment: Impairment },
    /// An impairment ends.
    EndImpairment { number: u64 },
    /// The processes of a machine, except that of the test's body, run only for `quota` nanoseconds of each `period`.
    SlowCpu { machine: MachineId, quota: u64, period: u64 },
    /// The processes of a machine run all the time.
    RestoreCpu { machine: MachineId },
    /// The wall clock of a machine stands still. Setting its clocks ends this.
    FreezeClock { machine: MachineId },
}

/// What an impairment does to packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) enum Impairment {
    /// Packets arrive twice, with this probability in millionths.
    Duplicate { per_million: u32 },
    /// Packets are held back by up to `delay` nanoseconds, with this probability in millionths.
    Reorder { per_million: u32, delay: u64 },
    /// The bandwidth is limited, with a queue of `queue` bytes.
    Throttle { bytes_per_second: u64, queue: u64 },
    /// Packets take this many nanoseconds longer.
    Delay { nanos: u64 },
    /// Packets are lost with this probability in millionths.
    Lose { per_million: u32 },
}

/// A fault of a machine's disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(crate) enum DiskFault {
    /// The next sync fails.
    NextSync,
    /// Reads fail.
    Reads,
    /// Writes and syncs fail.
    Writes,
    /// No space is free.
    Full,
    /// Calls wait until it ends.
    Stall,
}

/// What happens to the code at a point.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) enum PointFault {
    #[default]
    Nothing,
    /// It continues after this many nanoseconds, if it awaits the point.
    Delay(u64),
    /// It takes its path for errors.
    Error,
    /// Its process has ended.
    End,
}

/// Processes on one machine.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct Processes {
    pub(crate) machine: MachineId,
    /// The services, by their number on the machine.
    pub(crate) services: Vec<u32>,
    /// Whether the clients on the machine are included.
    pub(crate) clients: bool,
}

/// Links that get a new profile.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) enum LinkPaths {
    /// The link from one zone to another.
    Zones { from: String, to: String },
    /// Every path from one group of machines to another.
    Machines { from: Vec<MachineId>, to: Vec<MachineId> },
}

/// The decision of a filter about one packet.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct PacketVerdict {
    /// The words of the packet's address: flow, number, transmission.
    pub(crate) packet: [u64; 3],
    /// Which of the packets with this address that the filter saw, counted from 1: acknowledgements can be sent again.
    pub(crate) nth: u32,
    /// The delay in nanoseconds; `None` if the packet is dropped.
    pub(crate) delay: Option<u64>,
}

/// An act with its time, and the acts that undo it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct TimedAct {
    /// Identifies the act while its script is shrunk.
    pub(crate) id: u32,
    /// The plan of the library that performs the act. Such a plan repairs only its own faults.
    pub(crate) owner: Option<u64>,
    pub(crate) when: When,
    pub(crate) act: Act,
    pub(crate) repairs: Vec<Repair>,
}

/// An act that undoes another.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct Repair {
    pub(crate) owner: Option<u64>,
    /// Nanoseconds after the act that it undoes.
    pub(crate) after: u64,
    /// Like [`When::place`].
    pub(crate) place: u32,
    pub(crate) act: Act,
}

/// When an act takes place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct When {
    /// The step of the test from which the time is counted, as sequence and step; `None` for the start of the run. If the
    /// step is left out, the next step of its sequence is used instead.
    pub(crate) step: Option<(u64, u64)>,
    /// An event that it waits for, counted from there.
    pub(crate) anchor: Option<Anchor>,
    /// Nanoseconds after the event, the step or the start of the run.
    pub(crate) offset: u64,
    /// Its position among the events of its instant: the number of polls of the program that come before it, if there are
    /// that many.
    pub(crate) place: u32,
}

impl When {
    /// Whether it is bound to an event.
    pub(crate) fn is_anchored(&self) -> bool {
        self.anchor.is_some()
    }
}

/// The acts of a run. Acts at the same position take place in the order of the list.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct Script {
    pub(crate) acts: Vec<TimedAct>,
}

/// An act of a plan as a run records it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RecordedAct {
    /// Virtual nanoseconds since the run began.
    pub(crate) at: u64,
    pub(crate) owner: Option<u64>,
    pub(crate) when: When,
    pub(crate) act: Act,
}

impl Act {
    /// Whether it is a fault. Other acts are repairs.
    pub(crate) fn is_fault(&self) -> bool {
        match self {
            Self::Stop { .. }
            | Self::Kill { .. }
            | Self::PowerOff { .. }
            | Self::Pause { .. }
            | Self::Wipe { .. }
            | Self::Partition { .. }
            | Self::Clog { .. }
            | Self::BreakDisk { .. }
            | Self::PowerOffAtCall { .. }
            | Self::Restore { .. }
            | Self::Filter { .. }
            | Self::Impair { .. }
            | Self::SlowCpu { .. }
            | Self::FreezeClock { .. }
            | Self::Point { .. }
            | Self::Own { .. } => true,
            Self::Link { is_original, .. } => !is_original,
            Self::Clock { offset, drift, .. } => (*offset, *drift) != (0, 0),
            Self::Start { .. }
            | Self::Resume { .. }
            | Self::EndStop { .. }
            | Self::Heal { .. }
            | Self::HealAll
            | Self::Unclog { .. }
            | Self::EndFilter { .. }
            | Self::EndImpairment { .. }
            | Self::RepairDisk { .. }
            | Self::EndDiskFault { .. }
            | Self::CancelPowerOff { .. }
            | Self::RestoreCpu { .. }
            | Self::Snapshot { .. }
            | Self::EndOwn { .. }
            | Self::Settle => false,
        }
    }

    /// The machine that it concerns, if there is exactly one.
    pub(crate) fn machine(&self) -> Option<MachineId> {
        match self {
            Self::Stop { who, .. } | Self::Kill { who } => Some(who.machine),
            Self::PowerOff { machine }
            | Self::Start { machine, .. }
            | Self::Pause { machine }
            | Self::Resume { machine }
            | Self::EndStop { machine }
            | Self::Wipe { machine }
            | Self::BreakDisk { machine, .. }
            | Self::RepairDisk { machine }
            | Self::EndDiskFault { machine, .. }
            | Self::PowerOffAtCall { machine, .. }
            | Self::CancelPowerOff { machine }
            | Self::SlowCpu { machine, .. }
            | Self::RestoreCpu { machine }
            | Self::FreezeClock { machine }
            | Self::Snapshot { machine, .. }
            | Self::Restore { machine, .. }
            | Self::Point { machine, .. }
            | Self::Clock { machine, .. } => Some(*machine),
            Self::Own { victims, .. } => match victims.as_slice() {
                [one] => Some(*one),
                _ => None,
            },
            Self::Partition { .. }
            | Self::Heal { .. }
            | Self::HealAll
            | Self::Clog { .. }
            | Self::Unclog { .. }
            | Self::Link { .. }
            | Self::Filter { .. }
            | Self::EndFilter { .. }
            | Self::Impair { .. }
            | Self::EndImpairment { .. }
            | Self::EndOwn { .. }
            | Self::Settle => None,
        }
    }

    /// The machines whose events it can be bound to.
    pub(crate) fn involved(&self) -> Vec<MachineId> {
        match self {
            Self::Partition { from, to, .. }
            | Self::Clog { from, to }
            | Self::Impair { from, to, .. } => [from.as_slice(), to.as_slice()].concat(),
            Self::Link { paths: LinkPaths::Machines { from, to }, .. } => {
                [from.as_slice(), to.as_slice()].concat()
            }
            _ => self.affected().to_vec(),
        }
    }

    /// The machines that count as affected.
    pub(crate) fn affected(&self) -> &[MachineId] {
        match self {
            Self::Stop { who, .. } | Self::Kill { who } => std::slice::from_ref(&who.machine),
            Self::PowerOff { machine }
            | Self::Pause { machine }
            | Self::Wipe { machine }
            | Self::BreakDisk { machine, .. }
            | Self::PowerOffAtCall { machine, .. }
            | Self::SlowCpu { machine, .. }
            | Self::FreezeClock { machine }
            | Self::Restore { machine, .. }
            | Self::Point { machine, .. }
            | Self::Clock { machine, .. } => std::slice::from_ref(machine),
            Self::Partition { from, .. }
            | Self::Clog { from, .. }
            | Self::Filter { from, .. }
            | Self::Impair { from, .. } => from,
            Self::Link { paths: LinkPaths::Machines { from, .. }, .. } => from,
            Self::Own { victims, .. } => victims,
            Self::Link { paths: LinkPaths::Zones { .. }, .. }
            | Self::Start { .. }
            | Self::Resume { .. }
            | Self::EndStop { .. }
            | Self::Heal { .. }
            | Self::HealAll
            | Self::Unclog { .. }
            | Self::EndFilter { .. }
            | Self::EndImpairment { .. }
            | Self::RepairDisk { .. }
            | Self::EndDiskFault { .. }
            | Self::CancelPowerOff { .. }
            | Self::RestoreCpu { .. }
            | Self::Snapshot { .. }
            | Self::EndOwn { .. }
            | Self::Settle => &[],
        }
    }
}

impl Script {
    /// Returns the script of a run's recorded acts: each fault with the repairs that undid it.
    pub(crate) fn of(recorded: &[RecordedAct]) -> Self {
        Self { acts: pairing::pair(recorded) }
    }
}
