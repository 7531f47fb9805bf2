//! A socket that waits for connections.

use std::net::SocketAddr;
use std::task::{Context, Poll};
use std::{fmt, io};

use crate::net::ToSocketAddrs;
use crate::net::handles::TcpStream;
#[cfg(feature = "real")]
use crate::net::real;
#[cfg(feature = "sim")]
use crate::net::simulated::sockets::{self, IpLevel as _};

/// A TCP socket that accepts connections: `tokio::net::TcpListener`, simulated in a run.
///
/// Dropped, it frees its port, and connections that were not accepted are reset.
pub struct TcpListener(Kind);

enum Kind {
    #[cfg(feature = "sim")]
    Simulated(sockets::TcpListener),
    #[cfg(feature = "real")]
    Real(tokio::net::TcpListener),
}

impl TcpListener {
    /// Listens on an address of the machine this runs on: `0.0.0.0:443`, `cl.internal:443`, `127.0.0.1:0`. Port 0 is
    /// any that is free.
    ///
    /// # Errors
    ///
    /// `AddrInUse` when something listens there, `AddrNotAvailable` for an address of another machine or when no port
    /// is free, and the lookup's own.
    pub async fn bind<A: ToSocketAddrs>(addr: A) -> io::Result<TcpListener> {
        here! {
            simulated => {
                sockets::TcpListener::bind(addr).await.map(|listener| Self(Kind::Simulated(listener)))
            },
            real => {
                let addresses = real::addresses(addr.target()?.into_owned()).await?;
                tokio::net::TcpListener::bind(&addresses[..]).await.map(|listener| Self(Kind::Real(listener)))
            },
        }
    }

    /// The next connection, and where it comes from.
    ///
    /// # Errors
    ///
    /// Outside its run, or when its machine lost its power.
    pub async fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        either!(Kind of &self.0,
            simulated listener => {
                listener.accept().await.map(|(stream, from)| (TcpStream::simulated(stream), from))
            },
            real listener => listener.accept().await.map(|(stream, from)| (TcpStream::real(stream), from)))
    }

    /// As [`accept`](Self::accept), for a poll function. Of several tasks, the last one that asked is woken.
    ///
    /// # Errors
    ///
    /// As [`accept`](Self::accept).
    pub fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<(TcpStream, SocketAddr)>> {
        either!(Kind of &self.0,
        simulated listener => {
            listener.poll_accept(cx).map_ok(|(stream, from)| (TcpStream::simulated(stream), from))
        },
        real listener => {
            listener.poll_accept(cx).map_ok(|(stream, from)| (TcpStream::real(stream), from))
        })
    }

    /// The address it listens on, with its port.
    ///
    /// # Errors
    ///
    /// Outside its run.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        either!(Kind of &self.0, listener => listener.local_addr())
    }

    #[cfg(feature = "sim")]
    pub(super) fn simulated(listener: sockets::TcpListener) -> Self {
        Self(Kind::Simulated(listener))
    }

    #[cfg(feature = "real")]
    pub(super) fn real(listener: tokio::net::TcpListener) -> Self {
        Self(Kind::Real(listener))
    }
}

time_to_live!(TcpListener);

impl fmt::Debug for TcpListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        either!(Kind of &self.0, inner => inner.fmt(f))
    }
}
