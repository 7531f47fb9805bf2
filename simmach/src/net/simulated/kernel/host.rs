//! The ports and connections of one machine.
//!
//! A port is in use as long as any socket has it, including sockets in TIME-WAIT. Ephemeral ports
//! are assigned in order. A listener can bind a port that connections still use (`SO_REUSEADDR`,
//! which tokio sets), but not a port that another listener has for the same address.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::rc::Rc;

use crate::engine::mix;
use crate::net::simulated::address::{Bound, Endpoint, Net};
use crate::net::simulated::key::SocketKey;
use crate::net::simulated::tcp::config::TcpConfig;

#[derive(Debug, Default)]
pub(crate) struct Host {
    /// Hash of the machine's name, for draws. It does not change when other machines are added.
    pub(crate) name_hash: u64,
    /// The machine's own TCP parameters; `None` if it uses those of the run.
    pub(crate) config: Option<Rc<TcpConfig>>,
    /// Number of processes that have ended here. Connects outside of steps are numbered from the
    /// start of each epoch.
    epoch: u32,
    connects: BTreeMap<Endpoint, u32>,
    /// Number of connects in steps of the test, by the word of the step and the peer.
    connects_in_steps: BTreeMap<(u64, Endpoint), u64>,
    /// Connections by their local port and their peer.
    pub(crate) connections: BTreeMap<(u16, Endpoint), SocketKey>,
    pub(crate) tcp: Ports,
    pub(crate) udp: Ports,
}

/// The ports of one protocol.
#[derive(Debug, Default)]
pub(crate) struct Ports {
    /// Number of sockets that use each port.
    used: BTreeMap<u16, u32>,
    /// Listeners, or bound UDP sockets, of each port.
    bound: BTreeMap<u16, Vec<Binding>>,
    next: u16,
}

/// A socket that is bound to a port.
#[derive(Debug)]
pub(crate) struct Binding {
    pub(crate) bound: Bound,
    pub(crate) key: SocketKey,
    /// Whether it receives. A TCP socket receives once it listens.
    pub(crate) receives: bool,
    pub(crate) sharing: Sharing,
}

/// How sockets share a port.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sharing {
    /// `SO_REUSEADDR` of a UDP socket: of the sockets that set it, the one that was bound last receives.
    pub(crate) last_receives: bool,
    /// `SO_REUSEPORT`: connections and datagrams are distributed over the sockets that set it, by their addresses.
    pub(crate) spreads: bool,
}

impl Sharing {
    /// Whether two sockets share arriving connections or datagrams.
    pub(crate) fn shares_load(self, other: Self) -> bool {
        self.spreads && other.spreads
    }

    /// Whether two UDP sockets may have the same port.
    fn is_compatible(self, other: Self) -> bool {
        self.shares_load(other) || self.last_receives && other.last_receives
    }
}

impl Host {
    /// Counts a connect to `remote` and returns its number. If `step` is not 0, it is the word of the step in which a task
    /// connects: then neither other steps nor ends of processes change the number.
    pub(crate) fn number_connect(&mut self, step: u64, remote: Endpoint) -> u64 {
        if step == 0 {
            let count = self.connects.entry(remote).or_insert(0);
            *count += 1;
            return u64::from(self.epoch) << 32 | u64::from(*count);
        }
        let count = self.connects_in_steps.entry((step, remote)).or_insert(0);
        *count += 1;
        mix(step, *count)
    }

