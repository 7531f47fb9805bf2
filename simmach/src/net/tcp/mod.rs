//! TCP's handles: a listener, a stream, a stream's halves.

mod listener;
mod socket;
mod split;
mod stream;
#[cfg(feature = "tokio")]
mod tokio_io;

pub use listener::TcpListener;
pub use socket::TcpSocket;
pub use split::{OwnedReadHalf, OwnedWriteHalf, ReadHalf, ReuniteError, WriteHalf};
pub use stream::TcpStream;
