//! One machine's side of the network: its ports, and who listens on them.
//!
//! Modelled: a port is in use as long as any socket has it, TIME-WAIT included; ephemeral ports are counted up through
//! their range. A listener may take a port that connections still use (`SO_REUSEADDR`, which tokio sets), not one that
//! another listener has for the same address.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::rc::Rc;

use crate::net::simulated::address::{Bound, Endpoint, Net};
use crate::net::simulated::key::Key;
use crate::net::simulated::tcp::config::TcpConfig;

#[derive(Debug, Default)]
pub(crate) struct Host {
    /// The name as a word, for draws: it stays when machines are added.
    pub(crate) ident: u64,
    /// Its own figures of TCP, where they are not the topology's.
    pub(crate) config: Option<Rc<TcpConfig>>,
    /// Counts the ends of processes here, so that connects can be numbered anew after each.
    pub(crate) epoch: u32,
    connects: BTreeMap<Endpoint, u32>,
    /// Connections by their own port and their peer.
    pub(crate) connections: BTreeMap<(u16, Endpoint), Key>,
    pub(crate) tcp: Ports,
    pub(crate) udp: Ports,
}

/// The ports of one protocol.
#[derive(Debug, Default)]
pub(crate) struct Ports {
    /// How many sockets have a port.
    used: BTreeMap<u16, u32>,
    /// Listeners, or bound UDP sockets.
    bound: BTreeMap<u16, Vec<Binding>>,
    next: u16,
}

/// A socket's hold on a port.
#[derive(Debug)]
pub(crate) struct Binding {
    pub(crate) bound: Bound,
    pub(crate) key: Key,
    /// It takes what comes: a TCP socket does so once it listens.
    takes: bool,
}

impl Host {
    /// How often this machine connected to `remote` since a process last ended here.
    pub(crate) fn number_connect(&mut self, remote: Endpoint) -> u32 {
        let count = self.connects.entry(remote).or_insert(0);
        *count += 1;
        *count
    }

    pub(crate) fn next_epoch(&mut self) {
        self.epoch += 1;
        self.connects.clear();
    }
}

impl Ports {
    pub(crate) fn take(&mut self, port: u16) {
        *self.used.entry(port).or_insert(0) += 1;
    }

    pub(crate) fn release(&mut self, port: u16) {
        if let Some(count) = self.used.get_mut(&port) {
            *count -= 1;
            if *count == 0 {
                self.used.remove(&port);
            }
        }
    }

    /// The next port of the range that nobody uses.
    pub(crate) fn ephemeral(&mut self, range: &RangeInclusive<u16>) -> Option<u16> {
        let (first, last) = (*range.start(), *range.end());
        let mut port = self.next;
        for _ in range.clone() {
            if !range.contains(&port) {
                port = first;
            }
            if !self.used.contains_key(&port) {
                self.next = if port == last { first } else { port + 1 };
                return Some(port);
            }
            port = port.wrapping_add(1);
        }
        None
    }

    /// Whose addresses overlap with that.
    pub(crate) fn overlapping(&self, port: u16, bound: Bound) -> impl Iterator<Item = &Binding> {
        let others = self.bound.get(&port).into_iter().flatten();
        others.filter(move |other| other.bound.overlaps(bound))
    }

    pub(crate) fn can_bind(&self, port: u16, bound: Bound) -> bool {
        self.overlapping(port, bound).next().is_none()
    }

    pub(crate) fn bind(&mut self, port: u16, bound: Bound, key: Key, takes: bool) {
        self.take(port);
        self.bound.entry(port).or_default().push(Binding { bound, key, takes });
    }

    /// From now on it takes what comes.
    pub(crate) fn open(&mut self, port: u16, key: Key) {
        let bindings = self.bound.get_mut(&port).into_iter().flatten();
        bindings.filter(|own| own.key == key).for_each(|own| own.takes = true);
    }

    pub(crate) fn unbind(&mut self, port: u16, key: Key) {
        if let Some(sockets) = self.bound.get_mut(&port) {
            sockets.retain(|other| other.key != key);
            if sockets.is_empty() {
                self.bound.remove(&port);
            }
        }
        self.release(port);
    }

    /// Who gets what comes for `net` and `port`: the one bound to the address itself before one bound to all.
    pub(crate) fn bound_to(&self, port: u16, net: Net) -> Option<Key> {
        let bindings = self.bound.get(&port)?.iter();
        let takers = bindings.filter(|other| other.takes && other.bound.takes(net));
        takers.min_by_key(|other| other.bound.reach()).map(|other| other.key)
    }

    /// Those that any socket has.
    pub(crate) fn used(&self) -> impl Iterator<Item = u16> {
        self.used.keys().copied()
    }

    /// How many sockets have each port, and how many are bound.
    pub(crate) fn books(&self) -> (&BTreeMap<u16, u32>, usize) {
        (&self.used, self.bound.values().map(Vec::len).sum())
    }

    #[cfg(test)]
    pub(crate) fn is_unused(&self) -> bool {
        self.used.is_empty() && self.bound.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: Key = Key::NONE;

    #[test]
    fn ephemeral_ports_go_round_and_run_out() {
        let (mut ports, range) = (Ports::default(), 10..=12);
        ports.take(11);
        let mut next = || {
            let port = ports.ephemeral(&range);
            port.inspect(|port| ports.take(*port))
        };
        assert_eq!((next(), next(), next()), (Some(10), Some(12), None));
        ports.release(11);
        assert_eq!(ports.ephemeral(&range), Some(11));
        assert_eq!(Ports::default().ephemeral(&(65_535..=65_535)), Some(65_535));
    }

    #[test]
    fn a_port_is_shared_only_by_different_addresses() {
        let mut ports = Ports::default();
        ports.bind(80, Bound::One(Net::Loopback4), KEY, true);
        assert!(ports.can_bind(80, Bound::One(Net::V4)));
        assert!(!ports.can_bind(80, Bound::Any4) && !ports.can_bind(80, Bound::Any6));
        assert!(ports.can_bind(81, Bound::Any4));
        ports.unbind(80, KEY);
        assert!(ports.is_unused());
        ports.bind(80, Bound::Any6, KEY, true);
        assert!(!ports.can_bind(80, Bound::One(Net::V4)));
        assert_eq!(ports.bound_to(80, Net::V4), Some(KEY));
        ports.unbind(80, KEY);
        ports.bind(80, Bound::Any4, KEY, true);
        assert_eq!(ports.bound_to(80, Net::V6), None);
    }
}
