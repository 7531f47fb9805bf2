//! TCP and UDP sockets and name lookup, with the names and signatures of `tokio::net`.
//!
//! Inside a run the network is simulated. Outside a run, with the feature `real`, the types wrap tokio's own sockets
//! and return the operating system's errors.
//!
//! Users call [`TcpListener`], [`TcpStream`], [`TcpSocket`], [`UdpSocket`] and [`lookup_host`]. A
//! simulated handle holds only numbers, so it is `Send + Sync`. A handle works only inside its run;
//! elsewhere, its methods return an error.
//!
//! All methods of tokio's sockets and halves exist with tokio's signatures, except these:
//!
//! | missing | reason |
//! |---|---|
//! | `from_std`, `from_std_stream`, `into_std`, methods that take or return descriptors | a simulated socket has no descriptor |
//! | `device`, `bind_device` | a machine has one interface besides loopback |
//! | `multicast_…`, `join_multicast_…`, `leave_multicast_…` | multicast is not modelled; broadcast within a zone is |
//! | `tos`, `set_tos` | deprecated in tokio: use `tos_v4` and `set_tos_v4` |
//! | `Interest` and `Ready` for errors and priority | there is no urgent data, and an error makes a socket readable and writable |
//!
//! The poll functions that take a `ReadBuf` need the feature `tokio-io`. Time to live and traffic
//! class are stored, but have no effect in a run, which has no routers. Dropping a simulated stream
//! never blocks, even if [`TcpStream::set_linger`] was called.
//!
//! The simulated network is in `simulated`. The documentation of each module there says what the
//! module models. These are not modelled: selective acknowledgements (SACK), congestion control,
//! multicast, ICMP except for closed ports, and the duration of name lookups.

mod handles;
pub(crate) mod lookup;
mod ready;
#[cfg(feature = "real")]
mod real;
#[cfg(feature = "sim")]
pub(crate) mod simulated;
pub(crate) mod target;

#[cfg(all(test, feature = "sim"))]
mod rig;
#[cfg(all(test, feature = "sim"))]
mod tests;

pub use crate::net::handles::{TcpListener, TcpSocket, TcpStream, UdpSocket};
pub use crate::net::lookup::{ToSocketAddrs, lookup_host};
pub use crate::net::ready::{Interest, Ready};

#[cfg(feature = "sim")]
pub(crate) use crate::net::simulated::{
    Choice, Host, Link, LinkState, NetSpec, RemainingPartitions, control, discard, install, remove,
};
#[cfg(feature = "sim")]
pub use crate::net::simulated::{
    KeepAlive, NetworkProfile, PacketFate, PacketFilter, PacketInfo, Protocol, SocketEntry,
    SocketState, TcpConfig,
};

pub mod tcp {
    //! TCP handles: listener, socket, stream and the halves of a stream.
    pub use crate::net::handles::{
        OwnedReadHalf, OwnedWriteHalf, ReadHalf, ReuniteError, TcpListener, TcpSocket, TcpStream,
        WriteHalf,
    };
}
