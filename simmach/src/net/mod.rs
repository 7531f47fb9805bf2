//! The simulated network: TCP, UDP and names, with the names and signatures of tokio's.
//!
//! What a user calls is here: [`TcpListener`], [`TcpStream`], [`TcpSocket`], [`UdpSocket`], [`lookup_host`]. Handles hold numbers only,
//! so they are `Send + Sync`; they work inside the run they belong to, and answer with an error anywhere else.
//!
//! Below: a connection as a state machine (`connection`), its bytes (`buffers`), what links do to packets (`links`,
//! `profile`, `latency`), and the hosts with their sockets (`fabric`). Modelled: what those modules say. Not modelled:
//! SACK, congestion control, multicast, ICMP but for closed ports, and the time that looking up a name
//! takes.

mod address;
mod buffers;
mod capture;
mod config;
mod connection;
mod error;
mod fabric;
mod filter;
mod host;
mod key;
mod latency;
mod links;
mod lookup;
mod octets;
mod pairs;
mod profile;
mod ready;
mod rtt;
mod segment;
mod socket;
mod stats;
mod table;
pub mod tcp;
mod udp;
mod wait;
mod wakers;

#[cfg(test)]
mod interop;
#[cfg(test)]
mod rig;
#[cfg(test)]
mod tests;

pub use config::{KeepAlive, TcpConfig};
pub use filter::{PacketFate, PacketFilter};
pub use lookup::{ToSocketAddrs, lookup_host};
pub use profile::{NetworkProfile, PacketInfo};
pub use ready::{Interest, Ready};
pub use table::{SocketEntry, SocketState};
pub use tcp::{TcpListener, TcpSocket, TcpStream};
pub use udp::UdpSocket;

pub(crate) use fabric::{
    control::{
        capture, captured, clear_filters, clog, close_process, cut, erase_machine, filter_packets,
        has_zones, is_original_pair_profile, is_original_profile, mend, mend_all, no_filter,
        restore_links, set_pair_profile, set_profile, set_up, sockets, unclog, unclog_all,
    },
    install, remove,
};

use crate::engine::MachineId;

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

/// A machine. It has power until [`set_up`] says otherwise.
#[derive(Debug)]
pub(crate) struct Host {
    pub(crate) machine: MachineId,
    pub(crate) name: String,
    pub(crate) zone: String,
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
