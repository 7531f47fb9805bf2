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
//! The simulated network is in `simulated`; the heads of its modules say what they model. Not modelled: SACK, congestion
//! control, multicast, ICMP except for closed ports, and the time that looking up a name takes.

mod handles;
pub(crate) mod lookup;
mod ready;
#[cfg(feature = "real")]
mod real;
#[cfg(feature = "sim")]
mod simulated;

#[cfg(all(test, feature = "sim"))]
mod rig;
#[cfg(all(test, feature = "sim"))]
mod tests;

pub use crate::net::handles::{TcpListener, TcpSocket, TcpStream, UdpSocket};
pub use crate::net::lookup::{ToSocketAddrs, lookup_host};
pub use crate::net::ready::{Interest, Ready};

#[cfg(feature = "sim")]
pub(crate) use crate::net::simulated::{
    Host, Link, LinkState, NetSpec, StaysCut, control, discard, install, remove,
};
#[cfg(feature = "sim")]
pub use crate::net::simulated::{
    KeepAlive, NetworkProfile, PacketFate, PacketFilter, PacketInfo, SocketEntry, SocketState,
    TcpConfig,
};

pub mod tcp {
    //! TCP's handles: a listener, a stream, a stream's halves.

    pub use crate::net::handles::{
        OwnedReadHalf, OwnedWriteHalf, ReadHalf, ReuniteError, TcpListener, TcpSocket, TcpStream,
        WriteHalf,
    };
}
