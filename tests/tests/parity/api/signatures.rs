//! All names and signatures that simmach's sockets share with tokio's. This file is compiled once
//! against tokio's sockets, and once against simmach's.

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

type Outcome<T> = io::Result<T>;
type Accepted = Outcome<(TcpStream, SocketAddr)>;
type Received = Outcome<(usize, SocketAddr)>;
type Polled<'a, S, T> = fn(S, &mut Context<'_>, &mut ReadBuf<'a>) -> Poll<Outcome<T>>;

/// Functions that are not async, one per line.
#[allow(deprecated, reason = "tokio warns of a drop that blocks")]
fn calls<'a>() {
    let _: fn(&TcpListener, &mut Context<'_>) -> Poll<Accepted> = TcpListener::poll_accept;
    let _: fn(&TcpListener) -> Outcome<SocketAddr> = TcpListener::local_addr;
    let _: fn(&TcpListener) -> Outcome<u32> = TcpListener::ttl;
    let _: fn(&TcpListener, u32) -> Outcome<()> = TcpListener::set_ttl;

    let _: fn(&TcpStream) -> Outcome<SocketAddr> = TcpStream::local_addr;
    let _: fn(&TcpStream) -> Outcome<SocketAddr> = TcpStream::peer_addr;
    let _: fn(&TcpStream) -> Outcome<Option<io::Error>> = TcpStream::take_error;
    let _: Polled<'_, &TcpStream, usize> = TcpStream::poll_peek;
    let _: fn(&TcpStream, &mut Context<'_>) -> Poll<Outcome<()>> = TcpStream::poll_read_ready;
    let _: fn(&TcpStream, &mut Context<'_>) -> Poll<Outcome<()>> = TcpStream::poll_write_ready;
    let _: fn(&TcpStream, &mut [u8]) -> Outcome<usize> = TcpStream::try_read;
    let _: fn(&TcpStream, &mut [IoSliceMut<'_>]) -> Outcome<usize> = TcpStream::try_read_vectored;
    let _: fn(&TcpStream, &mut Vec<u8>) -> Outcome<usize> = TcpStream::try_read_buf;
    let _: fn(&TcpStream, &[u8]) -> Outcome<usize> = TcpStream::try_write;
    let _: fn(&TcpStream, &[IoSlice<'_>]) -> Outcome<usize> = TcpStream::try_write_vectored;
    let _: fn(&TcpStream) -> Outcome<bool> = TcpStream::nodelay;
    let _: fn(&TcpStream, bool) -> Outcome<()> = TcpStream::set_nodelay;
    let _: fn(&TcpStream) -> Outcome<bool> = TcpStream::quickack;
    let _: fn(&TcpStream, bool) -> Outcome<()> = TcpStream::set_quickack;
    let _: fn(&TcpStream) -> Outcome<Option<Duration>> = TcpStream::linger;
    let _: fn(&TcpStream, Option<Duration>) -> Outcome<()> = TcpStream::set_linger;
    let _: fn(&TcpStream) -> Outcome<()> = TcpStream::set_zero_linger;
    let _: fn(&TcpStream) -> Outcome<u32> = TcpStream::ttl;
    let _: fn(&TcpStream, u32) -> Outcome<()> = TcpStream::set_ttl;
    let _: fn(&mut TcpStream) -> (ReadHalf<'_>, WriteHalf<'_>) = TcpStream::split;
    let _: fn(TcpStream) -> (OwnedReadHalf, OwnedWriteHalf) = TcpStream::into_split;

    let _: fn() -> Outcome<TcpSocket> = TcpSocket::new_v4;
    let _: fn() -> Outcome<TcpSocket> = TcpSocket::new_v6;
    let _: fn(&TcpSocket, bool) -> Outcome<()> = TcpSocket::set_keepalive;
    let _: fn(&TcpSocket) -> Outcome<bool> = TcpSocket::keepalive;
    let _: fn(&TcpSocket, bool) -> Outcome<()> = TcpSocket::set_reuseaddr;
    let _: fn(&TcpSocket) -> Outcome<bool> = TcpSocket::reuseaddr;
    let _: fn(&TcpSocket, bool) -> Outcome<()> = TcpSocket::set_reuseport;
    let _: fn(&TcpSocket) -> Outcome<bool> = TcpSocket::reuseport;
    let _: fn(&TcpSocket, u32) -> Outcome<()> = TcpSocket::set_send_buffer_size;
    let _: fn(&TcpSocket) -> Outcome<u32> = TcpSocket::send_buffer_size;
    let _: fn(&TcpSocket, u32) -> Outcome<()> = TcpSocket::set_recv_buffer_size;
    let _: fn(&TcpSocket) -> Outcome<u32> = TcpSocket::recv_buffer_size;
    let _: fn(&TcpSocket, Option<Duration>) -> Outcome<()> = TcpSocket::set_linger;
    let _: fn(&TcpSocket) -> Outcome<()> = TcpSocket::set_zero_linger;
    let _: fn(&TcpSocket) -> Outcome<Option<Duration>> = TcpSocket::linger;
    let _: fn(&TcpSocket, bool) -> Outcome<()> = TcpSocket::set_nodelay;
    let _: fn(&TcpSocket) -> Outcome<bool> = TcpSocket::nodelay;
    let _: fn(&TcpSocket) -> Outcome<u32> = TcpSocket::tclass_v6;
    let _: fn(&TcpSocket, u32) -> Outcome<()> = TcpSocket::set_tclass_v6;
    let _: fn(&TcpSocket) -> Outcome<u32> = TcpSocket::tos_v4;
    let _: fn(&TcpSocket, u32) -> Outcome<()> = TcpSocket::set_tos_v4;
    let _: fn(&TcpSocket) -> Outcome<SocketAddr> = TcpSocket::local_addr;
    let _: fn(&TcpSocket) -> Outcome<Option<io::Error>> = TcpSocket::take_error;
    let _: fn(&TcpSocket, SocketAddr) -> Outcome<()> = TcpSocket::bind;
    let _: fn(TcpSocket, u32) -> Outcome<TcpListener> = TcpSocket::listen;

    let _: fn(&UdpSocket) -> Outcome<SocketAddr> = UdpSocket::local_addr;
    let _: fn(&UdpSocket) -> Outcome<SocketAddr> = UdpSocket::peer_addr;
    let _: fn(&UdpSocket, &mut Context<'_>) -> Poll<Outcome<()>> = UdpSocket::poll_send_ready;
    let _: fn(&UdpSocket, &mut Context<'_>, &[u8]) -> Poll<Outcome<usize>> = UdpSocket::poll_send;
    let _: fn(&UdpSocket, &[u8]) -> Outcome<usize> = UdpSocket::try_send;
    let _: fn(&UdpSocket, &mut Context<'_>) -> Poll<Outcome<()>> = UdpSocket::poll_recv_ready;
    let _: Polled<'_, &UdpSocket, ()> = UdpSocket::poll_recv;
    let _: fn(&UdpSocket, &mut [u8]) -> Outcome<usize> = UdpSocket::try_recv;
    let _: fn(&UdpSocket, &mut Vec<u8>) -> Outcome<usize> = UdpSocket::try_recv_buf;
    let _: fn(&UdpSocket, &mut Vec<u8>) -> Received = UdpSocket::try_recv_buf_from;
    let _: fn(&UdpSocket, &mut Context<'_>, &[u8], SocketAddr) -> Poll<Outcome<usize>> =
        UdpSocket::poll_send_to;
    let _: fn(&UdpSocket, &[u8], SocketAddr) -> Outcome<usize> = UdpSocket::try_send_to;
    let _: Polled<'_, &UdpSocket, SocketAddr> = UdpSocket::poll_recv_from;
    let _: fn(&UdpSocket, &mut [u8]) -> Received = UdpSocket::try_recv_from;
    let _: Polled<'_, &UdpSocket, ()> = UdpSocket::poll_peek;
    let _: fn(&UdpSocket, &mut [u8]) -> Outcome<usize> = UdpSocket::try_peek;
    let _: Polled<'_, &UdpSocket, SocketAddr> = UdpSocket::poll_peek_from;
    let _: fn(&UdpSocket, &mut [u8]) -> Received = UdpSocket::try_peek_from;
    let _: fn(&UdpSocket, &mut Context<'_>) -> Poll<Outcome<SocketAddr>> =
        UdpSocket::poll_peek_sender;
    let _: fn(&UdpSocket) -> Outcome<SocketAddr> = UdpSocket::try_peek_sender;
    let _: fn(&UdpSocket) -> Outcome<bool> = UdpSocket::broadcast;
    let _: fn(&UdpSocket, bool) -> Outcome<()> = UdpSocket::set_broadcast;
    let _: fn(&UdpSocket) -> Outcome<u32> = UdpSocket::tclass_v6;
    let _: fn(&UdpSocket, u32) -> Outcome<()> = UdpSocket::set_tclass_v6;
    let _: fn(&UdpSocket) -> Outcome<u32> = UdpSocket::ttl;
    let _: fn(&UdpSocket, u32) -> Outcome<()> = UdpSocket::set_ttl;
    let _: fn(&UdpSocket) -> Outcome<u32> = UdpSocket::tos_v4;
    let _: fn(&UdpSocket, u32) -> Outcome<()> = UdpSocket::set_tos_v4;
    let _: fn(&UdpSocket) -> Outcome<Option<io::Error>> = UdpSocket::take_error;

    type Reunited = Result<TcpStream, ReuniteError>;
    let _: fn(OwnedReadHalf, OwnedWriteHalf) -> Reunited = OwnedReadHalf::reunite;
    let _: fn(OwnedWriteHalf, OwnedReadHalf) -> Reunited = OwnedWriteHalf::reunite;
    let _: fn(OwnedWriteHalf) = OwnedWriteHalf::forget;
    let _: Polled<'_, &mut OwnedReadHalf, usize> = OwnedReadHalf::poll_peek;
    let _: fn(&OwnedReadHalf, &mut [u8]) -> Outcome<usize> = OwnedReadHalf::try_read;
    let _: fn(&OwnedReadHalf, &mut [IoSliceMut<'_>]) -> Outcome<usize> =
        OwnedReadHalf::try_read_vectored;
    let _: fn(&OwnedReadHalf, &mut Vec<u8>) -> Outcome<usize> = OwnedReadHalf::try_read_buf;
    let _: fn(&OwnedReadHalf) -> Outcome<SocketAddr> = OwnedReadHalf::peer_addr;
    let _: fn(&OwnedReadHalf) -> Outcome<SocketAddr> = OwnedReadHalf::local_addr;
    let _: fn(&OwnedWriteHalf, &[u8]) -> Outcome<usize> = OwnedWriteHalf::try_write;
    let _: fn(&OwnedWriteHalf, &[IoSlice<'_>]) -> Outcome<usize> =
        OwnedWriteHalf::try_write_vectored;
    let _: fn(&OwnedWriteHalf) -> Outcome<SocketAddr> = OwnedWriteHalf::peer_addr;
    let _: fn(&OwnedWriteHalf) -> Outcome<SocketAddr> = OwnedWriteHalf::local_addr;
    let _: Polled<'_, &mut ReadHalf<'a>, usize> = ReadHalf::poll_peek;
    let _: fn(&ReadHalf<'a>, &mut [u8]) -> Outcome<usize> = ReadHalf::try_read;
    let _: fn(&ReadHalf<'a>, &mut [IoSliceMut<'_>]) -> Outcome<usize> = ReadHalf::try_read_vectored;
    let _: fn(&ReadHalf<'a>, &mut Vec<u8>) -> Outcome<usize> = ReadHalf::try_read_buf;
    let _: fn(&ReadHalf<'a>) -> Outcome<SocketAddr> = ReadHalf::peer_addr;
    let _: fn(&ReadHalf<'a>) -> Outcome<SocketAddr> = ReadHalf::local_addr;
    let _: fn(&WriteHalf<'a>, &[u8]) -> Outcome<usize> = WriteHalf::try_write;
    let _: fn(&WriteHalf<'a>, &[IoSlice<'_>]) -> Outcome<usize> = WriteHalf::try_write_vectored;
    let _: fn(&WriteHalf<'a>) -> Outcome<SocketAddr> = WriteHalf::peer_addr;
    let _: fn(&WriteHalf<'a>) -> Outcome<SocketAddr> = WriteHalf::local_addr;
}

/// Async functions, and functions with type parameters.
async fn waits(listener: &TcpListener, stream: &TcpStream, own: TcpSocket, udp: &UdpSocket) {
    type Buf<'a> = &'a mut Vec<u8>;
    let (at, mut room): (SocketAddr, [u8; 1]) = (([127, 0, 0, 1], 9).into(), [0]);
    let buf: Buf<'_> = &mut Vec::new();
    let _: Outcome<TcpListener> = TcpListener::bind::<(&str, u16)>(("localhost", 0)).await;
    let _: Accepted = TcpListener::accept(listener).await;

    let _: Outcome<TcpStream> = TcpStream::connect::<&str>("localhost:9").await;
    let _: Outcome<()> = TcpStream::readable(stream).await;
    let _: Outcome<()> = TcpStream::writable(stream).await;
    let _: Outcome<Ready> = TcpStream::ready(stream, Interest::READABLE).await;
    let _: Outcome<u8> = TcpStream::try_io(stream, Interest::READABLE, || Ok(1));
    let _: Outcome<u8> = TcpStream::async_io(stream, Interest::READABLE, || Ok(1)).await;
    let _: Outcome<usize> = TcpStream::peek(stream, &mut room).await;

    let _: Outcome<TcpStream> = TcpSocket::connect(own, at).await;

    let _: Outcome<UdpSocket> = UdpSocket::bind::<&[SocketAddr]>(&[at]).await;
    let _: Outcome<()> = UdpSocket::connect::<SocketAddr>(udp, at).await;
    let _: Outcome<()> = UdpSocket::readable(udp).await;
    let _: Outcome<()> = UdpSocket::writable(udp).await;
    let _: Outcome<Ready> = UdpSocket::ready(udp, Interest::WRITABLE).await;
    let _: Outcome<u8> = UdpSocket::try_io(udp, Interest::READABLE, || Ok(1));
    let _: Outcome<u8> = UdpSocket::async_io(udp, Interest::READABLE, || Ok(1)).await;
    let _: Outcome<usize> = UdpSocket::send(udp, b"").await;
    let _: Outcome<usize> = UdpSocket::send_to::<String>(udp, b"", "localhost:9".into()).await;
    let _: Outcome<usize> = UdpSocket::recv(udp, &mut room).await;
    let _: Received = UdpSocket::recv_from(udp, &mut room).await;
    let _: Outcome<usize> = UdpSocket::recv_buf::<Vec<u8>>(udp, buf).await;
    let _: Received = UdpSocket::recv_buf_from::<Vec<u8>>(udp, buf).await;
    let _: Outcome<usize> = UdpSocket::peek(udp, &mut room).await;
    let _: Received = UdpSocket::peek_from(udp, &mut room).await;
    let _: Outcome<SocketAddr> = UdpSocket::peek_sender(udp).await;
}

/// Async functions of halves.
async fn halves(
    (read, write): (&mut ReadHalf<'_>, &WriteHalf<'_>),
    (owned_read, owned_write): (&mut OwnedReadHalf, &OwnedWriteHalf),
) {
    let _: Outcome<usize> = ReadHalf::peek(read, &mut [0]).await;
    let _: Outcome<()> = ReadHalf::readable(read).await;
    let _: Outcome<Ready> = ReadHalf::ready(read, Interest::READABLE).await;
    let _: Outcome<()> = WriteHalf::writable(write).await;
    let _: Outcome<Ready> = WriteHalf::ready(write, Interest::WRITABLE).await;
    let _: Outcome<usize> = OwnedReadHalf::peek(owned_read, &mut [0]).await;
    let _: Outcome<()> = OwnedReadHalf::readable(owned_read).await;
    let _: Outcome<Ready> = OwnedReadHalf::ready(owned_read, Interest::READABLE).await;
    let _: Outcome<()> = OwnedWriteHalf::writable(owned_write).await;
    let _: Outcome<Ready> = OwnedWriteHalf::ready(owned_write, Interest::WRITABLE).await;
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
