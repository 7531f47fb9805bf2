//! The network of one run: hosts, sockets, and the packets between them.
//!
//! One fabric a run, in the run's thread; handles reach it by [`enter`]. Packets lie in a slab and are delivered by a
//! timer that holds their slot; a socket knows its path and its peer's slot, so that nothing is looked up by name or
//! address on the way of a packet.

mod audit;
pub(crate) mod control;
mod datagrams;
mod failures;
mod sockets;
pub(crate) mod streams;
mod tcp;
mod wire;

use std::cell::OnceCell;
use std::cmp::Ordering;
use std::io;
use std::rc::Rc;
use std::sync::Arc;

use slab::Slab;

use crate::engine::{self, Engine, MachineId, RunId, Slot};
use crate::net::address::{Bound, Endpoint, HostIndex, Meaning, Net, meaning};
use crate::net::capture::Capture;
use crate::net::config::TcpConfig;
use crate::net::connection::Output;
use crate::net::filter::Filters;
use crate::net::host::Host;
use crate::net::key::Key;
use crate::net::links::Links;
use crate::net::packet::UnderWay;
use crate::net::socket::{Datagrams, Listener, Socket};
use crate::net::stats::NetStats;
use crate::net::wakers::Wakes;
use crate::net::{NetSpec, error};

thread_local! {
    static NET: Slot<Fabric> = const { Slot::new() };
}

pub(crate) struct Fabric {
    engine: Rc<Engine>,
    config: Rc<TcpConfig>,
    hosts: Vec<Host>,
    /// Which of them have power: apart, as each packet that comes asks.
    up: Vec<bool>,
    /// In the order of their names, from the first time on that one is looked for.
    by_name: OnceCell<Vec<HostIndex>>,
    links: Links,
    sockets: Slab<Socket>,
    listeners: Slab<Listener>,
    datagrams: Slab<Datagrams>,
    packets: UnderWay,
    serial: u32,
    output: Output,
    /// How many effects of `output` were told to the engine.
    told: (u64, u64),
    stats: NetStats,
    wakes: Wakes,
    filters: Filters,
    /// Names have IPv6 addresses too.
    dual_stack: bool,
    /// What is sent, where someone wants to see it.
    capture: Option<Box<Capture>>,
}

/// Makes the network of this thread's run.
///
/// # Panics
///
/// Outside a run.
pub(crate) fn install(spec: NetSpec) {
    let engine = engine::context::current().expect("a network is installed inside a run");
    engine.add_outlook(tcp::OUTLOOK);
    NET.with(|slot| slot.install(Fabric::new(engine, spec)));
}

/// Ends it: everything is dropped quietly, and what took effect comes back.
///
/// # Panics
///
/// With debug assertions, when something was left behind: a mistake in here.
pub(crate) fn remove() -> NetStats {
    let fabric = NET.with(Slot::remove);
    if cfg!(debug_assertions)
        && let Some(fabric) = &fabric
    {
        let mistakes = fabric.mistakes();
        assert!(mistakes.is_empty(), "the network's books do not agree:\n{}", mistakes.join("\n"));
    }
    fabric.map_or_else(NetStats::default, |fabric| fabric.counted())
}

/// As [`remove`], after a mistake of the framework's own: nobody asks what there was.
pub(crate) fn discard() {
    drop(NET.with(Slot::remove));
}

/// Reaches the fabric of the handle's run, and wakes whom it has to wake afterwards.
///
/// # Errors
///
/// Outside that run, or from a dead process's destructors.
#[inline]
pub(crate) fn enter<R>(run: RunId, f: impl FnOnce(&mut Fabric) -> R) -> io::Result<R> {
    try_enter(run, f).ok_or_else(error::outside)
}

/// As [`enter`], for destructors, which have nobody to tell.
pub(crate) fn try_enter<R>(run: RunId, f: impl FnOnce(&mut Fabric) -> R) -> Option<R> {
    lend(|fabric| fabric.engine.run == run && fabric.engine.scope().alive, f)
}

