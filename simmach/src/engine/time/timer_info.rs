//! What the layers above know about their timers. The engine itself does not distinguish timers. This information tells it
//! whether a timer keeps a run from stalling, and how to describe a timer in a report.

use crate::engine::time::timers::TimerKey;

/// What a layer knows about its timers.
#[derive(Clone, Copy)]
pub(crate) struct TimerInfo {
    /// Whether the layer has a pending timer that will wake a waiting task with a result, or start a process. Timers that are
    /// rearmed forever must not count: a run with such a timer would never stall.
    pub(crate) prevents_stall: fn() -> bool,
    /// Describes a timer, if it is one of the layer's.
    pub(crate) describe: fn(TimerKey) -> Option<String>,
}
