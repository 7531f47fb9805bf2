//! TCP sockets until they are connected: creating, binding, listening and connecting.
//!
//! As on Linux, sockets share a port if all of them set `SO_REUSEADDR`, as long as none of them
//! listens. tokio sets this option in [`TcpListener::bind`](crate::net::TcpListener::bind), and
//! accepted connections inherit it. A connection that was opened without this option does not share
//! its port.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;

use crate::engine::{ProcessId, mix};
use crate::net::simulated::address::{Bound, Endpoint, HostIndex, Net};
use crate::net::simulated::kernel::host::Binding;
use crate::net::simulated::kernel::socket::{Holder, Listener, SocketOptions};
use crate::net::simulated::kernel::streams::{ConnectionInfo, connection_info};
use crate::net::simulated::kernel::wakers::Waiters;
use crate::net::simulated::kernel::{Kernel, error, key_of, local_endpoint};
use crate::net::simulated::key::SocketKey;
use crate::net::simulated::tcp::Connection;
use crate::net::simulated::tcp::config::TcpConfig;

impl Kernel {
    /// Creates a socket that is neither bound nor connected.
    pub(crate) fn new_socket(
        &mut self,
        host: HostIndex,
        process: ProcessId,
        v6: bool,
    ) -> SocketKey {
        let serial = self.next_serial();
        let slot = self.listeners.insert(Listener {
            serial,
            host,
            process,
            bound: if v6 { Bound::Any6 } else { Bound::Any4 },
            port: 0,
            listening: false,
            options: SocketOptions::default(),
            backlog: 0,
            half_open: 0,
            queue: VecDeque::new(),
            accepting: Waiters::default(),
        });
        key_of(slot, serial)
    }

    /// Creates a listener with the options that tokio sets.
    pub(crate) fn listen(
        &mut self,
        host: HostIndex,
        process: ProcessId,
        address: SocketAddr,
    ) -> io::Result<(SocketKey, SocketAddr)> {
        let key = self.new_socket(host, process, address.is_ipv6());
        self.listener(key)?.options = SocketOptions::SHARED;
        let backlog = self.config_of(host).backlog;
        let listens =
            self.bind_socket(key, address).and_then(|()| self.listen_socket(key, backlog));
        if listens.is_err() {
            self.close_listener(key);
        }
        listens.map(|local| (key, local))
    }

    /// Sets `IPV6_V6ONLY` of a socket that is not bound.
    pub(crate) fn set_only_v6(&mut self, key: SocketKey, on: bool) -> io::Result<()> {
        let listener = self.listener(key)?;
        if listener.port != 0 || !listener.bound.is_v6() {
            return Err(error::invalid());
        }
        listener.bound = if on { Bound::Only6 } else { Bound::Any6 };
        Ok(())
    }

    pub(crate) fn bind_socket(&mut self, key: SocketKey, address: SocketAddr) -> io::Result<()> {
        let &mut Listener { host, port, options, bound: family, .. } = self.listener(key)?;
        if port != 0 {
            return Err(error::invalid());
        }
        check_family(family, address)?;
        let bound = self.resolve_local(host, address)?;
        let bound = match family {
            Bound::Only6 => bound.only_v6().ok_or_else(error::invalid)?,
            Bound::Any4 | Bound::Any6 | Bound::One(_) => bound,
        };
        let port = match address.port() {
            0 => self.free_port(host)?,
            port if self.is_taken(host, port, bound, options) => {
                return Err(self.in_use(address));
            }
            port => port,
        };
        let listener = self.listener(key)?;
        (listener.bound, listener.port) = (bound, port);
        let binding = Binding { bound, key, receives: false, sharing: options.sharing };
        self.hosts[host as usize].tcp.bind(port, binding);
        Ok(())
    }

    /// Makes a socket listen. It gets an ephemeral port if it is not bound.
    pub(crate) fn listen_socket(&mut self, key: SocketKey, backlog: u32) -> io::Result<SocketAddr> {
        let &mut Listener { host, mut port, bound, options, .. } = self.listener(key)?;
        if port == 0 {
            port = self.free_port(host)?;
            let binding = Binding { bound, key, receives: false, sharing: options.sharing };
            self.hosts[host as usize].tcp.bind(port, binding);
        }
        let is_taken = self.hosts[host as usize].tcp.overlapping(port, bound).any(|other| {
            let listens = self.listeners[other.key.slot as usize].listening;
            listens && !options.sharing.shares_load(other.sharing)
        });
        if is_taken {
            return Err(self.in_use(local_endpoint(host, bound, port)));
        }
        let listener = self.listener(key)?;
        (listener.port, listener.backlog, listener.listening) = (port, backlog, true);
        self.hosts[host as usize].tcp.start_receiving(port, key);
        self.wire.stats.sockets += 1;
        Ok(local_endpoint(host, bound, port))
    }

    /// The address that a socket is bound to. The port is 0 if it is not bound.
    pub(crate) fn socket_local(&mut self, key: SocketKey) -> io::Result<SocketAddr> {
        let &mut Listener { host, bound, port, .. } = self.listener(key)?;
        Ok(local_endpoint(host, bound, port))
    }

