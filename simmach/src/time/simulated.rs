//! Virtual time's own: what [`Sleep`](super::Sleep) and [`Interval`](super::Interval) are in a run.

mod interval;
mod sleep;

pub(crate) use crate::time::simulated::interval::Interval;
pub(crate) use crate::time::simulated::sleep::{Sleep, sleep, sleep_uncut, sleep_until};
