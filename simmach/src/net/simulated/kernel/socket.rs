//! The kernel's state of sockets.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::rc::Rc;
use std::time::Duration;

use crate::engine::{ProcessId, TimerKey};
use crate::net::simulated::address::{Bound, Endpoint, HostIndex, PathIndex};
use crate::net::simulated::kernel::host::Sharing;
use crate::net::simulated::kernel::wakers::Waiters;
use crate::net::simulated::key::SocketKey;
use crate::net::simulated::link::order::{FlowOrder, FlowOrders};
use crate::net::simulated::tcp::Connection;
use crate::net::simulated::tcp::config::{KeepAlive, MAX_WINDOW, TcpConfig};
use crate::net::simulated::tcp::payload::Payload;

/// Owner of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Holder {
    /// A handle in a process.
    Process(ProcessId),
    /// A listener, during the handshake.
    HalfOpen(SocketKey),
    /// A listener, in its accept queue.
    Queued(SocketKey),
    /// No handle: the kernel finishes closing.
    Kernel,
}
/// A TCP connection. It is aligned to a cache line: with thousands of sockets, cache misses on this
/// struct are the main cost of an event.
#[repr(align(64))]
pub(crate) struct Socket {
    pub(crate) serial: u32,
    pub(crate) holder: Holder,
    pub(crate) local: Endpoint,
    pub(crate) remote: Endpoint,
    /// Identifies the connection and the direction, in draws and in the trace.
    pub(crate) flow: u64,
    pub(crate) path: PathIndex,
    /// Whether this is an IPv6 socket with an IPv4 connection, which shows mapped addresses.
    pub(crate) v4_mapped: bool,
    /// Whether it shares its port (`SO_REUSEADDR`).
    pub(crate) reuse: bool,
    /// The peer's socket, known after its first segment. Saves a lookup by addresses.
    pub(crate) peer: SocketKey,
    /// Whether it is registered under its addresses and uses its port.
    pub(crate) registered: bool,
    pub(crate) connection: Connection,
    pub(crate) timer: SocketTimer,
    /// Order of the packets it sends.
    pub(crate) order: FlowOrder,
    pub(crate) linger: Option<Linger>,
    pub(crate) ip: IpOptions,
    /// Marked as not ready by `try_io`, until the next event.
    pub(crate) not_readable: bool,
    pub(crate) not_writable: bool,
    pub(crate) reading: Waiters,
    pub(crate) writing: Waiters,
}

/// The timer of a connection's next deadline.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SocketTimer {
    /// Key of the timer. When it is not armed, the key of the last one, whose slot may be reused.
    pub(crate) key: TimerKey,
    /// [`u64::MAX`] if it is not armed.
    pub(crate) at: u64,
}

impl SocketTimer {
    pub(crate) const NONE: Self = Self { key: TimerKey::NONE, at: u64::MAX };

    pub(crate) fn is_armed(&self) -> bool {
        self.at != u64::MAX
    }
}

impl Socket {
    /// An address as the socket API returns it.
    pub(crate) fn display_addr(&self, endpoint: Endpoint) -> SocketAddr {
        endpoint.display_addr(self.v4_mapped)
    }

    /// Whether the socket is marked as not ready for writing or reading.
    pub(crate) fn is_cleared(&self, to_write: bool) -> bool {
        if to_write { self.not_writable } else { self.not_readable }
    }
}

/// IP options of a socket. They have no effect, since a run has no routers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct IpOptions {
    pub(crate) ttl: u8,
    pub(crate) tos: u8,
    pub(crate) tclass: u8,
}

impl IpOptions {
    /// Linux's defaults.
    pub(crate) const DEFAULT: IpOptions = IpOptions { ttl: 64, tos: 0, tclass: 0 };
}

