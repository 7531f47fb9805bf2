//! The kernels of all machines of a run: sockets, ports and listeners.
//!
//! There is one [`Kernel`] per run, on the run's thread, for all machines. Handles reach it by [`enter`]. It sends by the
//! wire that it holds, and the wire's timers call it when a packet arrives. A socket knows its path and its peer's slot, so
//! that a packet needs no look-up by name or address.

mod arrival;
mod audit;
pub(crate) mod control;
mod datagrams;
pub(crate) mod error;
mod failures;
mod host;
mod open;
mod segments;
pub(crate) mod socket;
pub(crate) mod spec;
pub(crate) mod streams;
pub(crate) mod table;
pub(crate) mod wakers;

use std::cell::OnceCell;
use std::cmp::Ordering;
use std::io;
use std::rc::Rc;
use std::sync::Arc;

use slab::Slab;

use crate::engine::{self, Engine, MachineId, Name, RunId, Slot};
use crate::net::NetSpec;
use crate::net::simulated::address::{Bound, Endpoint, HostIndex, Meaning, Net, meaning};
use crate::net::simulated::kernel::host::Host;
use crate::net::simulated::kernel::socket::{Datagrams, Listener, Socket};
use crate::net::simulated::kernel::wakers::Wakes;
use crate::net::simulated::key::Key;
use crate::net::simulated::link::links::Links;
use crate::net::simulated::link::wire::Wire;
use crate::net::simulated::stats::NetStats;
use crate::net::simulated::tcp::Output;
use crate::net::simulated::tcp::config::TcpConfig;

thread_local! {
    static NET: Slot<Kernel> = const { Slot::new() };
}

pub(crate) struct Kernel {
    engine: Rc<Engine>,
    config: Rc<TcpConfig>,
    hosts: Vec<Host>,
    /// In the order of their names, from the first time on that one is looked for.
    by_name: OnceCell<Vec<HostIndex>>,
    sockets: Slab<Socket>,
    listeners: Slab<Listener>,
    datagrams: Slab<Datagrams>,
    serial: u32,
    output: Output,
    /// How many effects of `output` were told to the engine.
    told: (u64, u64),
    wakes: Wakes,
    /// Names have IPv6 addresses too.
    dual_stack: bool,
    wire: Wire,
}

/// Makes the network of this thread's run.
///
/// # Panics
///
/// Outside a run.
pub(crate) fn install(spec: NetSpec) {
    let engine = engine::context::current().expect("a network is installed inside a run");
    engine.add_outlook(segments::OUTLOOK);
    NET.with(|slot| slot.install(Kernel::new(engine, spec)));
}

/// Ends it: everything is dropped quietly, and what took effect comes back.
///
/// # Panics
///
/// With debug assertions, when something was left behind: a mistake in here.
pub(crate) fn remove() -> NetStats {
    let kernel = NET.with(Slot::remove);
    if cfg!(debug_assertions)
        && let Some(kernel) = &kernel
    {
        let mistakes = kernel.mistakes();
        assert!(mistakes.is_empty(), "the network's books do not agree:\n{}", mistakes.join("\n"));
    }
    kernel.map_or_else(NetStats::default, |kernel| kernel.counted())
}

/// As [`remove`], after a mistake of the framework's own: nobody asks what there was.
pub(crate) fn discard() {
    drop(NET.with(Slot::remove));
}

/// Reaches the kernel of the handle's run, and wakes whom it has to wake afterwards.
///
/// # Errors
///
/// Outside that run, or from a dead process's destructors.
#[inline]
pub(crate) fn enter<R>(run: RunId, f: impl FnOnce(&mut Kernel) -> R) -> io::Result<R> {
    try_enter(run, f).ok_or_else(error::outside)
}

/// As [`enter`], for destructors, which have nobody to tell.
pub(crate) fn try_enter<R>(run: RunId, f: impl FnOnce(&mut Kernel) -> R) -> Option<R> {
    lend(|kernel| kernel.engine.run == run && kernel.engine.scope().alive, f)
}

