//! The faults of the library, for [`FaultPlan`](crate::FaultPlan).
//!
//! ```
//! use simmach::prelude::*;
//! use simmach::{Cadence, FaultPlan, Target, faults};
//!
//! // Isolates a leader and sets the drift of its clocks at the same time.
//! let plan = FaultPlan::new(faults::Isolate).and(faults::Drift::up_to(500));
//! let plan = plan.on(Target::new().role("leader")).when(Cadence::every(1.secs()..5.secs()));
//! ```

mod clocks;
mod connections;
mod cpu;
mod disks;
mod flapping;
mod impairments;
mod machines;
mod network;

pub use crate::chaos::faults::clocks::{ClockStep, Drift, StuckClock};
pub use crate::chaos::faults::connections::OneConnection;
pub use crate::chaos::faults::cpu::SlowCpu;
pub use crate::chaos::faults::disks::{
    FailReads, FailSync, FailWrites, FullDisk, PowerOffInCall, StallDisk,
};
pub use crate::chaos::faults::flapping::Flapping;
pub use crate::chaos::faults::impairments::{Delay, Duplicate, Loss, Reorder, Throttle};
pub use crate::chaos::faults::machines::{Kill, Pause, PowerOff, Stop, Wipe};
pub use crate::chaos::faults::network::{Bridge, Clog, Isolate, OneWay};
