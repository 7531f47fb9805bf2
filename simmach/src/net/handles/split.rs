//! A connection's two directions apart.

use std::error::Error;
use std::fmt;
use std::io::{self, IoSlice, IoSliceMut};
use std::net::SocketAddr;
use std::sync::Arc;
#[cfg(feature = "tokio")]
use std::task::{Context, Poll};

use bytes::BufMut;

use crate::net::handles::TcpStream;
use crate::net::{Interest, Ready};

/// The direction that is read, borrowed: [`TcpStream::split`].
#[derive(Debug)]
pub struct ReadHalf<'a>(&'a TcpStream);

/// The direction that is written, borrowed: [`TcpStream::split`].
#[derive(Debug)]
pub struct WriteHalf<'a>(&'a TcpStream);

/// The direction that is read, owned: [`TcpStream::into_split`].
#[derive(Debug)]
pub struct OwnedReadHalf(Arc<TcpStream>);

/// The direction that is written, owned: [`TcpStream::into_split`]. Dropped, it shuts the direction down.
#[derive(Debug)]
pub struct OwnedWriteHalf {
    stream: Arc<TcpStream>,
    shut_on_drop: bool,
}

/// Two halves that are not of one stream: [`OwnedReadHalf::reunite`].
#[derive(Debug)]
pub struct ReuniteError(pub OwnedReadHalf, pub OwnedWriteHalf);

pub(super) fn borrowed(stream: &mut TcpStream) -> (ReadHalf<'_>, WriteHalf<'_>) {
    (ReadHalf(stream), WriteHalf(stream))
}

pub(super) fn owned(stream: TcpStream) -> (OwnedReadHalf, OwnedWriteHalf) {
    let stream = Arc::new(stream);
    (OwnedReadHalf(Arc::clone(&stream)), OwnedWriteHalf { stream, shut_on_drop: true })
}

fn reunite(read: OwnedReadHalf, mut write: OwnedWriteHalf) -> Result<TcpStream, ReuniteError> {
    if !Arc::ptr_eq(&read.0, &write.stream) {
        return Err(ReuniteError(read, write));
    }
    write.shut_on_drop = false;
    drop(write);
    Ok(Arc::into_inner(read.0).expect("the two halves were the only ones"))
}

/// What every half has.
macro_rules! halves {
    ($($half:ty),*) => {$(
        impl $half {
            /// See [`TcpStream::ready`].
            ///
            /// # Errors
            ///
            /// As there.
            pub async fn ready(&self, interest: Interest) -> io::Result<Ready> {
                self.as_ref().ready(interest).await
            }

            /// See [`TcpStream::local_addr`].
            ///
            /// # Errors
            ///
            /// As there.
            pub fn local_addr(&self) -> io::Result<SocketAddr> {
                self.as_ref().local_addr()
            }

            /// See [`TcpStream::peer_addr`].
            ///
            /// # Errors
            ///
            /// As there.
            pub fn peer_addr(&self) -> io::Result<SocketAddr> {
                self.as_ref().peer_addr()
            }
        }
    )*};
}

/// What a half that reads has.
macro_rules! reading_halves {
    ($($half:ty),*) => {$(
        impl $half {
            /// See [`TcpStream::peek`].
            ///
            /// # Errors
            ///
            /// As there.
            pub async fn peek(&mut self, buf: &mut [u8]) -> io::Result<usize> {
                self.as_ref().peek(buf).await
            }

            /// See [`TcpStream::poll_peek`].
            ///
            /// # Errors
            ///
            /// As there.
            #[cfg(feature = "tokio")]
            pub fn poll_peek(
                &mut self,
                cx: &mut Context<'_>,
                buf: &mut tokio::io::ReadBuf<'_>,
            ) -> Poll<io::Result<usize>> {
                self.as_ref().poll_peek(cx, buf)
            }

            /// See [`TcpStream::readable`].
            ///
            /// # Errors
            ///
            /// As there.
            pub async fn readable(&self) -> io::Result<()> {
                self.as_ref().readable().await
            }

            /// See [`TcpStream::try_read`].
            ///
            /// # Errors
            ///
            /// As there.
            pub fn try_read(&self, buf: &mut [u8]) -> io::Result<usize> {
                self.as_ref().try_read(buf)
            }

            /// See [`TcpStream::try_read_vectored`].
            ///
            /// # Errors
            ///
            /// As there.
            pub fn try_read_vectored(&self, bufs: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
                self.as_ref().try_read_vectored(bufs)
            }

            /// See [`TcpStream::try_read_buf`].
            ///
            /// # Errors
            ///
            /// As there.
            pub fn try_read_buf<B: BufMut>(&self, buf: &mut B) -> io::Result<usize> {
                self.as_ref().try_read_buf(buf)
            }
        }
    )*};
}

/// What a half that writes has.
macro_rules! writing_halves {
    ($($half:ty),*) => {$(
        impl $half {
            /// See [`TcpStream::writable`].
            ///
            /// # Errors
            ///
            /// As there.
            pub async fn writable(&self) -> io::Result<()> {
                self.as_ref().writable().await
            }

            /// See [`TcpStream::try_write`].
            ///
            /// # Errors
            ///
            /// As there.
            pub fn try_write(&self, buf: &[u8]) -> io::Result<usize> {
                self.as_ref().try_write(buf)
            }

            /// See [`TcpStream::try_write_vectored`].
            ///
            /// # Errors
            ///
            /// As there.
            pub fn try_write_vectored(&self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
                self.as_ref().try_write_vectored(bufs)
            }
        }
    )*};
}

halves!(ReadHalf<'_>, OwnedReadHalf, WriteHalf<'_>, OwnedWriteHalf);
reading_halves!(ReadHalf<'_>, OwnedReadHalf);
writing_halves!(WriteHalf<'_>, OwnedWriteHalf);

impl AsRef<TcpStream> for ReadHalf<'_> {
    fn as_ref(&self) -> &TcpStream {
        self.0
    }
}

impl AsRef<TcpStream> for WriteHalf<'_> {
    fn as_ref(&self) -> &TcpStream {
        self.0
    }
}

impl AsRef<TcpStream> for OwnedReadHalf {
    fn as_ref(&self) -> &TcpStream {
        &self.0
    }
}

impl AsRef<TcpStream> for OwnedWriteHalf {
    fn as_ref(&self) -> &TcpStream {
        &self.stream
    }
}

impl OwnedReadHalf {
    /// Makes the stream whole again.
    ///
    /// # Errors
    ///
    /// When `other` is of another stream; both come back.
    pub fn reunite(self, other: OwnedWriteHalf) -> Result<TcpStream, ReuniteError> {
        reunite(self, other)
    }
}

impl OwnedWriteHalf {
    /// Makes the stream whole again.
    ///
    /// # Errors
    ///
    /// When `other` is of another stream; both come back.
    pub fn reunite(self, other: OwnedReadHalf) -> Result<TcpStream, ReuniteError> {
        reunite(other, self)
    }

    /// Drops it without shutting its direction down.
    pub fn forget(mut self) {
        self.shut_on_drop = false;
    }
}

impl Drop for OwnedWriteHalf {
    fn drop(&mut self) {
        if self.shut_on_drop {
            // A connection that is gone has nothing to shut.
            let _ = self.stream.shut_down();
        }
    }
}

impl fmt::Display for ReuniteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("tried to reunite halves that are not from the same socket")
    }
}

impl Error for ReuniteError {}
