//! tokio's io traits for streams and halves: each does what its counterpart of `futures::io` does.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{OwnedReadHalf, OwnedWriteHalf, ReadHalf, TcpStream, WriteHalf};

macro_rules! reads {
    ($type:ty, $self:ident => $stream:expr) => {
        impl AsyncRead for $type {
            fn poll_read(
                $self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                buf: &mut ReadBuf<'_>,
            ) -> Poll<io::Result<()>> {
                $stream.poll_read_buf(cx, buf)
            }
        }
    };
}

macro_rules! writes {
    ($type:ty, $self:ident => $stream:expr) => {
        impl AsyncWrite for $type {
            fn poll_write(
                $self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                buf: &[u8],
            ) -> Poll<io::Result<usize>> {
                $stream.poll_write_at(cx, buf)
            }

            fn poll_write_vectored(
                $self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                bufs: &[io::IoSlice<'_>],
            ) -> Poll<io::Result<usize>> {
                $stream.poll_write_vectored_at(cx, bufs)
            }

            fn is_write_vectored(&$self) -> bool {
                true
            }

            fn poll_flush($self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
                Poll::Ready(Ok(()))
            }

            fn poll_shutdown($self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
                Poll::Ready($stream.shut_down())
            }
        }
    };
}

reads!(TcpStream, self => self);
reads!(&TcpStream, self => self);
reads!(ReadHalf<'_>, self => self.stream());
reads!(OwnedReadHalf, self => self.stream());
writes!(TcpStream, self => self);
writes!(&TcpStream, self => self);
writes!(WriteHalf<'_>, self => self.stream());
writes!(OwnedWriteHalf, self => self.stream());
