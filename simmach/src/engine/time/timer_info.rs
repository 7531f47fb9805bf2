//! Information about timers from the layers above, since the engine does not distinguish timers.
//! This information tells the engine whether a timer keeps a run from stalling, and how to describe
//! a timer in a report.

use crate::engine::time::timers::TimerKey;

/// A layer's information about its timers.
#[derive(Clone, Copy)]
pub(crate) struct TimerInfo {
    /// Whether the layer has a pending timer that will wake a waiting task with a result, or start
    /// a process. Timers that are rearmed forever must not count: with such a timer, a run would
    /// never stall.
    pub(crate) prevents_stall: fn() -> bool,
    /// Describes a timer, if it belongs to the layer.
    pub(crate) describe: fn(TimerKey) -> Option<String>,
}
