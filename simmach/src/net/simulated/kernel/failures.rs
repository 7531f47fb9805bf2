//! Errors of calls, recorded with the call and its peer for the report of a run that they end.

use std::io;
use std::net::SocketAddr;

use crate::net::simulated::address::{Endpoint, HostIndex, Meaning, meaning};
use crate::net::simulated::kernel::{Kernel, error};
use crate::net::simulated::tcp::Failure;

impl Kernel {
    /// Records the failed call, and returns its error.
    #[cold]
    pub(super) fn noted(&self, error: io::Error, asked: &str) -> io::Error {
        if let Some(code) = error.raw_os_error() {
            self.engine.call_failed(code, asked.to_owned());
        }
        error
    }

    /// The error of a connection. `what` is the call, and `peer` its remote end.
    #[cold]
    pub(crate) fn failed(&self, failure: Failure, what: &str, peer: Endpoint) -> io::Error {
        self.noted(error::failed(failure), &format!("{what} {}", self.described(peer)))
    }

    /// The peer's name, port and address.
    pub(super) fn described(&self, peer: Endpoint) -> String {
        let address = peer.socket_addr();
        if (peer.host as usize) < self.hosts.len() && !peer.net.is_loopback() {
            format!("{}:{} ({address})", self.wire.name(peer.host), peer.port)
        } else {
            address.to_string()
        }
    }

    /// No machine has the address.
    #[cold]
    pub(super) fn no_such_address(&self, address: SocketAddr) -> io::Error {
        let asked = format!("sending to {address}: no machine has this address");
        self.noted(error::network_unreachable(), &asked)
    }

    /// No link joins the zones of the two machines.
    #[cold]
    pub(super) fn no_route(&self, from: HostIndex, to: Endpoint) -> io::Error {
        let (own, to) = (self.wire.name(from), self.described(to));
        let asked = format!("sending from {own} to {to}: no link joins their zones");
        self.noted(error::host_unreachable(), &asked)
    }

    /// Another socket has the port.
    #[cold]
    pub(super) fn in_use(&self, address: SocketAddr) -> io::Error {
        let asked = format!(
            "binding to {address}: another socket of this machine is bound to it; each service needs a port of its own, and \
             port 0 takes a free one"
        );
        self.noted(error::in_use(), &asked)
    }

    /// The address is another machine's, or no machine's.
    #[cold]
    pub(super) fn not_own(&self, host: HostIndex, address: SocketAddr) -> io::Error {
        let owner = match meaning(address.ip(), host, self.hosts.len()) {
            Meaning::Of(owner, _) => {
                format!("the address of {}", self.wire.name(owner))
            }
            Meaning::Any { .. } | Meaning::Unknown => "no machine's address".to_owned(),
        };
        self.noted(error::not_available(), &format!("binding to {address}: it is {owner}"))
    }

    #[cold]
    pub(super) fn no_free_port(&self) -> io::Error {
        self.noted(error::not_available(), "choosing a port: all ephemeral ports are in use")
    }

    #[cold]
    pub(super) fn connected_already(&self, remote: Endpoint) -> io::Error {
        let asked = format!(
            "connecting to {}: there is a connection from the same port already",
            self.described(remote)
        );
        self.noted(error::not_available(), &asked)
    }
}
