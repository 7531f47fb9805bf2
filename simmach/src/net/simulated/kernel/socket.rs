//! What the kernel keeps of a socket.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::rc::Rc;
use std::time::Duration;

use crate::engine::{ProcessId, TimerKey};
use crate::net::simulated::address::{Bound, Endpoint, HostIndex, PathIndex};
use crate::net::simulated::kernel::wakers::Waiters;
use crate::net::simulated::key::Key;
use crate::net::simulated::link::order::{FlowOrder, FlowOrders};
use crate::net::simulated::tcp::Connection;
use crate::net::simulated::tcp::config::TcpConfig;
use crate::net::simulated::tcp::payload::Payload;

/// Who has a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Holder {
    /// A handle of a process.
    Process(ProcessId),
    /// A listener, while the handshake lasts.
    HalfOpen(Key),
    /// A listener, until it is accepted.
    Queued(Key),
    /// Nobody: the kernel finishes what the process left.
    Kernel,
}

/// Whole lines of a cache: where thousands take turns, these are what an event costs.
#[repr(align(64))]
pub(crate) struct Socket {
    pub(crate) serial: u32,
    pub(crate) holder: Holder,
    pub(crate) local: Endpoint,
    pub(crate) remote: Endpoint,
    /// Names connection and direction in draws and in the trace.
    pub(crate) flow: u64,
    pub(crate) path: PathIndex,
    /// An IPv6 socket whose connection is IPv4's: it shows its addresses as mapped ones.
    pub(crate) mapped: bool,
    /// It shares its port with others that do (`SO_REUSEADDR`).
    pub(crate) reuse: bool,
    /// The peer's socket, once something came from it: so that its packets need no looking up.
    pub(crate) peer: Key,
    /// It is found by its addresses and has its port.
    pub(crate) hashed: bool,
    pub(crate) connection: Connection,
    pub(crate) timer: SocketTimer,
    /// Of what it sends.
    pub(crate) order: FlowOrder,
    pub(crate) linger: Option<Linger>,
    pub(crate) ip: IpOptions,
    /// It turned out not to be ready, and is taken for that until something happens.
    pub(crate) not_readable: bool,
    pub(crate) not_writable: bool,
    pub(crate) reading: Waiters,
    pub(crate) writing: Waiters,
}

/// The timer for what is due next in a connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SocketTimer {
    /// Of the timer, or of the one before, whose place it may have.
    pub(crate) key: TimerKey,
    /// [`u64::MAX`]: it is not armed.
    pub(crate) at: u64,
}

impl SocketTimer {
    pub(crate) const NONE: Self = Self { key: TimerKey::NONE, at: u64::MAX };

    pub(crate) fn is_armed(&self) -> bool {
        self.at != u64::MAX
    }
}

impl Socket {
    /// An address as this socket tells it.
    pub(crate) fn shown(&self, endpoint: Endpoint) -> SocketAddr {
        endpoint.shown(self.mapped)
    }

    /// Whether it turned out not to be ready, to be written or to be read, and nothing has happened since.
    pub(crate) fn is_cleared(&self, to_write: bool) -> bool {
        if to_write { self.not_writable } else { self.not_readable }
    }
}

/// What is said of a socket's packets. Nothing in a run looks at it: there are no routers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct IpOptions {
    pub(crate) ttl: u8,
    pub(crate) tos: u8,
    pub(crate) tclass: u8,
}

impl IpOptions {
    /// Linux's.
    pub(crate) const DEFAULT: IpOptions = IpOptions { ttl: 64, tos: 0, tclass: 0 };
}

impl Default for IpOptions {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// `SO_LINGER`: whole seconds, as the kernel takes it. Kept as one more, so that an `Option` of it takes four bytes.
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

/// What a `TcpSocket` was told, for the connections it makes or accepts.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Options {
    pub(crate) reuse: bool,
    pub(crate) nodelay: Option<bool>,
    pub(crate) keep_alive: Option<bool>,
    pub(crate) linger: Option<Linger>,
    pub(crate) send_buffer: Option<u32>,
    pub(crate) receive_buffer: Option<u32>,
    pub(crate) ip: IpOptions,
}

impl Options {
    /// As a listener that tokio makes.
    pub(crate) const SHARED: Options = Options {
        reuse: true,
        nodelay: None,
        keep_alive: None,
        linger: None,
        send_buffer: None,
        receive_buffer: None,
        ip: IpOptions::DEFAULT,
    };

    /// The machine's configuration, with what was told of it.
    pub(crate) fn apply(&self, config: &Rc<TcpConfig>) -> Rc<TcpConfig> {
        let Options { nodelay, keep_alive, send_buffer, receive_buffer, .. } = *self;
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
            Some(true) => Some(own.keep_alive.unwrap_or_default()),
            Some(false) => None,
            None => own.keep_alive,
        };
        if let Some(bytes) = send_buffer {
            own = own.send_buffer(bytes as usize);
        }
        if let Some(bytes) = receive_buffer {
            own = own.receive_buffer(bytes as usize);
        }
        Rc::new(own)
    }
}

/// A socket that listens, or one that may come to listen or connect.
pub(crate) struct Listener {
    pub(crate) serial: u32,
    pub(crate) host: HostIndex,
    pub(crate) process: ProcessId,
    pub(crate) bound: Bound,
    /// 0: not bound yet.
    pub(crate) port: u16,
    pub(crate) listening: bool,
    pub(crate) options: Options,
    pub(crate) backlog: u32,
    pub(crate) half_open: u32,
    pub(crate) queue: VecDeque<Key>,
    pub(crate) accepting: Waiters,
}

pub(crate) struct Datagrams {
    pub(crate) serial: u32,
    pub(crate) host: HostIndex,
    pub(crate) process: ProcessId,
    pub(crate) bound: Bound,
    pub(crate) port: u16,
    pub(crate) flow: u64,
    pub(crate) sent: u64,
    pub(crate) orders: FlowOrders,
    pub(crate) peer: Option<Endpoint>,
    /// It may send to all of its zone (`SO_BROADCAST`).
    pub(crate) broadcast: bool,
    /// A peer's kernel said that nobody listens.
    pub(crate) refused: bool,
    pub(crate) queue: VecDeque<(Endpoint, Payload)>,
    pub(crate) queued: usize,
    pub(crate) ip: IpOptions,
    /// It turned out not to be ready, and is taken for that until something happens.
    pub(crate) not_readable: bool,
    pub(crate) not_writable: bool,
    pub(crate) reading: Waiters,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Where thousands take turns, each line is waited for.
    #[test]
    fn a_socket_is_eight_lines_of_a_cache() {
        assert!(size_of::<Socket>() <= 8 * 64);
    }
}
