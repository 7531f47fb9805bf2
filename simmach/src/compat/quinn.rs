//! A runtime for quinn, based on [`net`](crate::net), [`task`] and [`time`].
//!
//! ```no_run
//! use std::sync::Arc;
//!
//! use quinn::{Endpoint, EndpointConfig, ServerConfig};
//! use simmach::compat::quinn::{Runtime, UdpSocket};
//! # async fn of(server: ServerConfig) -> simmach::Result {
//! let socket = UdpSocket::bind("0.0.0.0:443").await?;
//! let endpoint = Endpoint::new_with_abstract_socket(
//!     EndpointConfig::default(),
//!     Some(server),
//!     Arc::new(socket),
//!     Arc::new(Runtime),
//! )?;
//! # let _ = endpoint;
//! # Ok(())
//! # }
//! ```

use std::fmt;
use std::future::Future;
use std::io::{self, IoSliceMut};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use quinn::udp::{RecvMeta, Transmit};
use quinn::{AsyncTimer, AsyncUdpSocket, UdpPoller};
use tokio::io::ReadBuf;

use crate::net::ToSocketAddrs;
use crate::{net, task, time};

/// Spawns quinn's tasks with [`task::spawn`] and sleeps with [`time::sleep`]. Create its sockets
/// with [`UdpSocket::bind`].
#[derive(Clone, Copy, Debug, Default)]
pub struct Runtime;

/// A UDP socket for quinn.
#[derive(Debug)]
pub struct UdpSocket(net::UdpSocket);

#[derive(Debug)]
struct Timer(Pin<Box<time::Sleep>>);

type Writable = Pin<Box<dyn Future<Output = io::Result<()>> + Send + Sync>>;

/// Waits until a socket can be written to. Each instance has a waiter of its own.
struct Poller {
    socket: Arc<UdpSocket>,
    waits: Option<Writable>,
}

impl UdpSocket {
    /// Binds a socket to an address.
    ///
    /// # Errors
    ///
    /// The same as [`net::UdpSocket::bind`].
    pub async fn bind<A: ToSocketAddrs>(address: A) -> io::Result<Self> {
        net::UdpSocket::bind(address).await.map(Self)
    }
}

impl quinn::Runtime for Runtime {
    fn new_timer(&self, at: Instant) -> Pin<Box<dyn AsyncTimer>> {
        let left = at.saturating_duration_since(self.now());
        Box::pin(Timer(Box::pin(time::sleep(left))))
    }

    #[track_caller]
    fn spawn(&self, future: Pin<Box<dyn Future<Output = ()> + Send>>) {
        drop(task::spawn(future));
    }

    /// Always fails, since a socket of std cannot be converted to a socket of simmach. Use [`UdpSocket::bind`].
    fn wrap_udp_socket(&self, _: std::net::UdpSocket) -> io::Result<Arc<dyn AsyncUdpSocket>> {
        Err(io::Error::new(
            io::ErrorKind::Unsupported,
            "a std socket cannot be used with simmach's runtime: bind a `simmach::compat::quinn::UdpSocket`, and pass it to \
             `Endpoint::new_with_abstract_socket`",
        ))
    }

    #[expect(clippy::disallowed_methods, reason = "quinn's instants are std's")]
    fn now(&self) -> Instant {
        Instant::now()
    }
}

impl AsyncTimer for Timer {
    #[expect(clippy::disallowed_methods, reason = "quinn's instants are std's")]
    fn reset(mut self: Pin<&mut Self>, at: Instant) {
        let left = at.saturating_duration_since(Instant::now());
        self.0.as_mut().reset(time::Instant::now() + left);
    }

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.0.as_mut().poll(cx)
    }
}

impl AsyncUdpSocket for UdpSocket {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        Box::pin(Poller { socket: self, waits: None })
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        self.0.try_send_to(transmit.contents, transmit.destination).map(drop)
    }

    fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        buffers: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        let (Some(buffer), Some(meta)) = (buffers.first_mut(), meta.first_mut()) else {
            return Poll::Ready(Ok(0));
        };
        let mut buffer = ReadBuf::new(buffer);
        let addr = ready!(self.0.poll_recv_from(cx, &mut buffer))?;
        let len = buffer.filled().len();
        *meta = RecvMeta { addr, len, stride: len, ecn: None, dst_ip: None, ..RecvMeta::default() };
        Poll::Ready(Ok(1))
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }
}

impl UdpPoller for Poller {
    fn poll_writable(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Self { socket, waits } = &mut *self;
        let waits = waits.get_or_insert_with(|| {
            let socket = Arc::clone(socket);
            Box::pin(async move { socket.0.writable().await })
        });
        let writable = ready!(waits.as_mut().poll(cx));
        self.waits = None;
        Poll::Ready(writable)
    }
}

impl fmt::Debug for Poller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Poller").field("socket", &self.socket).finish_non_exhaustive()
    }
}
