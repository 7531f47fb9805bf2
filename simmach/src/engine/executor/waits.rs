//! What a task waits for, kept in a few words so that a run which can't go on can say why.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// What a task waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wait {
    /// Nobody said: a channel, a lock, a future of the user's own.
    Nothing,
    /// A point in virtual time, since another.
    Sleep { since: u64, until: u64 },
    /// Something with a name: `the stop signal`, `the writer's turn`.
    Named(&'static str),
    /// Something at an address: `a connection on 10.0.0.1:443`, `data from …`.
    Peer { what: &'static str, ip: IpAddr, port: u16 },
}

impl fmt::Display for Wait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing => f.write_str("something that nobody will wake it for"),
            Self::Sleep { until, .. } => write!(f, "the time {:?}", Duration::from_nanos(*until)),
            Self::Named(what) => f.write_str(what),
            Self::Peer { what, ip, port } => {
                write!(f, "{what} {}", SocketAddr::new(*ip, *port))
            }
        }
    }
}
