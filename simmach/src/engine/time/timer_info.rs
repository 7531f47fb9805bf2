//! What the layers above know of their timers. To the engine all timers are alike; this tells it whether one of them keeps
//! a run from stalling, and how to describe one in a report.

use crate::engine::time::timers::TimerKey;

/// What a layer knows of its timers.
#[derive(Clone, Copy)]
pub(crate) struct TimerInfo {
    /// Whether the layer has a pending timer that will wake a waiting task with a result, or start a process. Timers that are
    /// rearmed forever must not count: a run with such a timer would never stall.
    pub(crate) prevents_stall: fn() -> bool,
    /// Describes a timer, if it is one of the layer's.
    pub(crate) describe: fn(TimerKey) -> Option<String>,
}
