//! Virtual time: timers, the clocks of machines and their errors, and what is still to come.

pub(crate) mod clock;
pub(crate) mod dials;
pub(crate) mod outlook;
pub(crate) mod timers;
