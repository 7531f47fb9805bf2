//! Acts: what plans do to the cluster, as plain data, and scripts of them.
//!
//! Whatever a plan does, be it the library's or a user's `async |sim|`, is recorded as an [`Act`]: *what* is done to *whom*.
//! A [`TimedAct`] adds *when*, and how it is undone: a fault is an act with its repairs. A [`Script`] is a list of them, and
//! stands in for all plans: a run whose overlay has a script starts no plan, and carries out the acts instead. So the
//! shrinker, tokens and reports know acts only, and not which plan, cadence, target or budget they came from.
//!
//! An act names machines and services by number, never by pattern. One that finds nothing to do, such as starting what runs,
//! does nothing: no act of a script depends on another, and any of them can be left out.
//!
//! What decides on acts is kept apart from them. A plan has a cadence (when), a target (whom), a fault (what, and how it is
//! undone) and a budget (how many at once). All of these draw, and all end in acts.
//!
//! What the test's body and its clients do is no act. It stays where it is.

mod pairing;
mod runner;

use serde::{Deserialize, Serialize};

use crate::engine::ids::MachineId;

pub(crate) use crate::engine::acts::runner::{DueAct, ScriptRunner};

/// Something that is done to the cluster at one point in time.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) enum Act {
    /// Processes are told to stop. Those that have not ended after `grace` nanoseconds are killed.
    Stop { who: Processes, grace: u64 },
    /// Processes are killed.
    Kill { who: Processes },
    /// A machine loses its power.
    PowerOff { machine: MachineId },
    /// A machine gets power, and services on it are started.
    Start { machine: MachineId, services: Vec<u32> },
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
    /// Links get another profile, as the layer `net` encodes it. It is a repair if the profile is the original one.
    Link { paths: LinkPaths, profile: Vec<u8>, is_original: bool },
    /// The clocks of a machine are set. It is a repair if they are set right.
    Clock { machine: MachineId, offset: i128, drift: i32 },
    /// A packet filter is added. Its decisions are listed; it passes all other packets.
    Filter { number: u64, from: Vec<MachineId>, to: Vec<MachineId>, verdicts: Vec<PacketVerdict> },
    /// A packet filter is removed.
    EndFilter { number: u64 },
    /// Everything is repaired, and all services are started, as by `Sim::settle`.
    Settle,
}

/// Processes on one machine.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct Processes {
    pub(crate) machine: MachineId,
    /// The services, by their number on the machine.
    pub(crate) services: Vec<u32>,
    /// Whether the clients on the machine are meant, too.
    pub(crate) clients: bool,
}

/// Links that get another profile.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) enum LinkPaths {
    /// The link from one zone to another.
    Zones { from: String, to: String },
    /// Every path from one group of machines to another.
    Machines { from: Vec<MachineId>, to: Vec<MachineId> },
}

/// What a filter decided about one packet.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct PacketVerdict {
    /// The words of the packet's address: flow, number, transmission.
    pub(crate) packet: [u64; 3],
    /// The delay in nanoseconds; `None` if the packet is dropped.
    pub(crate) delay: Option<u64>,
}

/// An act with its time, and the acts that undo it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct TimedAct {
    /// Identifies the act while its script is shrunk.
    pub(crate) id: u32,
    /// The plan of the library on whose behalf it is done. Such a plan repairs only what it did itself.
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
    /// As [`When::place`].
    pub(crate) place: u32,
    pub(crate) act: Act,
}

/// When an act takes place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct When {
    /// The step of the test that it is counted from, as sequence and step; `None` is the start of the run. If the step is left
    /// out, the next one of its sequence takes its place.
    pub(crate) step: Option<(u64, u64)>,
    /// Nanoseconds after that.
    pub(crate) offset: u64,
    /// Its place among the events of its instant: how many polls of the program come first, if there are so many.
    pub(crate) place: u32,
}

/// The acts of a run, in the order in which they are listed, which is also the order of acts at one place.
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
    /// Whether it breaks something. Others repair what was broken.
    pub(crate) fn is_fault(&self) -> bool {
        match self {
            Self::Stop { .. }
            | Self::Kill { .. }
            | Self::PowerOff { .. }
            | Self::Wipe { .. }
            | Self::Partition { .. }
            | Self::Clog { .. }
            | Self::Filter { .. } => true,
            Self::Link { is_original, .. } => !is_original,
            Self::Clock { offset, drift, .. } => (*offset, *drift) != (0, 0),
            Self::Start { .. }
            | Self::Heal { .. }
            | Self::HealAll
            | Self::Unclog { .. }
            | Self::EndFilter { .. }
            | Self::Settle => false,
        }
    }

    /// The machine that it is done to, if it is one.
    pub(crate) fn machine(&self) -> Option<MachineId> {
        match self {
            Self::Stop { who, .. } | Self::Kill { who } => Some(who.machine),
            Self::PowerOff { machine }
            | Self::Start { machine, .. }
            | Self::Wipe { machine }
            | Self::Clock { machine, .. } => Some(*machine),
            Self::Partition { .. }
            | Self::Heal { .. }
            | Self::HealAll
            | Self::Clog { .. }
            | Self::Unclog { .. }
            | Self::Link { .. }
            | Self::Filter { .. }
            | Self::EndFilter { .. }
            | Self::Settle => None,
        }
    }

    /// The machines that count as affected by it.
    pub(crate) fn affected(&self) -> &[MachineId] {
        match self {
            Self::Stop { who, .. } | Self::Kill { who } => std::slice::from_ref(&who.machine),
            Self::PowerOff { machine } | Self::Wipe { machine } | Self::Clock { machine, .. } => {
                std::slice::from_ref(machine)
            }
            Self::Partition { from, .. } | Self::Clog { from, .. } | Self::Filter { from, .. } => {
                from
            }
            Self::Link { paths: LinkPaths::Machines { from, .. }, .. } => from,
            Self::Link { paths: LinkPaths::Zones { .. }, .. }
            | Self::Start { .. }
            | Self::Heal { .. }
            | Self::HealAll
            | Self::Unclog { .. }
            | Self::EndFilter { .. }
            | Self::Settle => &[],
        }
    }
}

impl Script {
    /// The script of a run's recorded acts: each fault with what undid it.
    pub(crate) fn of(recorded: &[RecordedAct]) -> Self {
        Self { acts: pairing::pair(recorded) }
    }
}