/// As [`enter`], for what has no handle yet.
pub(crate) fn enter_any<R>(
    f: impl FnOnce(&mut Kernel, HostIndex) -> io::Result<R>,
) -> io::Result<R> {
    let scope = engine::live_scope().ok_or_else(error::outside)?;
    reach(|kernel| {
        let host = kernel.host_of(scope.machine).ok_or_else(error::no_machine)?;
        f(kernel, host)
    })
    .unwrap_or_else(|| Err(error::outside()))
}

/// Reaches the kernel of this thread's run.
#[inline]
pub(crate) fn reach<R>(f: impl FnOnce(&mut Kernel) -> R) -> Option<R> {
    lend(|_| true, f)
}

/// Reaches it if `admit` says so. What `f` gives is moved once at most: this is each message's way, several times.
#[inline]
fn lend<R>(admit: impl FnOnce(&Kernel) -> bool, f: impl FnOnce(&mut Kernel) -> R) -> Option<R> {
    let inside = |kernel: &mut Kernel| (f(kernel), kernel.wakes.is_owed());
    let (result, owed) = NET.try_with(|slot| slot.with_if(admit, inside)).ok()??;
    if owed {
        settle();
    }
    Some(result)
}

/// Wakes whom the kernel owes it, once it is no longer lent.
#[cold]
fn settle() {
    let wakes = NET.with(|slot| slot.with(|kernel| std::mem::take(&mut kernel.wakes)));
    if let Some(wakes) = wakes {
        wakes.settle();
    }
}

impl Kernel {
    fn new(engine: Rc<Engine>, spec: NetSpec) -> Self {
        let mut links = Links::new(spec.default_profile);
        let count = spec.hosts.iter().map(|host| host.machine.0 as usize + 1).max().unwrap_or(0);
        let mut hosts = Vec::new();
        hosts.resize_with(count, Host::default);
        // Neighbours mostly share theirs.
        let mut zone = None;
        let mut names = vec![Name::default(); count];
        for host in spec.hosts {
            let own: &mut Host = &mut hosts[host.machine.0 as usize];
            own.ident = host.name.word();
            own.config = host.tcp.map(Rc::new);
            let number = match zone {
                Some((ref name, number)) if Arc::ptr_eq(name, &host.zone) => number,
                _ => links.zone(&host.zone),
            };
            zone = Some((host.zone, number));
            links.place(host.machine.0, number, host.routes_to_all);
            names[host.machine.0 as usize] = host.name;
        }
        for link in spec.links {
            let (from, to) = (links.zone(&link.from_zone), links.zone(&link.to_zone));
            links.join(from, to, link.profile);
        }
        for (from, to, profile) in spec.pairs {
            links.join_pair(from.0, to.0, profile);
        }
        let wire = Wire::new(engine.clone(), links, names, arrival::arrive);
        Self {
            engine,
            config: Rc::new(spec.tcp),
            hosts,
            by_name: OnceCell::new(),
            sockets: Slab::new(),
            listeners: Slab::new(),
            datagrams: Slab::new(),
            serial: 0,
            output: Output::default(),
            told: (0, 0),
            wakes: Wakes::default(),
            dual_stack: spec.dual_stack,
            wire,
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
        reach(|kernel| kernel.timers()).unwrap_or(0)
    }

    /// Links or rules have changed: bursts travel as one where nothing can tell.
    fn renew_bursts(&mut self) {
        for (_, socket) in &mut self.sockets {
            let whole = self.wire.carries_bursts(socket.path);
            socket.connection.set_offload(whole);
        }
    }

    fn host_of(&self, machine: MachineId) -> Option<HostIndex> {
        ((machine.0 as usize) < self.hosts.len()).then_some(machine.0)
    }

    /// The machine with that name.
    pub(crate) fn host_named(&self, name: &str) -> Option<HostIndex> {
        let name_of = |index: HostIndex| self.wire.name(index);
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
        if !self.wire.links.has_route(host, owner) {
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
            bytes: tally.delivered + self.wire.stats.bytes,
            ..self.wire.stats
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
