//! Consistency checks of a network. Ports, tables and timers must match the existing sockets and
//! packets, and every connection without a process must end by itself.
//!
//! The checks run when a network ends, in builds with debug assertions, so that every test detects
//! leaks.

use std::collections::BTreeMap;

use crate::net::simulated::address::HostIndex;
use crate::net::simulated::kernel::host::{Host, Ports};
use crate::net::simulated::kernel::socket::{Holder, Listener, Socket};
use crate::net::simulated::kernel::{Kernel, key_of};
use crate::net::simulated::key::SocketKey;
use crate::net::simulated::tcp::State;

impl Kernel {
    /// Returns a description of each inconsistency.
    pub(super) fn inconsistencies(&self) -> Vec<String> {
        let mut found = Vec::new();
        for (number, host) in (0..).zip(&self.hosts) {
            self.check_ports(number, host, &mut found);
        }
        for (slot, socket) in &self.sockets {
            self.check_socket(key_of(slot, socket.serial), socket, &mut found);
        }
        for (slot, listener) in &self.listeners {
            self.check_listener(key_of(slot, listener.serial), listener, &mut found);
        }
        let held = self.wire.links.held();
        if self.wire.packets.len() < held {
            found.push(format!(
                "{held} packets are held by clogs, but only {} are in flight",
                self.wire.packets.len()
            ));
        }
        found
    }

    /// Number of armed timers of sockets and packets.
    #[cfg(test)]
    pub(super) fn count_armed_timers(&self) -> usize {
        let sockets = self.sockets.iter().filter(|(_, socket)| socket.timer.is_armed());
        sockets.count() + self.wire.packets.len() - self.wire.links.held()
    }

    fn check_ports(&self, number: HostIndex, host: &Host, found: &mut Vec<String>) {
        let bound = self.listeners.iter().map(|(_, listener)| listener);
        let bound = bound.filter(|listener| listener.host == number && listener.port != 0);
        let bound: Vec<u16> = bound.map(|listener| listener.port).collect();
        let registered = self.sockets.iter().map(|(_, socket)| socket);
        let registered =
            registered.filter(|socket| socket.local.host == number && socket.registered);
        let connected: Vec<u16> = registered.map(|socket| socket.local.port).collect();
        let datagrams = self.datagrams.iter().map(|(_, socket)| socket);
        let datagrams = datagrams.filter(|socket| socket.host == number);
        let datagrams: Vec<u16> = datagrams.map(|socket| socket.port).collect();
        let tcp = bound.iter().chain(&connected).copied();
        compare(self.wire.name(number), "tcp", &host.tcp, tcp, bound.len(), found);
        compare(
            self.wire.name(number),
            "udp",
            &host.udp,
            datagrams.iter().copied(),
            datagrams.len(),
            found,
        );
        if host.connections.len() != connected.len() {
            let (known, there) = (host.connections.len(), connected.len());
            found.push(format!(
                "{}: {known} connections are registered, but {there} exist",
                self.wire.name(number)
            ));
        }
    }

    fn check_socket(&self, key: SocketKey, socket: &Socket, found: &mut Vec<String>) {
        let state = socket.connection.state();
        let (due, timer) = (socket.connection.deadline().is_some(), socket.timer.is_armed());
        let mut wrong = |what: &str| {
            let (from, to) =
                (socket.display_addr(socket.local), socket.display_addr(socket.remote));
            found.push(format!("{from} to {to}, {state:?}, {:?}: {what}", socket.holder));
        };
        if socket.registered == (state == State::Closed) {
            wrong("a closed connection is registered, or an open one is not");
        }
        if due && !timer {
            wrong("a deadline without a timer");
        }
        let ends_by_itself = due && state != State::Closed;
        match socket.holder {
            Holder::Process(_) => {}
            Holder::Kernel if ends_by_itself => {}
            Holder::Kernel => {
                wrong("no process holds this connection, and the connection does not end by itself")
            }
            Holder::HalfOpen(_) if !ends_by_itself => {
                wrong("a handshake that does not end by itself")
            }
            Holder::HalfOpen(listener) | Holder::Queued(listener) => {
                let own = self.listeners.get(listener.slot as usize);
                let own = own.filter(|own| own.serial == listener.serial);
                let queued = own.is_some_and(|own| own.queue.contains(&key));
                let is_queued = matches!(socket.holder, Holder::Queued(_));
                if own.is_none() || queued != is_queued {
                    wrong(
                        "the connection's listener is closed, or the listener's queue does not match the state of the connection",
                    );
                }
            }
        }
    }

    fn check_listener(&self, key: SocketKey, listener: &Listener, found: &mut Vec<String>) {
        let holders = || self.sockets.iter().map(|(_, socket)| socket.holder);
        let half_open = holders().filter(|holder| *holder == Holder::HalfOpen(key)).count();
        let queued = holders().filter(|holder| *holder == Holder::Queued(key)).count();
        if (half_open, queued) != (listener.half_open as usize, listener.queue.len()) {
            let counted = (listener.half_open, listener.queue.len());
            found.push(format!(
                "the listener at port {} counts {counted:?} half-open and queued connections, but {:?} exist",
                listener.port,
                (half_open, queued)
            ));
        }
    }
}

fn compare(
    name: &str,
    protocol: &str,
    ports: &Ports,
    there: impl Iterator<Item = u16>,
    bound: usize,
    found: &mut Vec<String>,
) {
    let mut counted: BTreeMap<u16, u32> = BTreeMap::new();
    there.for_each(|port| *counted.entry(port).or_default() += 1);
    let (used, bindings) = ports.counts();
    if *used != counted || bindings != bound {
        found.push(format!(
            "{name}: the table of {protocol} ports has {used:?} with {bindings} bindings, but the sockets use {counted:?} with {bound} bindings"
        ));
    }
}
