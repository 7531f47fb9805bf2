//! What took effect: faults and life of the cluster, counted, and the rarer ones kept with their time.
//!
//! A fault that was configured and never happened is not here: a report made from these figures cannot claim it.

use serde::{Deserialize, Serialize};

use crate::engine::ids::MachineId;

macro_rules! effects {
    ($($name:ident: $one:literal, $many:literal, $(#[doc = $doc:literal])*;)*) => {
        /// Something that took effect in a run.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
        pub(crate) enum Effect { $($(#[doc = $doc])* $name,)* }

        impl Effect {
            /// All of them, in the order of a report.
            pub(crate) const ALL: &[Self] = &[$(Self::$name),*];

            /// Its name in a report: `1 kill`, `2 kills`.
            pub(crate) fn label(self, count: u64) -> &'static str {
                match self { $(Self::$name => if count == 1 { $one } else { $many },)* }
            }
        }
    };
}

effects! {
    PowerOff: "power-off", "power-offs", /// A machine lost its power.
    ;
    CommitLost: "commit lost", "commits lost", /// A commit that was not durable when the power went.
    ;
    Kill: "kill", "kills", /// A process was killed.
    ;
    Stop: "stop", "stops", /// A process was told to stop, and did in time.
    ;
    Wipe: "wipe", "wipes", /// A machine's disk was wiped.
    ;
    Restart: "restart", "restarts", /// A process was started again.
    ;
    Partition: "partition", "partitions", /// Two groups of machines were cut from each other.
    ;
    Clog: "clog", "clogs", /// Packets between two groups of machines were held back.
    ;
    PacketCut: "packet cut", "packets cut", /// A packet met a partition.
    ;
    PacketLost: "packet lost", "packets lost", /// A link lost a packet.
    ;
    PacketDuplicated: "packet duplicated", "packets duplicated", /// A link delivered a packet twice.
    ;
    PacketReordered: "packet reordered", "packets reordered", /// A packet arrived after one sent later.
    ;
    PacketDropped: "packet dropped", "packets dropped", /// A full queue, or a machine that is down, dropped a packet.
    ;
    Retransmission: "retransmission", "retransmissions", /// A segment was sent again.
    ;
    Reset: "connection reset", "connections reset", /// A connection ended by RST.
    ;
    ClockStep: "clock step", "clock steps", /// A machine's wall clock was set to another time.
    ;
    ClockDrift: "clock drift", "clock drifts", /// A machine's clocks began to run fast or slow.
    ;
    DiskFull: "disk full", "disks full", /// A write found no room on a modelled disk.
    ;
}

/// How often each effect took place.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Effects {
    counts: [u64; Effect::ALL.len()],
}

impl Effects {
    /// How often it took place.
    pub(crate) fn count(&self, effect: Effect) -> u64 {
        self.counts[effect as usize]
    }

    /// Those that did, in the order of a report.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Effect, u64)> + '_ {
        Effect::ALL.iter().map(|effect| (*effect, self.count(*effect))).filter(|(_, n)| *n > 0)
    }

    /// Adds another run's.
    pub(crate) fn add_all(&mut self, other: &Self) {
        for (own, theirs) in self.counts.iter_mut().zip(other.counts) {
            *own += theirs;
        }
    }

    pub(crate) fn add(&mut self, effect: Effect, n: u64) {
        self.counts[effect as usize] += n;
    }
}

/// One fault that took effect, for the report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Fault {
    /// Virtual nanoseconds since the run began.
    pub at: u64,
    /// What.
    pub effect: Effect,
    /// On which machine, if on one.
    pub machine: Option<MachineId>,
    /// In words.
    pub text: String,
}