/// As [`enter`], for what has no handle yet.
pub(crate) fn enter_any<R>(
    f: impl FnOnce(&mut Fabric, HostIndex) -> io::Result<R>,
) -> io::Result<R> {
    let scope = engine::live_scope().ok_or_else(error::outside)?;
    reach(|fabric| {
        let host = fabric.host_of(scope.machine).ok_or_else(error::no_machine)?;
        f(fabric, host)
    })
    .unwrap_or_else(|| Err(error::outside()))
}

/// Reaches the fabric of this thread's run.
#[inline]
pub(crate) fn reach<R>(f: impl FnOnce(&mut Fabric) -> R) -> Option<R> {
    lend(|_| true, f)
}

/// Reaches it if `admit` says so. What `f` gives is moved once at most: this is each message's way, several times.
#[inline]
fn lend<R>(admit: impl FnOnce(&Fabric) -> bool, f: impl FnOnce(&mut Fabric) -> R) -> Option<R> {
    let inside = |fabric: &mut Fabric| (f(fabric), fabric.wakes.is_owed());
    let (result, owed) = NET.try_with(|slot| slot.with_if(admit, inside)).ok()??;
    if owed {
        settle();
    }
    Some(result)
}

/// Wakes whom the fabric owes it, once it is no longer lent.
#[cold]
fn settle() {
    let wakes = NET.with(|slot| slot.with(|fabric| std::mem::take(&mut fabric.wakes)));
    if let Some(wakes) = wakes {
        wakes.settle();
    }
}

impl Fabric {
    fn new(engine: Rc<Engine>, spec: NetSpec) -> Self {
        let mut links = Links::new(spec.default_profile);
        let count = spec.hosts.iter().map(|host| host.machine.0 as usize + 1).max().unwrap_or(0);
        let mut hosts = Vec::new();
        hosts.resize_with(count, Host::default);
        let mut up = vec![false; count];
        // Neighbours mostly share theirs.
        let mut zone = None;
        for host in spec.hosts {
            let own: &mut Host = &mut hosts[host.machine.0 as usize];
            own.ident = host.name.word();
            own.zone = match zone {
                Some((ref name, number)) if Arc::ptr_eq(name, &host.zone) => number,
                _ => links.zone(&host.zone),
            };
            zone = Some((host.zone, own.zone));
            own.name = host.name;
            own.routes_to_all = host.routes_to_all;
            own.config = host.tcp.map(Rc::new);
            up[host.machine.0 as usize] = true;
        }
        for link in spec.links {
            let (from, to) = (links.zone(&link.from_zone), links.zone(&link.to_zone));
            links.join(from, to, link.profile, &hosts);
        }
        for (from, to, profile) in spec.pairs {
            links.join_pair(from.0, to.0, profile, &hosts);
        }
        Self {
            engine,
            config: Rc::new(spec.tcp),
            hosts,
            up,
            by_name: OnceCell::new(),
            links,
            sockets: Slab::new(),
            listeners: Slab::new(),
            datagrams: Slab::new(),
            packets: UnderWay::default(),
            serial: 0,
            output: Output::default(),
            told: (0, 0),
            stats: NetStats::default(),
            wakes: Wakes::default(),
            filters: Filters::default(),
            dual_stack: spec.dual_stack,
            capture: None,
        }
    }

    pub(crate) fn run(&self) -> RunId {
        self.engine.run
    }

    /// What runs it.
    pub(crate) fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Whether names have IPv6 addresses too.
    pub(crate) fn dual_stack(&self) -> bool {
        self.dual_stack
    }

    /// How many timers this network has, and nothing else: for tests.
    #[cfg(test)]
    pub(crate) fn count_timers() -> usize {
        reach(|fabric| fabric.timers()).unwrap_or(0)
    }

