//! Public socket types. Each type is an enum of a simulated socket and a tokio socket. A socket
//! that is created in a run is simulated.

#[macro_use]
mod shared;

mod split;
mod tcp_listener;
mod tcp_socket;
mod tcp_stream;
mod traits;
mod udp_socket;

pub use crate::net::handles::split::{
    OwnedReadHalf, OwnedWriteHalf, ReadHalf, ReuniteError, WriteHalf,
};
pub use crate::net::handles::tcp_listener::TcpListener;
pub use crate::net::handles::tcp_socket::TcpSocket;
pub use crate::net::handles::tcp_stream::TcpStream;
pub use crate::net::handles::udp_socket::UdpSocket;
