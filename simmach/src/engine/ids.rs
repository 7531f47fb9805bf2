//! Ids of runs, machines and processes: plain numbers, so that handles which hold them are `Send`.

use std::sync::atomic::{AtomicU64, Ordering};

use serde::{Deserialize, Serialize};

/// The id of a run, unique in the OS process. Handles keep it to detect that their run has ended.
///
/// The id must not enter a draw or the trace, since it depends on earlier runs of the OS process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RunId(u64);

impl RunId {
    pub(crate) fn next() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

/// A machine, by its index in the topology after ranges are expanded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(crate) struct MachineId(pub u32);

/// A process: one incarnation of a service on a machine, or a client. Stops and kills apply to a
/// process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct ProcessId(pub u32);

impl ProcessId {
    /// The harness itself, which runs the plans.
    pub(crate) const HARNESS: Self = Self(0);
}

/// The machine, process and task of running code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Scope {
    pub(crate) machine: MachineId,
    pub(crate) process: ProcessId,
    /// The task's path: a mix of its parent's path and its number among the parent's children.
    pub(crate) task: u64,
    /// False while futures of a terminated process are dropped: their destructors cannot affect the run.
    pub(crate) alive: bool,
}

impl Scope {
    /// The scope of the harness, which has no machine.
    pub(crate) const HARNESS: Self =
        Self { machine: MachineId(u32::MAX), process: ProcessId::HARNESS, task: 0, alive: true };
}
