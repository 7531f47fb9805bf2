//! TCP listeners.

use std::net::SocketAddr;
use std::task::{Context, Poll};
use std::{fmt, io};

use crate::net::ToSocketAddrs;
use crate::net::handles::TcpStream;
#[cfg(feature = "real")]
use crate::net::real;
#[cfg(feature = "sim")]
use crate::net::simulated::sockets::{self, IpLevel as _};

/// A listening TCP socket: `tokio::net::TcpListener`, simulated in a run.
///
/// Dropping the listener frees its port and resets connections that have not been accepted.
pub struct TcpListener(Inner);

enum Inner {
    #[cfg(feature = "sim")]
    Simulated(sockets::TcpListener),
    #[cfg(feature = "real")]
    Real(tokio::net::TcpListener),
}

impl TcpListener {
    /// Binds to an address of this machine and listens: `0.0.0.0:443`, `cl.internal:443`, `127.0.0.1:0`. Port 0 selects
    /// a free port.
    ///
    /// # Errors
    ///
    /// `AddrInUse` if another socket listens there; `AddrNotAvailable` if the address belongs to another machine or no
    /// port is free; errors of the name lookup.
    pub async fn bind<A: ToSocketAddrs>(addr: A) -> io::Result<TcpListener> {
        here! {
            simulated => {
                sockets::TcpListener::bind(addr).await.map(|listener| Self(Inner::Simulated(listener)))
            },
            real => {
                let addresses = real::addresses(addr.target()?.into_owned()).await?;
                tokio::net::TcpListener::bind(&addresses[..]).await.map(|listener| Self(Inner::Real(listener)))
            },
        }
    }

    /// Accepts a connection; returns it with the peer's address.
    ///
    /// # Errors
    ///
    /// If called outside the listener's run, or if its machine has lost power.
    pub async fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        either!(Inner of &self.0,
            simulated listener => {
                listener.accept().await.map(|(stream, from)| (TcpStream::simulated(stream), from))
            },
            real listener => listener.accept().await.map(|(stream, from)| (TcpStream::real(stream), from)))
    }

    /// Polls for a connection to [`accept`](Self::accept). If several tasks poll, only the last one is woken.
    ///
    /// # Errors
    ///
    /// The same as [`accept`](Self::accept).
    pub fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<(TcpStream, SocketAddr)>> {
        either!(Inner of &self.0,
        simulated listener => {
            listener.poll_accept(cx).map_ok(|(stream, from)| (TcpStream::simulated(stream), from))
        },
        real listener => {
            listener.poll_accept(cx).map_ok(|(stream, from)| (TcpStream::real(stream), from))
        })
    }

    /// Returns the address and port that the socket listens on.
    ///
    /// # Errors
    ///
    /// If called outside the listener's run.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        either!(Inner of &self.0, listener => listener.local_addr())
    }

    #[cfg(feature = "sim")]
    pub(super) fn simulated(listener: sockets::TcpListener) -> Self {
        Self(Inner::Simulated(listener))
    }

    #[cfg(feature = "real")]
    pub(super) fn real(listener: tokio::net::TcpListener) -> Self {
        Self(Inner::Real(listener))
    }
}

time_to_live!(TcpListener);

impl fmt::Debug for TcpListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        either!(Inner of &self.0, inner => inner.fmt(f))
    }
}
