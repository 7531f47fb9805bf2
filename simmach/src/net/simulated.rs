//! The handles of a run: numbers that find their socket in the fabric. What each method means is said where users see it, in
//! `handles`.

mod ip_level;
mod listener;
mod lookup;
mod readies;
mod socket;
mod stream;
mod udp;

pub(crate) use crate::net::simulated::ip_level::IpLevel;
pub(crate) use crate::net::simulated::listener::TcpListener;
pub(crate) use crate::net::simulated::lookup::find;
pub(crate) use crate::net::simulated::readies::Readies;
pub(crate) use crate::net::simulated::socket::TcpSocket;
pub(crate) use crate::net::simulated::stream::TcpStream;
pub(crate) use crate::net::simulated::udp::UdpSocket;