impl Default for IpOptions {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// `SO_LINGER` in whole seconds, as in the kernel. The number is stored plus one, so that `Option<Linger>` takes four bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Linger(NonZeroU32);

impl Linger {
    pub(crate) const ZERO: Linger = Linger(NonZeroU32::MIN);
}

impl From<Duration> for Linger {
    fn from(duration: Duration) -> Self {
        let seconds = u32::try_from(duration.as_secs()).unwrap_or(u32::MAX);
        Self(NonZeroU32::MIN.saturating_add(seconds))
    }
}

impl From<Linger> for Duration {
    fn from(linger: Linger) -> Self {
        Duration::from_secs(u64::from(linger.0.get()) - 1)
    }
}

/// Options set on a `TcpSocket`, for the connection it opens or those it accepts.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct SocketOptions {
    pub(crate) reuse: bool,
    /// How it shares its port with other listeners.
    pub(crate) sharing: Sharing,
    pub(crate) nodelay: Option<bool>,
    pub(crate) keep_alive: Option<bool>,
    /// Times of keep-alive probes, if they were set.
    pub(crate) probes: Option<KeepAlive>,
    pub(crate) linger: Option<Linger>,
    pub(crate) send_buffer: Option<u32>,
    pub(crate) receive_buffer: Option<u32>,
    pub(crate) ip: IpOptions,
}

impl SocketOptions {
    /// The options of tokio's listeners.
    pub(crate) const SHARED: SocketOptions = SocketOptions {
        reuse: true,
        sharing: Sharing { last_receives: false, spreads: false },
        nodelay: None,
        keep_alive: None,
        probes: None,
        linger: None,
        send_buffer: None,
        receive_buffer: None,
        ip: IpOptions::DEFAULT,
    };

    /// Whether connections share their port with a socket that allows this too.
    pub(crate) fn shares_port(&self) -> bool {
        self.reuse || self.sharing.spreads
    }

    /// The machine's TCP parameters with these options applied.
    pub(crate) fn apply(&self, config: &Rc<TcpConfig>) -> Rc<TcpConfig> {
        let SocketOptions { nodelay, keep_alive, probes, send_buffer, receive_buffer, .. } = *self;
        if nodelay.is_none()
            && keep_alive.is_none()
            && send_buffer.is_none()
            && receive_buffer.is_none()
        {
            return Rc::clone(config);
        }
        let mut own = TcpConfig::clone(config);
        own.nodelay = nodelay.unwrap_or(own.nodelay);
        own.keep_alive = match keep_alive {
            Some(true) => Some(probes.or(own.keep_alive).unwrap_or_default()),
            Some(false) => None,
            None => own.keep_alive,
        };
        if let Some(bytes) = send_buffer {
            own.send_buffer = bytes as usize;
        }
        if let Some(bytes) = receive_buffer {
            own.receive_buffer = MAX_WINDOW.min(bytes as usize);
        }
        Rc::new(own)
    }
}

/// A TCP socket that listens, or is not connected yet.
pub(crate) struct Listener {
    pub(crate) serial: u32,
    pub(crate) host: HostIndex,
    pub(crate) process: ProcessId,
    pub(crate) bound: Bound,
    /// 0 if it is not bound.
    pub(crate) port: u16,
    pub(crate) listening: bool,
    pub(crate) options: SocketOptions,
    pub(crate) backlog: u32,
    pub(crate) half_open: u32,
    pub(crate) queue: VecDeque<SocketKey>,
    pub(crate) accepting: Waiters,
}

pub(crate) struct DatagramSocket {
    pub(crate) serial: u32,
    pub(crate) host: HostIndex,
    pub(crate) process: ProcessId,
    pub(crate) bound: Bound,
    pub(crate) port: u16,
    pub(crate) flow: u64,
    pub(crate) sent: u64,
    pub(crate) orders: FlowOrders,
    pub(crate) peer: Option<Endpoint>,
    /// Whether it may send broadcasts (`SO_BROADCAST`).
    pub(crate) broadcast: bool,
    /// Whether an ICMP port unreachable was received from the peer.
    pub(crate) refused: bool,
    pub(crate) queue: VecDeque<(Endpoint, Payload)>,
    pub(crate) queued: usize,
    pub(crate) ip: IpOptions,
    /// Marked as not ready by `try_io`, until the next event.
    pub(crate) not_readable: bool,
    pub(crate) not_writable: bool,
    pub(crate) reading: Waiters,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each further cache line is a miss when thousands of sockets take turns.
    #[test]
    fn socket_fits_into_eight_cache_lines() {
        assert!(size_of::<Socket>() <= 8 * 64);
    }
}
