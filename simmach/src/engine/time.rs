//! Virtual time: the run's clock, the machines' clocks and their skew, and timers.

pub(crate) mod clock;
pub(crate) mod machine_clocks;
pub(crate) mod timer_info;
pub(crate) mod timers;
