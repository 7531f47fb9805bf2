//! The simulated network, in layers: the handles of processes (`sockets`), the kernels of all
//! machines (`kernel`), the links between machines (`link`), and one TCP connection as a state
//! machine (`tcp`). A layer imports only from layers that follow it in this list.

pub(crate) mod address;
pub(crate) mod kernel;
pub(crate) mod key;
mod lazy_box;
pub(crate) mod link;
pub(crate) mod sockets;
pub(crate) mod stats;
pub(crate) mod tcp;

pub use crate::net::simulated::kernel::table::{SocketEntry, SocketState};
pub use crate::net::simulated::link::filter::{PacketFate, PacketFilter};
pub use crate::net::simulated::link::profile::{NetworkProfile, PacketInfo, Protocol};
pub use crate::net::simulated::tcp::config::{KeepAlive, TcpConfig};

pub(crate) use crate::net::simulated::kernel::spec::{Host, Link, NetSpec};
pub(crate) use crate::net::simulated::kernel::{control, discard, install, remove};
pub(crate) use crate::net::simulated::link::filter::Choice;
pub(crate) use crate::net::simulated::link::links::LinkState;
pub(crate) use crate::net::simulated::link::partitions::RemainingPartitions;
