//! Common imports for tests: `use simmach::prelude::*;`.

pub use crate::chaos::{GracefulMonkey, Hardship, Partitions, Plan, PowerOffs, Swarm};
pub use crate::machine::{OnExit, Selector};
pub use crate::net::{NetworkProfile, TcpConfig};
pub use crate::sim::{GRACE, Sim};
pub use crate::spec::Topology;
pub use crate::storage::DiskProfile;
pub use crate::time::{Duration, DurationUnits};
pub use crate::{BoxError, Result, sim_test};