    /// Links or rules have changed: bursts travel as one where nothing can tell.
    fn renew_bursts(&mut self) {
        for (_, socket) in &mut self.sockets {
            let (from, to) = self.links.ends(socket.path);
            let whole =
                self.links.cannot_tell_bursts(socket.path) && !self.filters.look_at(from, to);
            socket.connection.set_offload(whole);
        }
    }

    fn host_of(&self, machine: MachineId) -> Option<HostIndex> {
        ((machine.0 as usize) < self.hosts.len()).then_some(machine.0)
    }

    /// The machine with that name.
    pub(crate) fn host_named(&self, name: &str) -> Option<HostIndex> {
        let name_of = |index: HostIndex| &*self.hosts[index as usize].name;
        let by_name = self.by_name.get_or_init(|| {
            let mut named: Vec<_> = (0..self.hosts.len() as HostIndex)
                .filter(|host| !name_of(*host).is_empty())
                .collect();
            named.sort_unstable_by(|a, b| compare_names(name_of(*a), name_of(*b)));
            named
        });
        let place = by_name.binary_search_by(|host| compare_names(name_of(*host), name)).ok()?;
        Some(by_name[place])
    }

    /// A machine's figures of TCP.
    fn config_of(&self, host: HostIndex) -> &Rc<TcpConfig> {
        self.hosts[host as usize].config.as_ref().unwrap_or(&self.config)
    }

    fn next_serial(&mut self) -> u32 {
        self.serial += 1;
        self.serial
    }

    /// What `address` means to a socket of `host` that is bound there.
    fn bound(&self, host: HostIndex, address: std::net::SocketAddr) -> io::Result<Bound> {
        match meaning(address.ip(), host, self.hosts.len()) {
            Meaning::Any { v6: false } => Ok(Bound::Any4),
            Meaning::Any { v6: true } => Ok(Bound::Any6),
            Meaning::Of(owner, net) if owner == host => Ok(Bound::One(net)),
            Meaning::Of(..) | Meaning::Unknown => Err(self.not_own(host, address)),
        }
    }

    /// Where a packet to `address` goes from `host`.
    fn destination(&self, host: HostIndex, address: std::net::SocketAddr) -> io::Result<Endpoint> {
        let port = address.port();
        let (owner, net) = match meaning(address.ip(), host, self.hosts.len()) {
            Meaning::Of(owner, net) => (owner, net),
            // As on Linux: to nowhere in particular is to oneself.
            Meaning::Any { v6: false } => (host, Net::Loopback4),
            Meaning::Any { v6: true } => (host, Net::Loopback6),
            Meaning::Unknown => return Err(self.no_such_address(address)),
        };
        let to = Endpoint { host: owner, port, net };
        if !self.links.has_route(host, owner, &self.hosts) {
            return Err(self.no_route(host, to));
        }
        Ok(to)
    }

    fn counted(self) -> NetStats {
        let tally = self.output.tally;
        NetStats {
            retransmissions: tally.retransmissions,
            duplicates: tally.duplicates,
            out_of_order: tally.out_of_order,
            resets: tally.resets,
            refused: tally.refused,
            timed_out: tally.timed_out,
            bytes: tally.delivered + self.stats.bytes,
            ..self.stats
        }
    }
}

/// Whatever the case of their letters.
fn compare_names(a: &str, b: &str) -> Ordering {
    fn lower(name: &str) -> impl Iterator<Item = u8> {
        name.bytes().map(|byte| byte.to_ascii_lowercase())
    }
    lower(a).cmp(lower(b))
}

/// A listener's own address, as its socket tells it.
fn local_endpoint(host: HostIndex, bound: Bound, port: u16) -> std::net::SocketAddr {
    use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
    let ip = match bound {
        Bound::Any4 => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        Bound::Any6 => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        Bound::One(net) => Endpoint { host, port, net }.ip(),
    };
    std::net::SocketAddr::new(ip, port)
}

fn key_of(slot: usize, serial: u32) -> Key {
    Key { slot: slot as u32, serial }
}