    pub(crate) fn start_epoch(&mut self) {
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

    /// The next unused port of the range.
    pub(crate) fn next_ephemeral(&mut self, range: &RangeInclusive<u16>) -> Option<u16> {
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

    /// Bindings of a port whose addresses overlap with `bound`.
    pub(crate) fn overlapping(&self, port: u16, bound: Bound) -> impl Iterator<Item = &Binding> {
        let others = self.bound.get(&port).into_iter().flatten();
        others.filter(move |other| other.bound.overlaps(bound))
    }

    /// Whether a UDP socket can be bound to a port.
    pub(crate) fn can_bind(&self, port: u16, bound: Bound, sharing: Sharing) -> bool {
        self.overlapping(port, bound).all(|other| sharing.is_compatible(other.sharing))
    }

    pub(crate) fn bind(&mut self, port: u16, binding: Binding) {
        self.take(port);
        self.bound.entry(port).or_default().push(binding);
    }

    /// Lets a bound socket receive.
    pub(crate) fn start_receiving(&mut self, port: u16, key: SocketKey) {
        let bindings = self.bound.get_mut(&port).into_iter().flatten();
        bindings.filter(|own| own.key == key).for_each(|own| own.receives = true);
    }

    pub(crate) fn unbind(&mut self, port: u16, key: SocketKey) {
        if let Some(sockets) = self.bound.get_mut(&port) {
            sockets.retain(|other| other.key != key);
            if sockets.is_empty() {
                self.bound.remove(&port);
            }
        }
        self.release(port);
    }

    /// Returns the socket that receives packets from `from` for `net` and `port`. The most specific binding takes
    /// precedence.
    pub(crate) fn receiver_of(&self, port: u16, net: Net, from: Endpoint) -> Option<SocketKey> {
        let bindings = self.bound.get(&port)?;
        let receives = |other: &&Binding| other.receives && other.bound.accepts(net);
        if let [only] = &bindings[..] {
            return receives(&only).then_some(only.key);
        }
        let receivers = || bindings.iter().filter(receives);
        let breadth = receivers().map(|other| other.bound.breadth()).min()?;
        let receivers = || receivers().filter(|other| other.bound.breadth() == breadth);
        // As on Linux, all packets of one sender's address go to the same socket of a group.
        let group = || receivers().filter(|other| other.sharing.spreads);
        let found = match group().count() as u64 {
            0 | 1 => receivers().next_back(),
            size => {
                let sender = u64::from(from.host) << 16 | u64::from(from.port);
                group().nth((mix(u64::from(port), sender) % size) as usize)
            }
        };
        found.map(|other| other.key)
    }

    /// Returns the sockets that receive a broadcast to `port`.
    pub(crate) fn receivers_of_broadcast(&self, port: u16) -> Vec<SocketKey> {
        let bindings = self.bound.get(&port).into_iter().flatten();
        let receivers = bindings
            .filter(|other| other.receives && matches!(other.bound, Bound::Any4 | Bound::Any6));
        receivers.map(|other| other.key).collect()
    }

    /// The ports in use.
    pub(crate) fn used(&self) -> impl Iterator<Item = u16> {
        self.used.keys().copied()
    }

    /// Number of sockets of each port, and number of bindings.
    pub(crate) fn counts(&self) -> (&BTreeMap<u16, u32>, usize) {
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

    const KEY: SocketKey = SocketKey::NONE;
    const FROM: Endpoint = Endpoint { host: 0, port: 1, net: Net::V4 };

    fn binding(bound: Bound) -> Binding {
        Binding { bound, key: KEY, receives: true, sharing: Sharing::default() }
    }

    #[test]
    fn ephemeral_ports_wrap_and_run_out() {
        let (mut ports, range) = (Ports::default(), 10..=12);
        ports.take(11);
        let mut next = || {
            let port = ports.next_ephemeral(&range);
            port.inspect(|port| ports.take(*port))
        };
        assert_eq!((next(), next(), next()), (Some(10), Some(12), None));
        ports.release(11);
        assert_eq!(ports.next_ephemeral(&range), Some(11));
        assert_eq!(Ports::default().next_ephemeral(&(65_535..=65_535)), Some(65_535));
    }

    #[test]
    fn port_is_shared_only_by_different_addresses() {
        let mut ports = Ports::default();
        ports.bind(80, binding(Bound::One(Net::Loopback4)));
        assert!(ports.can_bind(80, Bound::One(Net::V4), Sharing::default()));
        assert!(
            !ports.can_bind(80, Bound::Any4, Sharing::default())
                && !ports.can_bind(80, Bound::Any6, Sharing::default())
        );
        assert!(ports.can_bind(81, Bound::Any4, Sharing::default()));
        ports.unbind(80, KEY);
        assert!(ports.is_unused());
        ports.bind(80, binding(Bound::Any6));
        assert!(!ports.can_bind(80, Bound::One(Net::V4), Sharing::default()));
        assert_eq!(ports.receiver_of(80, Net::V4, FROM), Some(KEY));
        ports.unbind(80, KEY);
        ports.bind(80, binding(Bound::Any4));
        assert_eq!(ports.receiver_of(80, Net::V6, FROM), None);
    }
}
