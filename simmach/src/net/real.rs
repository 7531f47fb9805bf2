//! Operations on the tokio sockets inside the handles. They take a shared reference, which tokio's
//! traits do not support.

use std::io::{self, IoSlice};
use std::net::{Shutdown, SocketAddr};
use std::task::{Context, Poll, ready};

use socket2::SockRef;
use tokio::io::ReadBuf;
use tokio::net::TcpStream;

use crate::net::target::Target;

/// Resolves `target` with the operating system.
pub(crate) async fn addresses(target: Target<'static>) -> io::Result<Vec<SocketAddr>> {
    match target {
        Target::Addresses(addresses) => Ok(addresses),
        Target::Name(name, port) => Ok(tokio::net::lookup_host((&*name, port)).await?.collect()),
    }
}

pub(crate) fn poll_read(
    stream: &TcpStream,
    cx: &mut Context<'_>,
    buf: &mut [u8],
) -> Poll<io::Result<usize>> {
    poll(|| stream.poll_read_ready(cx), || stream.try_read(buf))
}

pub(crate) fn poll_read_buf(
    stream: &TcpStream,
    cx: &mut Context<'_>,
    buf: &mut ReadBuf<'_>,
) -> Poll<io::Result<()>> {
    poll(|| stream.poll_read_ready(cx), || stream.try_read_buf(buf).map(drop))
}

pub(crate) fn poll_write(
    stream: &TcpStream,
    cx: &mut Context<'_>,
    buf: &[u8],
) -> Poll<io::Result<usize>> {
    poll(|| stream.poll_write_ready(cx), || stream.try_write(buf))
}

pub(crate) fn poll_write_vectored(
    stream: &TcpStream,
    cx: &mut Context<'_>,
    bufs: &[IoSlice<'_>],
) -> Poll<io::Result<usize>> {
    poll(|| stream.poll_write_ready(cx), || stream.try_write_vectored(bufs))
}

/// Shuts down the write direction. As in tokio, this succeeds if the connection is already closed.
pub(crate) fn shut_down(stream: &TcpStream) -> io::Result<()> {
    match SockRef::from(stream).shutdown(Shutdown::Write) {
        Err(error) if error.kind() == io::ErrorKind::NotConnected => Ok(()),
        result => result,
    }
}

/// Waits for readiness and tries, until the attempt does not block.
fn poll<T>(
    mut is_ready: impl FnMut() -> Poll<io::Result<()>>,
    mut attempt: impl FnMut() -> io::Result<T>,
) -> Poll<io::Result<T>> {
    loop {
        ready!(is_ready())?;
        match attempt() {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            result => return Poll::Ready(result),
        }
    }
}
