//! The kernels of all machines of a run: sockets, ports and listeners.
//!
//! Each run has one [`Kernel`] on its thread, which contains the state of all machines. Handles
//! access the kernel through [`with_own_kernel`]. The kernel sends packets through its [`Wire`],
//! whose timers call the kernel when packets arrive. A socket stores its path and its peer's slot,
//! so that segments need no lookup by name or address.

mod arrival;
mod audit;
pub(crate) mod control;
pub(crate) mod datagrams;
pub(crate) mod error;
mod failed_calls;
pub(crate) mod host;
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
use crate::net::simulated::address::{AddressOwner, Bound, Endpoint, HostIndex, Net, owner_of};
use crate::net::simulated::kernel::host::Host;
use crate::net::simulated::kernel::socket::{DatagramSocket, Listener, Socket};
use crate::net::simulated::kernel::wakers::PendingWakes;
use crate::net::simulated::key::SocketKey;
use crate::net::simulated::link::links::Links;
use crate::net::simulated::link::wire::Wire;
use crate::net::simulated::stats::NetStats;
use crate::net::simulated::tcp::Outbox;
use crate::net::simulated::tcp::config::TcpConfig;

thread_local! {
    pub(crate) static NET: Slot<Kernel> = const { Slot::new() };
}

pub(crate) struct Kernel {
    engine: Rc<Engine>,
    config: Rc<TcpConfig>,
    hosts: Vec<Host>,
    /// Machines sorted by name. Filled by the first lookup.
    by_name: OnceCell<Vec<HostIndex>>,
    sockets: Slab<Socket>,
    listeners: Slab<Listener>,
    datagrams: Slab<DatagramSocket>,
    serial: u32,
    outbox: Outbox,
    /// Retransmissions and resets in `outbox.counters` that were already reported to the engine.
    reported: (u64, u64),
    wakes: PendingWakes,
    /// Whether names resolve to IPv6 addresses too.
    dual_stack: bool,
    wire: Wire,
}

/// Creates the network of this thread's run.
///
/// # Panics
///
/// Outside a run.
pub(crate) fn install(spec: NetSpec) {
    let engine = engine::context::current().expect("a network is installed inside a run");
    engine.add_timer_info(segments::TIMER_INFO);
    NET.with(|slot| slot.install(Kernel::new(engine, spec)));
}

/// Removes the network without waking anything, and returns its statistics.
///
/// # Panics
///
/// With debug assertions, if the state is inconsistent, which is a bug in simmach.
pub(crate) fn remove() -> NetStats {
    let kernel = NET.with(Slot::remove);
    if cfg!(debug_assertions)
        && let Some(kernel) = &kernel
    {
        let inconsistencies = kernel.inconsistencies();
        assert!(
            inconsistencies.is_empty(),
            "the network's state is inconsistent at the end of the run:\n{}",
            inconsistencies.join("\n")
        );
    }
    kernel.map_or_else(NetStats::default, |kernel| kernel.into_stats())
}

/// Removes the network after an internal error, without consistency checks.
pub(crate) fn discard() {
    drop(NET.with(Slot::remove));
}

/// Calls `f` with the kernel if this thread's run is `run`; wakes tasks afterwards.
///
/// # Errors
///
/// Outside the run, or in the destructors of a dead process.
#[inline]
pub(crate) fn with_own_kernel<R>(run: RunId, f: impl FnOnce(&mut Kernel) -> R) -> io::Result<R> {
    try_with_own_kernel(run, f).ok_or_else(error::outside)
}

/// Like [`with_own_kernel`], for destructors, which cannot return an error.
pub(crate) fn try_with_own_kernel<R>(run: RunId, f: impl FnOnce(&mut Kernel) -> R) -> Option<R> {
    with_kernel_if(|kernel| kernel.engine.run == run && kernel.engine.scope().alive, f)
}

/// Calls `f` with the kernel and the calling process's machine. For calls without a handle.
pub(crate) fn with_host<R>(
    f: impl FnOnce(&mut Kernel, HostIndex) -> io::Result<R>,
) -> io::Result<R> {
    let scope = engine::live_scope().ok_or_else(error::outside)?;
    with_kernel(|kernel| {
        let host = kernel.host_of(scope.machine).ok_or_else(error::no_machine)?;
        f(kernel, host)
    })
    .unwrap_or_else(|| Err(error::outside()))
}

/// Calls `f` with the kernel of this thread's run; wakes tasks afterwards.
#[inline]
pub(crate) fn with_kernel<R>(f: impl FnOnce(&mut Kernel) -> R) -> Option<R> {
    with_kernel_if(|_| true, f)
}

/// Calls `f` with the kernel if `admit` returns true; wakes tasks afterwards. This is called several times per message, so
/// the result of `f` is moved at most once.
#[inline]
fn with_kernel_if<R>(
    admit: impl FnOnce(&Kernel) -> bool,
    f: impl FnOnce(&mut Kernel) -> R,
) -> Option<R> {
    let inside = |kernel: &mut Kernel| (f(kernel), kernel.wakes.has_pending());
    let (result, pending) = NET.try_with(|slot| slot.with_if(admit, inside)).ok()??;
    if pending {
        flush_wakes();
    }
    Some(result)
}

/// Calls pending foreign wakers, while the kernel is not borrowed.
#[cold]
fn flush_wakes() {
    let wakes = NET.with(|slot| slot.with(|kernel| std::mem::take(&mut kernel.wakes)));
    if let Some(wakes) = wakes {
        wakes.flush();
    }
}

