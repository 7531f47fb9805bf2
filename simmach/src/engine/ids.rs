//! Names for the things of a run: plain numbers, so that a handle that holds one can cross threads.

use std::sync::atomic::{AtomicU64, Ordering};

use serde::{Deserialize, Serialize};

/// One run, unique in its process. Handles keep it, so that one that outlives its run is told from a live one.
///
/// It never enters a draw or the trace: it counts the runs of the process, which differ from batch to batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RunId(u64);

impl RunId {
    pub(crate) fn next() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

/// A machine, by its place in the topology after ranges are expanded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct MachineId(pub u32);

/// One incarnation of a service on a machine: the unit that is stopped and killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct ProcessId(pub u32);

impl ProcessId {
    /// The harness itself, which runs the plans.
    pub(crate) const HARNESS: Self = Self(0);
}

/// Where the running code belongs: its machine, its process, its task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Scope {
    pub(crate) machine: MachineId,
    pub(crate) process: ProcessId,
    /// The task's path: a mix of its parent's path and its number among the parent's children.
    pub(crate) task: u64,
    /// False while the futures of a dead process are dropped: their destructors touch nothing of the run.
    pub(crate) alive: bool,
}

impl Scope {
    /// The harness's own scope: the machine of no one.
    pub(crate) const HARNESS: Self =
        Self { machine: MachineId(u32::MAX), process: ProcessId::HARNESS, task: 0, alive: true };
}
