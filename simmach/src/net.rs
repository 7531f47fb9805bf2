//! The network: TCP, UDP and names, with the names and signatures of tokio's; in a run it is simulated, outside one, with
//! the feature `real`, it is tokio's own, with the operating system's errors.
//!
//! What a user calls is here: [`TcpListener`], [`TcpStream`], [`TcpSocket`], [`UdpSocket`], [`lookup_host`]. A run's handles hold
//! numbers only, so they are `Send + Sync`; they work inside the run they belong to, and answer with an error anywhere else.
//!
//! Of the methods of tokio's sockets and halves these are left out; all others are here, with its signatures:
//!
//! | left out | because |
//! |---|---|
//! | `from_std`, `from_std_stream`, `into_std`, and what gives or takes descriptors | a simulated socket has no descriptor |
//! | `reuseport`, `set_reuseport` | there are no cores to share a port among; which socket gets a connection is the kernel's hash of it |
//! | `device`, `bind_device` | a machine has one interface beside loopback |
//! | `multicast_…`, `join_multicast_…`, `leave_multicast_…` | multicast is not modelled; broadcast within a zone is |
//! | `tos`, `set_tos` | they are tokio's old names of `tos_v4` and `set_tos_v4` |
//! | `Interest` and `Ready` of errors and priority | there are no urgent data, and an error makes a socket ready both ways |
//!
//! The poll functions that take a `ReadBuf` are there with the feature `tokio`. Time to live and traffic class are kept and
//! told, and have no effect: there are no routers.
//! [`TcpStream::set_linger`] and [`TcpStream::set_zero_linger`] are as tokio's, and a drop never blocks.
//!
//! Below: a connection as a state machine (`connection`), its bytes (`buffers`), what links do to packets (`links`,
//! `profile`, `latency`), and the hosts with their sockets (`fabric`). Modelled: what those modules say. Not modelled:
//! SACK, congestion control, multicast, ICMP but for closed ports, and the time that looking up a name
//! takes.

#[cfg(feature = "sim")]
mod address;
#[cfg(feature = "sim")]
mod buffers;
#[cfg(feature = "sim")]
mod capture;
#[cfg(feature = "sim")]
mod config;
#[cfg(feature = "sim")]
mod connection;
#[cfg(feature = "sim")]
mod error;
#[cfg(feature = "sim")]
mod fabric;
#[cfg(feature = "sim")]
mod filter;
mod handles;
#[cfg(feature = "sim")]
mod host;
#[cfg(feature = "sim")]
mod key;
#[cfg(feature = "sim")]
mod latency;
#[cfg(feature = "sim")]
mod links;
pub(crate) mod lookup;
#[cfg(feature = "sim")]
mod octets;
#[cfg(feature = "sim")]
mod order;
#[cfg(feature = "sim")]
mod packet;
#[cfg(feature = "sim")]
mod pairs;
#[cfg(feature = "sim")]
mod payload;
#[cfg(feature = "sim")]
mod pieces;
#[cfg(feature = "sim")]
mod profile;
#[cfg(feature = "sim")]
mod rare;
mod ready;
#[cfg(feature = "real")]
mod real;
#[cfg(feature = "sim")]
mod rtt;
#[cfg(feature = "sim")]
mod segment;
#[cfg(feature = "sim")]
mod simulated;
#[cfg(feature = "sim")]
mod socket;
#[cfg(feature = "sim")]
mod spec;
#[cfg(feature = "sim")]
mod stats;
#[cfg(feature = "sim")]
mod table;
#[cfg(feature = "sim")]
mod wait;
#[cfg(feature = "sim")]
mod wakers;

#[cfg(all(test, feature = "sim"))]
mod interop;
#[cfg(all(test, feature = "sim"))]
mod rig;
#[cfg(all(test, feature = "sim"))]
mod tests;

pub use crate::net::handles::{TcpListener, TcpSocket, TcpStream, UdpSocket};
pub use crate::net::lookup::{ToSocketAddrs, lookup_host};
pub use crate::net::ready::{Interest, Ready};

#[cfg(feature = "sim")]
pub use crate::net::config::{KeepAlive, TcpConfig};
pub use crate::net::filter::{PacketFate, PacketFilter};
pub use crate::net::profile::{NetworkProfile, PacketInfo};
pub use crate::net::table::{SocketEntry, SocketState};

pub(crate) use crate::net::fabric::control::{
    capture, captured, clear_filters, clog, close_process, cut, erase_machine, filter_packets,
    has_pair_profile, has_profile, has_zones, is_original_pair_profile, is_original_profile, mend,
    mend_all, no_filter, ports, restore_links, set_pair_profile, set_profile, set_up, sockets,
    unclog, unclog_all, would_clog, would_cut,
};
#[cfg(feature = "sim")]
pub(crate) use crate::net::fabric::{discard, install, remove};
pub(crate) use crate::net::spec::{Host, Link, NetSpec};

pub mod tcp {
    //! TCP's handles: a listener, a stream, a stream's halves.

    pub use crate::net::handles::{
        OwnedReadHalf, OwnedWriteHalf, ReadHalf, ReuniteError, TcpListener, TcpSocket, TcpStream,
        WriteHalf,
    };
}
