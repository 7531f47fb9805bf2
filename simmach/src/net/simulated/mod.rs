//! The handles of a run: numbers that find their socket in the fabric. What each method means is said where users see it, in
//! `handles`.

mod ip_level;
mod listener;
mod lookup;
mod readies;
mod socket;
mod stream;
mod udp;

pub(crate) use ip_level::IpLevel;
pub(crate) use listener::TcpListener;
pub(crate) use lookup::find;
pub(crate) use readies::Readies;
pub(crate) use socket::TcpSocket;
pub(crate) use stream::TcpStream;
pub(crate) use udp::UdpSocket;