impl Kernel {
    fn new(engine: Rc<Engine>, spec: NetSpec) -> Self {
        let mut links = Links::new(spec.default_profile);
        let count = spec.hosts.iter().map(|host| host.machine.0 as usize + 1).max().unwrap_or(0);
        let mut hosts = Vec::new();
        hosts.resize_with(count, Host::default);
        // Consecutive hosts are mostly in the same zone.
        let mut zone = None;
        let mut names = vec![Name::default(); count];
        for host in spec.hosts {
            let own: &mut Host = &mut hosts[host.machine.0 as usize];
            own.name_hash = host.name.word();
            own.config = host.tcp.map(Rc::new);
            let number = match zone {
                Some((ref name, number)) if Arc::ptr_eq(name, &host.zone) => number,
                _ => links.zone(&host.zone),
            };
            zone = Some((host.zone, number));
            links.add_machine(host.machine.0, number, host.routes_to_all);
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
            outbox: Outbox::default(),
            reported: (0, 0),
            wakes: PendingWakes::default(),
            dual_stack: spec.dual_stack,
            wire,
        }
    }

    pub(crate) fn run(&self) -> RunId {
        self.engine.run
    }

    /// The run's engine.
    pub(crate) fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Whether names resolve to IPv6 addresses too.
    pub(crate) fn dual_stack(&self) -> bool {
        self.dual_stack
    }

    /// Number of armed timers of the network.
    #[cfg(test)]
    pub(crate) fn count_timers() -> usize {
        with_kernel(|kernel| kernel.count_armed_timers()).unwrap_or(0)
    }

    /// Updates segmentation offload of all connections, after links or filters have changed.
    fn update_offload(&mut self) {
        for (_, socket) in &mut self.sockets {
            let whole = self.wire.allows_offload(socket.path);
            socket.connection.set_offload(whole);
        }
    }

    fn host_of(&self, machine: MachineId) -> Option<HostIndex> {
        ((machine.0 as usize) < self.hosts.len()).then_some(machine.0)
    }

    /// The machine with this name.
    pub(crate) fn host_named(&self, name: &str) -> Option<HostIndex> {
        let name_of = |index: HostIndex| self.wire.name(index);
        let by_name = self.by_name.get_or_init(|| {
            let mut named: Vec<_> = (0..self.hosts.len() as HostIndex)
                .filter(|host| !name_of(*host).is_empty())
                .collect();
            named.sort_unstable_by(|a, b| compare_names(name_of(*a), name_of(*b)));
            named
        });
        let at = by_name.binary_search_by(|host| compare_names(name_of(*host), name)).ok()?;
        Some(by_name[at])
    }

    /// TCP parameters of a machine.
    fn config_of(&self, host: HostIndex) -> &Rc<TcpConfig> {
        self.hosts[host as usize].config.as_ref().unwrap_or(&self.config)
    }

    fn next_serial(&mut self) -> u32 {
        self.serial += 1;
        self.serial
    }

    /// Resolves a local address to bind to.
    fn resolve_local(&self, host: HostIndex, address: std::net::SocketAddr) -> io::Result<Bound> {
        match owner_of(address.ip(), host, self.hosts.len()) {
            AddressOwner::Unspecified { v6: false } => Ok(Bound::Any4),
            AddressOwner::Unspecified { v6: true } => Ok(Bound::Any6),
            AddressOwner::Machine(owner, net) if owner == host => Ok(Bound::One(net)),
            AddressOwner::Machine(..) | AddressOwner::Unknown => Err(self.not_local(host, address)),
        }
    }

    /// Resolves a remote address, and checks that there is a route to it.
    fn resolve_remote(
        &self,
        host: HostIndex,
        address: std::net::SocketAddr,
    ) -> io::Result<Endpoint> {
        let port = address.port();
        let (owner, net) = match owner_of(address.ip(), host, self.hosts.len()) {
            AddressOwner::Machine(owner, net) => (owner, net),
            // As on Linux, the unspecified address stands for the machine itself.
            AddressOwner::Unspecified { v6: false } => (host, Net::Loopback4),
            AddressOwner::Unspecified { v6: true } => (host, Net::Loopback6),
            AddressOwner::Unknown => return Err(self.no_such_address(address)),
        };
        let to = Endpoint { host: owner, port, net };
        if !self.wire.links.has_route(host, owner) {
            return Err(self.no_route(host, to));
        }
        Ok(to)
    }

    fn into_stats(self) -> NetStats {
        let counters = self.outbox.counters;
        NetStats {
            retransmissions: counters.retransmissions,
            duplicates: counters.duplicates,
            out_of_order: counters.out_of_order,
            resets: counters.resets,
            refused: counters.refused,
            timed_out: counters.timed_out,
            bytes: counters.delivered + self.wire.stats.bytes,
            ..self.wire.stats
        }
    }
}

/// Compares names without regard to the case of letters.
fn compare_names(a: &str, b: &str) -> Ordering {
    fn lower(name: &str) -> impl Iterator<Item = u8> {
        name.bytes().map(|byte| byte.to_ascii_lowercase())
    }
    lower(a).cmp(lower(b))
}

/// Local address of a listener, as the socket API returns it.
fn local_endpoint(host: HostIndex, bound: Bound, port: u16) -> std::net::SocketAddr {
    use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
    let ip = match bound {
        Bound::Any4 => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        Bound::Any6 | Bound::Only6 => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        Bound::One(net) => Endpoint { host, port, net }.ip(),
    };
    std::net::SocketAddr::new(ip, port)
}

fn key_of(slot: usize, serial: u32) -> SocketKey {
    SocketKey { slot: slot as u32, serial }
}
