//! Consistency checks: ports, tables and timers match the sockets and packets that exist, and every connection without
//! a process ends by itself.
//!
//! They run when a network ends, in builds with debug assertions, so every test detects leaks.

use std::collections::BTreeMap;

use crate::net::simulated::address::HostIndex;
use crate::net::simulated::kernel::host::{Host, Ports};
use crate::net::simulated::kernel::socket::{Holder, Listener, Socket};
use crate::net::simulated::kernel::{Kernel, key_of};
use crate::net::simulated::key::Key;
use crate::net::simulated::tcp::State;

impl Kernel {
    /// Returns a description of each inconsistency.
    pub(super) fn mistakes(&self) -> Vec<String> {
        let mut found = Vec::new();
        for (number, host) in (0..).zip(&self.hosts) {
            self.look_at_ports(number, host, &mut found);
        }
        for (slot, socket) in &self.sockets {
            self.look_at_socket(key_of(slot, socket.serial), socket, &mut found);
        }
        for (slot, listener) in &self.listeners {
            self.look_at_listener(key_of(slot, listener.serial), listener, &mut found);
        }
        let held = self.wire.links.held();
        if self.wire.packets.len() < held {
            found.push(format!("{held} packets are held, of {}", self.wire.packets.len()));
        }
        found
    }

    /// Number of armed timers of sockets and packets.
    #[cfg(test)]
    pub(super) fn timers(&self) -> usize {
        let sockets = self.sockets.iter().filter(|(_, socket)| socket.timer.is_armed());
        sockets.count() + self.wire.packets.len() - self.wire.links.held()
    }

    fn look_at_ports(&self, number: HostIndex, host: &Host, found: &mut Vec<String>) {
        let bound = self.listeners.iter().map(|(_, listener)| listener);
        let bound = bound.filter(|listener| listener.host == number && listener.port != 0);
        let bound: Vec<u16> = bound.map(|listener| listener.port).collect();
        let hashed = self.sockets.iter().map(|(_, socket)| socket);
        let hashed = hashed.filter(|socket| socket.local.host == number && socket.hashed);
        let connected: Vec<u16> = hashed.map(|socket| socket.local.port).collect();
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
                "{}: {known} connections are known, {there} there",
                self.wire.name(number)
            ));
        }
    }

    fn look_at_socket(&self, key: Key, socket: &Socket, found: &mut Vec<String>) {
        let state = socket.connection.state();
        let (due, timer) = (socket.connection.deadline().is_some(), socket.timer.is_armed());
        let mut wrong = |what: &str| {
            let (from, to) = (socket.shown(socket.local), socket.shown(socket.remote));
            found.push(format!("{from} to {to}, {state:?}, {:?}: {what}", socket.holder));
        };
        if socket.hashed == (state == State::Closed) {
            wrong("only what is not closed is found by its addresses");
        }
        if due && !timer {
            wrong("something is due and has no timer");
        }
        let ends_by_itself = due && state != State::Closed;
        match socket.holder {
            Holder::Process(_) => {}
            Holder::Kernel if ends_by_itself => {}
            Holder::Kernel => wrong("nobody holds it, and it does not end"),
            Holder::HalfOpen(_) if !ends_by_itself => wrong("a handshake that does not end"),
            Holder::HalfOpen(listener) | Holder::Queued(listener) => {
                let own = self.listeners.get(listener.slot as usize);
                let own = own.filter(|own| own.serial == listener.serial);
                let queued = own.is_some_and(|own| own.queue.contains(&key));
                let is_queued = matches!(socket.holder, Holder::Queued(_));
                if own.is_none() || queued != is_queued {
                    wrong("its listener does not know it");
                }
            }
        }
    }

    fn look_at_listener(&self, key: Key, listener: &Listener, found: &mut Vec<String>) {
        let holders = || self.sockets.iter().map(|(_, socket)| socket.holder);
        let half_open = holders().filter(|holder| *holder == Holder::HalfOpen(key)).count();
        let queued = holders().filter(|holder| *holder == Holder::Queued(key)).count();
        if (half_open, queued) != (listener.half_open as usize, listener.queue.len()) {
            let said = (listener.half_open, listener.queue.len());
            found.push(format!(
                "a listener at port {} counts {said:?} half open and queued: there are {:?}",
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
    let (used, bindings) = ports.books();
    if *used != counted || bindings != bound {
        found.push(format!(
            "{name}: the {protocol} ports in use are {used:?}, {bindings} bound; there are {counted:?}, {bound} bound"
        ));
    }
}
