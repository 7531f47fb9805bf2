//! Virtual time: timers, the clocks of machines and their errors, and what is still to come.

pub(crate) mod clock;
pub(crate) mod machine_clocks;
pub(crate) mod timer_info;
pub(crate) mod timers;
