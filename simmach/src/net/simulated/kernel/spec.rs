//! The network that a run begins with.

use std::sync::Arc;

use crate::engine::{MachineId, Name};
use crate::net::{NetworkProfile, TcpConfig};

/// The network that a run begins with.
#[derive(Debug, Default)]
pub(crate) struct NetSpec {
    pub(crate) hosts: Vec<Host>,
    pub(crate) links: Vec<Link>,
    pub(crate) tcp: TcpConfig,
    /// Joins any two zones without a link; without it these can't reach each other.
    pub(crate) default_profile: Option<NetworkProfile>,
    /// Ways between machines that are not as their zones' link.
    pub(crate) pairs: Vec<(MachineId, MachineId, NetworkProfile)>,
    /// Names have IPv6 addresses too.
    pub(crate) dual_stack: bool,
}

/// A machine. It has power until [`set_up`](crate::net::set_up) says otherwise.
#[derive(Debug)]
pub(crate) struct Host {
    pub(crate) machine: MachineId,
    pub(crate) name: Name,
    /// Shared by those that are in it.
    pub(crate) zone: Arc<str>,
    /// As a client's: it reaches every zone and is reached from it, by `lan()` where nothing else is said.
    pub(crate) routes_to_all: bool,
    /// Its own figures of TCP, where they are not the topology's.
    pub(crate) tcp: Option<TcpConfig>,
}

/// What packets from one zone to another meet.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) from_zone: String,
    pub(crate) to_zone: String,
    pub(crate) profile: NetworkProfile,
}
