//! All names and signatures that simmach's sockets share with tokio's. This file is compiled twice: against tokio's sockets, and
//! against simmach's.

#![allow(
    clippy::extra_unused_lifetimes,
    clippy::type_complexity,
    reason = "a signature is written out, and compared as a whole"
)]

use std::{
    io::{self, IoSlice, IoSliceMut},
    net::SocketAddr,
    task::{Context, Poll},
    time::Duration,
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{
    Interest, OwnedReadHalf, OwnedWriteHalf, ReadHalf, Ready, ReuniteError, TcpListener, TcpSocket,
    TcpStream, UdpSocket, WriteHalf,
};

type Told<T> = io::Result<T>;
type Accepted = Told<(TcpStream, SocketAddr)>;
type Received = Told<(usize, SocketAddr)>;
type Polled<'a, S, T> = fn(S, &mut Context<'_>, &mut ReadBuf<'a>) -> Poll<Told<T>>;

/// Functions that are not async, one a line.
#[allow(deprecated, reason = "tokio warns of a drop that blocks")]
fn calls<'a>() {
    let _: fn(&TcpListener, &mut Context<'_>) -> Poll<Accepted> = TcpListener::poll_accept;
    let _: fn(&TcpListener) -> Told<SocketAddr> = TcpListener::local_addr;
    let _: fn(&TcpListener) -> Told<u32> = TcpListener::ttl;
    let _: fn(&TcpListener, u32) -> Told<()> = TcpListener::set_ttl;

    let _: fn(&TcpStream) -> Told<SocketAddr> = TcpStream::local_addr;
    let _: fn(&TcpStream) -> Told<SocketAddr> = TcpStream::peer_addr;
    let _: fn(&TcpStream) -> Told<Option<io::Error>> = TcpStream::take_error;
    let _: Polled<'_, &TcpStream, usize> = TcpStream::poll_peek;
    let _: fn(&TcpStream, &mut Context<'_>) -> Poll<Told<()>> = TcpStream::poll_read_ready;
    let _: fn(&TcpStream, &mut Context<'_>) -> Poll<Told<()>> = TcpStream::poll_write_ready;
    let _: fn(&TcpStream, &mut [u8]) -> Told<usize> = TcpStream::try_read;
    let _: fn(&TcpStream, &mut [IoSliceMut<'_>]) -> Told<usize> = TcpStream::try_read_vectored;
    let _: fn(&TcpStream, &mut Vec<u8>) -> Told<usize> = TcpStream::try_read_buf;
    let _: fn(&TcpStream, &[u8]) -> Told<usize> = TcpStream::try_write;
    let _: fn(&TcpStream, &[IoSlice<'_>]) -> Told<usize> = TcpStream::try_write_vectored;
    let _: fn(&TcpStream) -> Told<bool> = TcpStream::nodelay;
    let _: fn(&TcpStream, bool) -> Told<()> = TcpStream::set_nodelay;
    let _: fn(&TcpStream) -> Told<bool> = TcpStream::quickack;
    let _: fn(&TcpStream, bool) -> Told<()> = TcpStream::set_quickack;
    let _: fn(&TcpStream) -> Told<Option<Duration>> = TcpStream::linger;
    let _: fn(&TcpStream, Option<Duration>) -> Told<()> = TcpStream::set_linger;
    let _: fn(&TcpStream) -> Told<()> = TcpStream::set_zero_linger;
    let _: fn(&TcpStream) -> Told<u32> = TcpStream::ttl;
    let _: fn(&TcpStream, u32) -> Told<()> = TcpStream::set_ttl;
    let _: fn(&mut TcpStream) -> (ReadHalf<'_>, WriteHalf<'_>) = TcpStream::split;
    let _: fn(TcpStream) -> (OwnedReadHalf, OwnedWriteHalf) = TcpStream::into_split;

    let _: fn() -> Told<TcpSocket> = TcpSocket::new_v4;
    let _: fn() -> Told<TcpSocket> = TcpSocket::new_v6;
    let _: fn(&TcpSocket, bool) -> Told<()> = TcpSocket::set_keepalive;
    let _: fn(&TcpSocket) -> Told<bool> = TcpSocket::keepalive;
    let _: fn(&TcpSocket, bool) -> Told<()> = TcpSocket::set_reuseaddr;
    let _: fn(&TcpSocket) -> Told<bool> = TcpSocket::reuseaddr;
    let _: fn(&TcpSocket, u32) -> Told<()> = TcpSocket::set_send_buffer_size;
    let _: fn(&TcpSocket) -> Told<u32> = TcpSocket::send_buffer_size;
    let _: fn(&TcpSocket, u32) -> Told<()> = TcpSocket::set_recv_buffer_size;
    let _: fn(&TcpSocket) -> Told<u32> = TcpSocket::recv_buffer_size;
    let _: fn(&TcpSocket, Option<Duration>) -> Told<()> = TcpSocket::set_linger;
    let _: fn(&TcpSocket) -> Told<()> = TcpSocket::set_zero_linger;
    let _: fn(&TcpSocket) -> Told<Option<Duration>> = TcpSocket::linger;
    let _: fn(&TcpSocket, bool) -> Told<()> = TcpSocket::set_nodelay;
    let _: fn(&TcpSocket) -> Told<bool> = TcpSocket::nodelay;
    let _: fn(&TcpSocket) -> Told<u32> = TcpSocket::tclass_v6;
    let _: fn(&TcpSocket, u32) -> Told<()> = TcpSocket::set_tclass_v6;
    let _: fn(&TcpSocket) -> Told<u32> = TcpSocket::tos_v4;
    let _: fn(&TcpSocket, u32) -> Told<()> = TcpSocket::set_tos_v4;
    let _: fn(&TcpSocket) -> Told<SocketAddr> = TcpSocket::local_addr;
    let _: fn(&TcpSocket) -> Told<Option<io::Error>> = TcpSocket::take_error;
    let _: fn(&TcpSocket, SocketAddr) -> Told<()> = TcpSocket::bind;
    let _: fn(TcpSocket, u32) -> Told<TcpListener> = TcpSocket::listen;

    let _: fn(&UdpSocket) -> Told<SocketAddr> = UdpSocket::local_addr;
    let _: fn(&UdpSocket) -> Told<SocketAddr> = UdpSocket::peer_addr;
    let _: fn(&UdpSocket, &mut Context<'_>) -> Poll<Told<()>> = UdpSocket::poll_send_ready;
    let _: fn(&UdpSocket, &mut Context<'_>, &[u8]) -> Poll<Told<usize>> = UdpSocket::poll_send;
    let _: fn(&UdpSocket, &[u8]) -> Told<usize> = UdpSocket::try_send;
    let _: fn(&UdpSocket, &mut Context<'_>) -> Poll<Told<()>> = UdpSocket::poll_recv_ready;
    let _: Polled<'_, &UdpSocket, ()> = UdpSocket::poll_recv;
    let _: fn(&UdpSocket, &mut [u8]) -> Told<usize> = UdpSocket::try_recv;
    let _: fn(&UdpSocket, &mut Vec<u8>) -> Told<usize> = UdpSocket::try_recv_buf;
    let _: fn(&UdpSocket, &mut Vec<u8>) -> Received = UdpSocket::try_recv_buf_from;
    let _: fn(&UdpSocket, &mut Context<'_>, &[u8], SocketAddr) -> Poll<Told<usize>> =
        UdpSocket::poll_send_to;
    let _: fn(&UdpSocket, &[u8], SocketAddr) -> Told<usize> = UdpSocket::try_send_to;
    let _: Polled<'_, &UdpSocket, SocketAddr> = UdpSocket::poll_recv_from;
    let _: fn(&UdpSocket, &mut [u8]) -> Received = UdpSocket::try_recv_from;
    let _: Polled<'_, &UdpSocket, ()> = UdpSocket::poll_peek;
    let _: fn(&UdpSocket, &mut [u8]) -> Told<usize> = UdpSocket::try_peek;
    let _: Polled<'_, &UdpSocket, SocketAddr> = UdpSocket::poll_peek_from;
    let _: fn(&UdpSocket, &mut [u8]) -> Received = UdpSocket::try_peek_from;
    let _: fn(&UdpSocket, &mut Context<'_>) -> Poll<Told<SocketAddr>> = UdpSocket::poll_peek_sender;
    let _: fn(&UdpSocket) -> Told<SocketAddr> = UdpSocket::try_peek_sender;
    let _: fn(&UdpSocket) -> Told<bool> = UdpSocket::broadcast;
    let _: fn(&UdpSocket, bool) -> Told<()> = UdpSocket::set_broadcast;
    let _: fn(&UdpSocket) -> Told<u32> = UdpSocket::tclass_v6;
    let _: fn(&UdpSocket, u32) -> Told<()> = UdpSocket::set_tclass_v6;
    let _: fn(&UdpSocket) -> Told<u32> = UdpSocket::ttl;
    let _: fn(&UdpSocket, u32) -> Told<()> = UdpSocket::set_ttl;
    let _: fn(&UdpSocket) -> Told<u32> = UdpSocket::tos_v4;
    let _: fn(&UdpSocket, u32) -> Told<()> = UdpSocket::set_tos_v4;
    let _: fn(&UdpSocket) -> Told<Option<io::Error>> = UdpSocket::take_error;

    type Reunited = Result<TcpStream, ReuniteError>;
    let _: fn(OwnedReadHalf, OwnedWriteHalf) -> Reunited = OwnedReadHalf::reunite;
    let _: fn(OwnedWriteHalf, OwnedReadHalf) -> Reunited = OwnedWriteHalf::reunite;
    let _: fn(OwnedWriteHalf) = OwnedWriteHalf::forget;
    let _: Polled<'_, &mut OwnedReadHalf, usize> = OwnedReadHalf::poll_peek;
    let _: fn(&OwnedReadHalf, &mut [u8]) -> Told<usize> = OwnedReadHalf::try_read;
    let _: fn(&OwnedReadHalf, &mut [IoSliceMut<'_>]) -> Told<usize> =
        OwnedReadHalf::try_read_vectored;
    let _: fn(&OwnedReadHalf, &mut Vec<u8>) -> Told<usize> = OwnedReadHalf::try_read_buf;
    let _: fn(&OwnedReadHalf) -> Told<SocketAddr> = OwnedReadHalf::peer_addr;
    let _: fn(&OwnedReadHalf) -> Told<SocketAddr> = OwnedReadHalf::local_addr;
    let _: fn(&OwnedWriteHalf, &[u8]) -> Told<usize> = OwnedWriteHalf::try_write;
    let _: fn(&OwnedWriteHalf, &[IoSlice<'_>]) -> Told<usize> = OwnedWriteHalf::try_write_vectored;
    let _: fn(&OwnedWriteHalf) -> Told<SocketAddr> = OwnedWriteHalf::peer_addr;
    let _: fn(&OwnedWriteHalf) -> Told<SocketAddr> = OwnedWriteHalf::local_addr;
    let _: Polled<'_, &mut ReadHalf<'a>, usize> = ReadHalf::poll_peek;
    let _: fn(&ReadHalf<'a>, &mut [u8]) -> Told<usize> = ReadHalf::try_read;
    let _: fn(&ReadHalf<'a>, &mut [IoSliceMut<'_>]) -> Told<usize> = ReadHalf::try_read_vectored;
    let _: fn(&ReadHalf<'a>, &mut Vec<u8>) -> Told<usize> = ReadHalf::try_read_buf;
    let _: fn(&ReadHalf<'a>) -> Told<SocketAddr> = ReadHalf::peer_addr;
    let _: fn(&ReadHalf<'a>) -> Told<SocketAddr> = ReadHalf::local_addr;
    let _: fn(&WriteHalf<'a>, &[u8]) -> Told<usize> = WriteHalf::try_write;
    let _: fn(&WriteHalf<'a>, &[IoSlice<'_>]) -> Told<usize> = WriteHalf::try_write_vectored;
    let _: fn(&WriteHalf<'a>) -> Told<SocketAddr> = WriteHalf::peer_addr;
    let _: fn(&WriteHalf<'a>) -> Told<SocketAddr> = WriteHalf::local_addr;
}

/// Async functions, and functions with type parameters.
async fn waits(listener: &TcpListener, stream: &TcpStream, own: TcpSocket, udp: &UdpSocket) {
    type Buf<'a> = &'a mut Vec<u8>;
    let (at, mut room): (SocketAddr, [u8; 1]) = (([127, 0, 0, 1], 9).into(), [0]);
    let buf: Buf<'_> = &mut Vec::new();
    let _: Told<TcpListener> = TcpListener::bind::<(&str, u16)>(("localhost", 0)).await;
    let _: Accepted = TcpListener::accept(listener).await;

    let _: Told<TcpStream> = TcpStream::connect::<&str>("localhost:9").await;
    let _: Told<()> = TcpStream::readable(stream).await;
    let _: Told<()> = TcpStream::writable(stream).await;
    let _: Told<Ready> = TcpStream::ready(stream, Interest::READABLE).await;
    let _: Told<u8> = TcpStream::try_io(stream, Interest::READABLE, || Ok(1));
    let _: Told<u8> = TcpStream::async_io(stream, Interest::READABLE, || Ok(1)).await;
    let _: Told<usize> = TcpStream::peek(stream, &mut room).await;

    let _: Told<TcpStream> = TcpSocket::connect(own, at).await;

    let _: Told<UdpSocket> = UdpSocket::bind::<&[SocketAddr]>(&[at]).await;
    let _: Told<()> = UdpSocket::connect::<SocketAddr>(udp, at).await;
    let _: Told<()> = UdpSocket::readable(udp).await;
    let _: Told<()> = UdpSocket::writable(udp).await;
    let _: Told<Ready> = UdpSocket::ready(udp, Interest::WRITABLE).await;
    let _: Told<u8> = UdpSocket::try_io(udp, Interest::READABLE, || Ok(1));
    let _: Told<u8> = UdpSocket::async_io(udp, Interest::READABLE, || Ok(1)).await;
    let _: Told<usize> = UdpSocket::send(udp, b"").await;
    let _: Told<usize> = UdpSocket::send_to::<String>(udp, b"", "localhost:9".into()).await;
    let _: Told<usize> = UdpSocket::recv(udp, &mut room).await;
    let _: Received = UdpSocket::recv_from(udp, &mut room).await;
    let _: Told<usize> = UdpSocket::recv_buf::<Vec<u8>>(udp, buf).await;
    let _: Received = UdpSocket::recv_buf_from::<Vec<u8>>(udp, buf).await;
    let _: Told<usize> = UdpSocket::peek(udp, &mut room).await;
    let _: Received = UdpSocket::peek_from(udp, &mut room).await;
    let _: Told<SocketAddr> = UdpSocket::peek_sender(udp).await;
}

/// Async functions of halves.
async fn halves(
    (read, write): (&mut ReadHalf<'_>, &WriteHalf<'_>),
    (owned_read, owned_write): (&mut OwnedReadHalf, &OwnedWriteHalf),
) {
    let _: Told<usize> = ReadHalf::peek(read, &mut [0]).await;
    let _: Told<()> = ReadHalf::readable(read).await;
    let _: Told<Ready> = ReadHalf::ready(read, Interest::READABLE).await;
    let _: Told<()> = WriteHalf::writable(write).await;
    let _: Told<Ready> = WriteHalf::ready(write, Interest::WRITABLE).await;
    let _: Told<usize> = OwnedReadHalf::peek(owned_read, &mut [0]).await;
    let _: Told<()> = OwnedReadHalf::readable(owned_read).await;
    let _: Told<Ready> = OwnedReadHalf::ready(owned_read, Interest::READABLE).await;
    let _: Told<()> = OwnedWriteHalf::writable(owned_write).await;
    let _: Told<Ready> = OwnedWriteHalf::ready(owned_write, Interest::WRITABLE).await;
}

/// Implemented traits.
fn traits() {
    fn reads<T: AsyncRead + Unpin + Send + Sync>() {}
    fn writes<T: AsyncWrite + Unpin + Send + Sync>() {}
    fn is_a_stream<T: AsRef<TcpStream> + std::fmt::Debug + Send + Sync + 'static>() {}
    fn is_a_socket<T: std::fmt::Debug + Send + Sync + 'static>() {}
    reads::<TcpStream>();
    reads::<ReadHalf<'_>>();
    reads::<OwnedReadHalf>();
    writes::<TcpStream>();
    writes::<WriteHalf<'_>>();
    writes::<OwnedWriteHalf>();
    is_a_stream::<TcpStream>();
    is_a_stream::<ReadHalf<'static>>();
    is_a_stream::<OwnedWriteHalf>();
    is_a_socket::<TcpListener>();
    is_a_socket::<TcpSocket>();
    is_a_socket::<UdpSocket>();
}

/// Futures are `Send`, as tokio's are.
fn futures(listener: &TcpListener, stream: &TcpStream, own: TcpSocket, udp: &UdpSocket) {
    fn goes<T: Send>(_: T) {}
    goes(waits(listener, stream, own, udp));
}
