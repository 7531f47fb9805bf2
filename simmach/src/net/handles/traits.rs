//! `AsyncRead` and `AsyncWrite` for streams and halves: the traits of `futures::io`, and tokio's with the feature
//! `tokio`.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use futures::io::{AsyncRead, AsyncWrite};

use crate::net::handles::{OwnedReadHalf, OwnedWriteHalf, ReadHalf, TcpStream, WriteHalf};

macro_rules! impl_read {
    ($($reader:ty),*) => {$(
        impl AsyncRead for $reader {
            fn poll_read(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                buf: &mut [u8],
            ) -> Poll<io::Result<usize>> {
                stream(&*self).poll_read_at(cx, buf)
            }
        }

        #[cfg(feature = "tokio-io")]
        impl tokio::io::AsyncRead for $reader {
            fn poll_read(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                buf: &mut tokio::io::ReadBuf<'_>,
            ) -> Poll<io::Result<()>> {
                stream(&*self).poll_read_buf(cx, buf)
            }
        }
    )*};
}

/// The methods that both `AsyncWrite` traits have. `$end` is the name of the trait's method for
/// shutting down.
macro_rules! write_methods {
    ($end:ident) => {
        fn poll_write(
            self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            buf: &[u8],
        ) -> Poll<io::Result<usize>> {
            stream(&*self).poll_write_at(cx, buf)
        }

        fn poll_write_vectored(
            self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            bufs: &[IoSlice<'_>],
        ) -> Poll<io::Result<usize>> {
            stream(&*self).poll_write_vectored_at(cx, bufs)
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn $end(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(stream(&*self).shut_down())
        }
    };
}

macro_rules! impl_write {
    ($($writer:ty),*) => {$(
        impl AsyncWrite for $writer {
            write_methods!(poll_close);
        }

        #[cfg(feature = "tokio-io")]
        impl tokio::io::AsyncWrite for $writer {
            write_methods!(poll_shutdown);

            fn is_write_vectored(&self) -> bool {
                true
            }
        }
    )*};
}

impl_read!(TcpStream, &TcpStream, ReadHalf<'_>, OwnedReadHalf);
impl_write!(TcpStream, &TcpStream, WriteHalf<'_>, OwnedWriteHalf);

/// Returns the stream to which a half belongs.
fn stream(own: &impl AsRef<TcpStream>) -> &TcpStream {
    own.as_ref()
}
