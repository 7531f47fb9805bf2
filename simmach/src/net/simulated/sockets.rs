//! The simulated sockets that processes hold. A handle consists of numbers that identify a socket
//! in the kernel. The methods are documented in `handles`, where users see them.

mod ip_level;
mod listener;
mod readiness;
mod resolve;
mod socket;
mod stream;
mod udp;
mod wait;

pub(crate) use crate::net::simulated::sockets::ip_level::IpLevel;
pub(crate) use crate::net::simulated::sockets::listener::TcpListener;
pub(crate) use crate::net::simulated::sockets::readiness::Readiness;
pub(crate) use crate::net::simulated::sockets::resolve::resolve;
pub(crate) use crate::net::simulated::sockets::socket::TcpSocket;
pub(crate) use crate::net::simulated::sockets::stream::TcpStream;
pub(crate) use crate::net::simulated::sockets::udp::UdpSocket;
