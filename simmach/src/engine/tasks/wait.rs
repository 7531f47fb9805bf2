//! The reasons why tasks wait, for the report of a run that cannot continue.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// What a task is waiting for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wait {
    /// Unknown: a channel, a lock or another future that is not simmach's.
    Nothing,
    /// A virtual time, `until`. The wait began at `since`. Both are in nanoseconds.
    Sleep { since: u64, until: u64 },
    /// Something with a name, such as `the stop signal`.
    Named(&'static str),
    /// Events of an epoll instance, named by its descriptor.
    #[cfg_attr(not(feature = "tokio"), expect(dead_code, reason = "only guests wait for them"))]
    Events { what: &'static str, epoll: i32 },
    /// Something at an address, such as `data from 10.0.0.1:443`.
    Peer { what: &'static str, ip: IpAddr, port: u16 },
}

impl fmt::Display for Wait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing => {
                f.write_str("waits for a wake-up (from a channel, a lock or another future)")
            }
            Self::Sleep { until, .. } => {
                write!(f, "sleeps until {:?}", Duration::from_nanos(*until))
            }
            Self::Named(what) | Self::Events { what, .. } => write!(f, "waits for {what}"),
            Self::Peer { what, ip, port } => {
                write!(f, "waits for {what} {}", SocketAddr::new(*ip, *port))
            }
        }
    }
}
