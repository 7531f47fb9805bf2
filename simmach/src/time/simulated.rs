//! [`Sleep`](super::Sleep) and [`Interval`](super::Interval) in virtual time.

mod interval;
mod sleep;

pub(crate) use crate::time::simulated::interval::Interval;
pub(crate) use crate::time::simulated::sleep::{
    Sleep, sleep, sleep_unlimited, sleep_until, sleep_until_clock,
};
