//! The description of a run's network: machines, links and TCP parameters.

use std::sync::Arc;

use crate::engine::{MachineId, Name};
use crate::net::{NetworkProfile, TcpConfig};

/// The machines, links and TCP parameters of a run's network.
#[derive(Debug, Default)]
pub(crate) struct NetSpec {
    pub(crate) hosts: Vec<Host>,
    pub(crate) links: Vec<Link>,
    pub(crate) tcp: TcpConfig,
    /// Profile between zones without a link. If `None`, such zones cannot reach each other.
    pub(crate) default_profile: Option<NetworkProfile>,
    /// Profiles of paths between single machines, which override those of their zones.
    pub(crate) pairs: Vec<(MachineId, MachineId, NetworkProfile)>,
    /// Whether names resolve to IPv6 addresses too.
    pub(crate) dual_stack: bool,
}

/// A machine. It has power until [`set_power`](crate::net::control::set_power) switches the power
/// off.
#[derive(Debug)]
pub(crate) struct Host {
    pub(crate) machine: MachineId,
    pub(crate) name: Name,
    /// Name of the zone, shared by its machines.
    pub(crate) zone: Arc<str>,
    /// Whether the machine reaches every zone and every zone reaches it, by `lan()` where there is
    /// no link. True for clients.
    pub(crate) routes_to_all: bool,
    /// The machine's own TCP parameters; `None` if it uses those of the run.
    pub(crate) tcp: Option<TcpConfig>,
}

/// A link from one zone to another.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) from_zone: String,
    pub(crate) to_zone: String,
    pub(crate) profile: NetworkProfile,
}
