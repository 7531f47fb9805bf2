//! Records failed calls with their peers, for the report of a run that fails because of such an
//! error.

use std::io;
use std::net::SocketAddr;

use crate::net::simulated::address::{AddressOwner, Endpoint, HostIndex, owner_of};
use crate::net::simulated::kernel::{Kernel, error};
use crate::net::simulated::tcp::ConnectionError;

impl Kernel {
    /// Records the failed call, and returns its error.
    #[cold]
    pub(super) fn record_failed_call(&self, error: io::Error, asked: &str) -> io::Error {
        if let Some(code) = error.raw_os_error() {
            self.engine.call_failed(code, asked.to_owned());
        }
        error
    }

    /// Records and returns the error of a connection. `what` names the call, and `peer` is the
    /// remote end.
    #[cold]
    pub(crate) fn connection_error(
        &self,
        failure: ConnectionError,
        what: &str,
        peer: Endpoint,
    ) -> io::Error {
        self.record_failed_call(
            error::failed(failure),
            &format!("{what} {}", self.describe_endpoint(peer)),
        )
    }

    /// The peer's name, port and address.
    pub(super) fn describe_endpoint(&self, peer: Endpoint) -> String {
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
        self.record_failed_call(error::network_unreachable(), &asked)
    }

    /// No link joins the zones of the two machines.
    #[cold]
    pub(super) fn no_route(&self, from: HostIndex, to: Endpoint) -> io::Error {
        let (own, to) = (self.wire.name(from), self.describe_endpoint(to));
        let asked = format!("sending from {own} to {to}: no link joins their zones");
        self.record_failed_call(error::host_unreachable(), &asked)
    }

    /// Another socket has the port.
    #[cold]
    pub(super) fn in_use(&self, address: SocketAddr) -> io::Error {
        let asked = format!(
            "binding to {address}: another socket of this machine uses the address; give each service its own port, or use \
             port 0 for a free one"
        );
        self.record_failed_call(error::in_use(), &asked)
    }

    /// The address belongs to a different machine, or to no machine.
    #[cold]
    pub(super) fn not_local(&self, host: HostIndex, address: SocketAddr) -> io::Error {
        let owner = match owner_of(address.ip(), host, self.hosts.len()) {
            AddressOwner::Machine(owner, _) => {
                format!("this address belongs to {}", self.wire.name(owner))
            }
            AddressOwner::Unspecified { .. } | AddressOwner::Unknown => {
                "no machine has this address".to_owned()
            }
        };
        self.record_failed_call(error::not_available(), &format!("binding to {address}: {owner}"))
    }

    #[cold]
    pub(super) fn no_free_port(&self) -> io::Error {
        self.record_failed_call(
            error::not_available(),
            "choosing a port: all ephemeral ports are in use",
        )
    }

    #[cold]
    pub(super) fn already_connected(&self, remote: Endpoint) -> io::Error {
        let asked = format!(
            "connecting to {}: a connection from the same local port already exists",
            self.describe_endpoint(remote)
        );
        self.record_failed_call(error::not_available(), &asked)
    }
}
