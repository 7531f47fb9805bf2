//! What users hold: sockets that are simulated, or tokio's. Where one is made decides.

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