    /// The TCP parameters that the socket's connection would have.
    pub(crate) fn socket_config(&mut self, key: SocketKey) -> io::Result<Rc<TcpConfig>> {
        let &mut Listener { host, options, .. } = self.listener(key)?;
        Ok(options.apply(self.config_of(host)))
    }

    /// Connects a socket. On success the connection takes over its port, and the key is gone.
    pub(crate) fn connect_socket(
        &mut self,
        key: SocketKey,
        address: SocketAddr,
    ) -> io::Result<ConnectionInfo> {
        let &mut Listener { host, process, bound, port, options, .. } = self.listener(key)?;
        check_family(bound, address)?;
        if bound == Bound::Only6 && !self.resolve_remote(host, address)?.net.is_v6() {
            return Err(error::network_unreachable());
        }
        let from = (port != 0).then_some((bound, port));
        let info = self.connect_from(host, process, address, from, options)?;
        self.close_listener(key);
        Ok(info)
    }

    /// Starts to connect.
    pub(crate) fn connect(
        &mut self,
        host: HostIndex,
        process: ProcessId,
        address: SocketAddr,
    ) -> io::Result<ConnectionInfo> {
        self.connect_from(host, process, address, None, SocketOptions::default())
    }

    fn connect_from(
        &mut self,
        host: HostIndex,
        process: ProcessId,
        address: SocketAddr,
        from: Option<(Bound, u16)>,
        options: SocketOptions,
    ) -> io::Result<ConnectionInfo> {
        let remote = self.resolve_remote(host, address)?;
        let port = match from {
            Some((_, port)) => port,
            None => self.free_port(host)?,
        };
        let net = match from {
            Some((Bound::One(net), _)) if net.is_loopback() && remote.host != host => {
                return Err(error::invalid());
            }
            Some((Bound::One(net), _)) => net,
            Some((Bound::Any4 | Bound::Any6 | Bound::Only6, _)) | None => remote.net,
        };
        let local = Endpoint { host, port, net };
        if self.hosts[host as usize].connections.contains_key(&(port, remote)) {
            return Err(self.already_connected(remote));
        }
        let step = self.engine.step_word();
        let own = &mut self.hosts[host as usize];
        let nth = own.number_connect(step, remote);
        let (name_hash, peer) = (own.name_hash, self.hosts[remote.host as usize].name_hash);
        let target = u64::from(remote.port) | (remote.net as u64) << 16;
        // Even numbers are flows from the connecting end, odd numbers flows to it.
        let flow = mix(mix(mix(name_hash, peer), target), nth) & !1;
        let iss = self.initial_sequence(local, remote);
        let connection = Connection::connect(
            options.apply(self.config_of(host)),
            self.mss(local, remote),
            iss,
            self.engine.clock.now(),
            &mut self.outbox,
        );
        let holder = Holder::Process(process);
        let slot = self.insert_socket(local, remote, flow, holder, connection);
        let socket = &mut self.sockets[slot];
        socket.v4_mapped = address.is_ipv6() && !remote.net.is_v6();
        (socket.reuse, socket.linger, socket.ip) =
            (options.shares_port(), options.linger, options.ip);
        self.wire.stats.sockets += 1;
        self.flush_connection(slot);
        Ok(connection_info(key_of(slot, self.sockets[slot].serial), &self.sockets[slot]))
    }

    fn free_port(&mut self, host: HostIndex) -> io::Result<u16> {
        let ports = self.config_of(host).ephemeral_ports.clone();
        let free = self.hosts[host as usize].tcp.next_ephemeral(&ports);
        free.ok_or_else(|| self.no_free_port())
    }

    /// Whether another socket has the port and does not share it.
    fn is_taken(&self, host: HostIndex, port: u16, bound: Bound, options: SocketOptions) -> bool {
        let own = &self.hosts[host as usize];
        let mut bindings = own.tcp.overlapping(port, bound);
        let taken = bindings.any(|other| {
            let listener = &self.listeners[other.key.slot as usize];
            let shares = options.reuse && listener.options.reuse && !listener.listening;
            !shares && !options.sharing.shares_load(other.sharing)
        });
        let least = Endpoint { host: 0, port: 0, net: Net::V4 };
        let connections = own.connections.range((port, least)..);
        let mut connections = connections.take_while(|((own, _), _)| *own == port);
        taken
            || connections.any(|(_, key)| {
                let socket = &self.sockets[key.slot as usize];
                !(options.shares_port() && socket.reuse) && bound.accepts(socket.local.net)
            })
    }
}

/// Checks the family of an address. As on Linux, an IPv4 address is too short for an IPv6 socket, which has a different
/// error.
fn check_family(own: Bound, address: SocketAddr) -> io::Result<()> {
    match (own.is_v6(), address.is_ipv6()) {
        (true, false) => Err(error::invalid()),
        (false, true) => Err(error::wrong_family()),
        (true, true) | (false, false) => Ok(()),
    }
}
