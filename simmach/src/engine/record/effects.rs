//! Effects: what happened to the cluster, counted for the report. Faults are also kept with their times.
//!
//! Only effects that took place are counted. A report never claims a fault that was configured but
//! did not happen.

use serde::{Deserialize, Serialize};

use crate::engine::ids::MachineId;

macro_rules! effects {
    ($($name:ident: $one:literal, $many:literal, $(#[doc = $doc:literal])*;)*) => {
        /// Something that happened to the cluster in a run.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
        #[non_exhaustive]
        pub enum Effect { $($(#[doc = $doc])* $name,)* }

        impl Effect {
            /// All effects, in the order of a report.
            pub(crate) const ALL: &[Self] = &[$(Self::$name),*];

            /// The name of `count` such effects in a report: `kill` for 1, `kills` for 2.
            pub fn label(self, count: u64) -> &'static str {
                match self { $(Self::$name => if count == 1 { $one } else { $many },)* }
            }
        }
    };
}

effects! {
    PowerOff: "power-off", "power-offs", /// A machine lost its power.
    ;
    CommitLost: "commit lost", "commits lost", /// A commit that was not durable was lost with the power.
    ;
    WriteLost: "file change lost", "file changes lost", /// A change of a file or of a name that was not synced was lost with the power.
    ;
    Kill: "kill", "kills", /// A process was killed.
    ;
    Stop: "stop", "stops", /// A process received the stop signal and stopped in time.
    ;
    Pause: "pause", "pauses", /// A machine's processes were paused, and went on later.
    ;
    SlowCpu: "slow CPU", "slow CPUs", /// A machine's processes ran for a part of the time only.
    ;
    Wipe: "wipe", "wipes", /// A machine's disk was wiped.
    ;
    Restart: "restart", "restarts", /// A process was started again.
    ;
    Partition: "partition", "partitions", /// A partition between two groups of machines began.
    ;
    Clog: "clog", "clogs", /// Packets between two groups of machines were held back.
    ;
    Impairment: "link impairment", "link impairments", /// Packets between two groups of machines began to be duplicated, reordered or slowed down.
    ;
    PacketPartitioned: "packet dropped by a partition", "packets dropped by a partition", /// A partition dropped a packet.
    ;
    PacketLost: "packet lost", "packets lost", /// A link lost a packet.
    ;
    PacketDuplicated: "packet duplicated", "packets duplicated", /// A link delivered a packet twice.
    ;
    PacketReordered: "packet reordered", "packets reordered", /// A packet arrived after one sent later.
    ;
    PacketDropped: "packet dropped", "packets dropped", /// A full queue, or a machine that is down, dropped a packet.
    ;
    Retransmission: "retransmission", "retransmissions", /// A segment was retransmitted.
    ;
    Reset: "connection reset", "connections reset", /// A connection ended by RST.
    ;
    ClockStep: "clock step", "clock steps", /// A machine's wall clock was stepped.
    ;
    ClockDrift: "clock drift", "clock drifts", /// The drift of a machine's clocks changed.
    ;
    StuckClock: "stuck clock", "stuck clocks", /// A machine's wall clock stood still.
    ;
    DiskFull: "disk full", "disks full", /// A write failed because a machine's disk was full.
    ;
    DiskFault: "disk fault", "disk faults", /// The disk of a machine was filled, stalled, or made to fail.
    ;
    DiskError: "disk error", "disk errors", /// A read, write or sync of a file failed because of a disk fault.
    ;
    Restore: "disk replaced", "disks replaced", /// The disk of a machine was replaced by a snapshot.
    ;
    Own: "own fault", "own faults", /// A fault that the test brought with it began.
    ;
    PointFault: "fault at a point", "faults at points", /// Code was delayed, or failed, at a fault point.
    ;
}

/// The number of times that each effect happened.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Effects {
    counts: [u64; Effect::ALL.len()],
}

impl Effects {
    /// Number of times that `effect` happened.
    pub(crate) fn count(&self, effect: Effect) -> u64 {
        self.counts[effect as usize]
    }

    /// The effects that happened, in the order of a report.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Effect, u64)> + '_ {
        Effect::ALL.iter().map(|effect| (*effect, self.count(*effect))).filter(|(_, n)| *n > 0)
    }

    /// Adds the counts of another run.
    pub(crate) fn add_all(&mut self, other: &Self) {
        for (own, theirs) in self.counts.iter_mut().zip(other.counts) {
            *own += theirs;
        }
    }

    pub(crate) fn add(&mut self, effect: Effect, n: u64) {
        self.counts[effect as usize] += n;
    }
}

/// A fault that took effect.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Fault {
    /// Virtual nanoseconds since the run began.
    pub at: u64,
    /// The kind of fault.
    pub effect: Effect,
    /// The machine, if it concerns one.
    pub machine: Option<MachineId>,
    /// The description.
    pub text: String,
}
