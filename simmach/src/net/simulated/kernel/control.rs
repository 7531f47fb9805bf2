//! Operations on the network for the layers above: power, ends of processes, partitions, profiles,
//! filters, captures.

use std::net::SocketAddr;

use crate::engine::acts::Impairment;
use crate::engine::{MachineId, ProcessId, RunId};
use crate::net::simulated::kernel::datagrams::datagrams_address;
use crate::net::simulated::kernel::socket::Holder;
use crate::net::simulated::kernel::streams::listener_address;
use crate::net::simulated::kernel::table::{SocketEntry, SocketState};
use crate::net::simulated::kernel::{Kernel, key_of, with_kernel};
use crate::net::simulated::key::SocketKey;
#[cfg(test)]
use crate::net::simulated::link::filter::FilterFn;
use crate::net::simulated::link::filter::{Choice, PacketFilter};
use crate::net::simulated::link::links::LinkState;
use crate::net::simulated::link::partitions::RemainingPartitions;
use crate::net::simulated::link::profile::{NetworkProfile, Protocol};
use crate::net::simulated::tcp::State;

/// Switches a machine's power. A machine without power receives nothing.
pub(crate) fn set_power(machine: MachineId, on: bool) {
    with_kernel(|kernel| {
        if let Some(host) = kernel.host_of(machine) {
            kernel.wire.has_power[host as usize] = on;
        }
    });
}

/// Closes the sockets of a process that has ended, with a FIN, or an RST if there are unread bytes.
pub(crate) fn close_process(process: ProcessId) {
    with_kernel(|kernel| kernel.close_process(process));
}

/// Removes the sockets of a machine that loses power, without sending anything. Packets in flight still arrive.
pub(crate) fn erase_machine(machine: MachineId) {
    with_kernel(|kernel| kernel.erase_machine(machine));
}

/// Partitions the paths from `from` to `to`: packets sent in this direction from now on are dropped.
///
/// Each `owner` has its own partitions. A path that two owners have partitioned is open again when
/// both have healed their partitions.
pub(crate) fn partition(owner: Option<u64>, from: &[MachineId], to: &[MachineId]) {
    let (from, to) = (numbers(from), numbers(to));
    with_kernel(|kernel| kernel.wire.links.partition(owner, &from, &to, true));
}

pub(crate) fn heal(owner: Option<u64>, from: &[MachineId], to: &[MachineId]) {
    let (from, to) = (numbers(from), numbers(to));
    with_kernel(|kernel| kernel.wire.links.partition(owner, &from, &to, false));
}

/// Whether [`partition`], or [`heal`], would change any path for this owner.
pub(crate) fn would_partition(
    owner: Option<u64>,
    from: &[MachineId],
    to: &[MachineId],
    on: bool,
) -> bool {
    let (from, to) = (numbers(from), numbers(to));
    with_kernel(|kernel| kernel.wire.links.partitions().would_change(owner, &from, &to, on))
        .unwrap_or(false)
}

/// The partitions between two groups of machines that remain when this owner heals its own.
pub(crate) fn remaining_partitions(
    owner: Option<u64>,
    a: &[MachineId],
    b: &[MachineId],
) -> RemainingPartitions {
    let (a, b) = (numbers(a), numbers(b));
    let remaining = with_kernel(|kernel| {
        let partitions = kernel.wire.links.partitions();
        let mut remaining = partitions.remaining(owner, &a, &b);
        let back = partitions.remaining(owner, &b, &a);
        remaining.by.extend(back.by);
        remaining.any_path_opens |= back.any_path_opens;
        remaining
    });
    remaining.unwrap_or_default()
}

/// Heals the partitions of all owners. Returns whether there were any.
pub(crate) fn heal_all() -> bool {
    with_kernel(|kernel| kernel.wire.links.heal_all()).unwrap_or(false)
}

/// Whether [`clog`], or [`unclog`], would change any path.
pub(crate) fn would_clog(from: &[MachineId], to: &[MachineId], clog: bool) -> bool {
    let (from, to) = (numbers(from), numbers(to));
    with_kernel(|kernel| kernel.wire.links.would_clog(&from, &to, clog)).unwrap_or(false)
}

/// Holds packets from `from` to `to` until the paths are unclogged. Then they go on in order.
pub(crate) fn clog(from: &[MachineId], to: &[MachineId]) {
    set_clog(from, to, true);
}

pub(crate) fn unclog(from: &[MachineId], to: &[MachineId]) {
    set_clog(from, to, false);
}

/// Unclogs all paths. Returns whether any was clogged.
pub(crate) fn unclog_all() -> bool {
    let unclogged = with_kernel(|kernel| {
        let was_clogged = kernel.wire.links.is_any_clogged();
        let held = kernel.wire.links.unclog_all(kernel.engine.clock.now());
        kernel.wire.send_released(held);
        was_clogged
    });
    unclogged.unwrap_or(false)
}

/// Sets the profile of the link from one zone to another; creates the link if there is none.
///
/// # Errors
///
/// A message that names a zone without machines.
pub(crate) fn set_profile(from: &str, to: &str, profile: NetworkProfile) -> Result<(), String> {
    with_kernel(|kernel| kernel.set_profile(from, to, profile)).unwrap_or(Ok(()))
}

/// Whether any path is partitioned.
pub(crate) fn is_any_partitioned() -> bool {
    with_kernel(|kernel| kernel.wire.links.partitions().has_any()).unwrap_or(false)
}

/// Checks that both zones have machines.
///
/// # Errors
///
/// A message that names a zone without machines.
pub(crate) fn check_zones(from: &str, to: &str) -> Result<(), String> {
    with_kernel(|kernel| kernel.zone_numbers(from, to).map(drop)).unwrap_or(Ok(()))
}

/// Whether both zones have machines.
pub(crate) fn has_zones(from: &str, to: &str) -> bool {
    let has = |kernel: &mut Kernel| {
        [from, to].iter().all(|zone| kernel.wire.links.known_zone(zone).is_some())
    };
    with_kernel(has).unwrap_or(false)
}

/// The paths for which a profile is set.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Paths<'a> {
    /// The link from one zone to another.
    Zones(&'a str, &'a str),
    /// Every path from one group of machines to another.
    Machines(&'a [MachineId], &'a [MachineId]),
}

/// Whether all these paths have this profile, now or originally.
pub(crate) fn has_profile(paths: Paths<'_>, state: LinkState, profile: &NetworkProfile) -> bool {
    let has = with_kernel(|kernel| {
        let links = &kernel.wire.links;
        match paths {
            Paths::Zones(from, to) => {
                let zones = links.known_zone(from).zip(links.known_zone(to));
                zones.is_some_and(|(from, to)| links.has_profile(state, from, to, profile))
            }
            Paths::Machines(from, to) => {
                let (from, to) = (numbers(from), numbers(to));
                let mut paths = from.iter().flat_map(|from| to.iter().map(move |to| (*from, *to)));
                paths.all(|(from, to)| {
                    from == to || links.has_profile_between(state, from, to, profile)
                })
            }
        }
    });
    has.unwrap_or(false)
}

/// Restores the original profile of every link. Returns whether any had changed.
pub(crate) fn restore_links() -> bool {
    with_kernel(|kernel| {
        let restored = kernel.wire.links.restore();
        kernel.update_offload();
        restored
    })
    .unwrap_or(false)
}

#[cfg(test)]
pub(crate) fn has_route(from: MachineId, to: MachineId) -> bool {
    let asked = with_kernel(|kernel| {
        let (from, to) = (kernel.host_of(from)?, kernel.host_of(to)?);
        Some(kernel.wire.links.has_route(from, to))
    });
    asked.flatten().unwrap_or(false)
}

/// The sockets of a machine: listeners, connections, UDP sockets.
pub(crate) fn sockets(machine: MachineId) -> Vec<SocketEntry> {
    with_kernel(|kernel| kernel.table(machine)).unwrap_or_default()
}

/// An established TCP connection of a machine with another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Connection {
    pub(crate) port: u16,
    pub(crate) peer: MachineId,
    pub(crate) peer_port: u16,
}

/// The established TCP connections of a machine with others.
pub(crate) fn connections(machine: MachineId) -> Vec<Connection> {
    let found = with_kernel(|kernel| {
        let host = kernel.host_of(machine)?;
        let own = kernel.sockets.iter().map(|(_, socket)| socket);
        let own = own.filter(|socket| {
            socket.local.host == host
                && socket.remote.host != host
                && socket.connection.state() == State::Established
        });
        let connections = own.map(|socket| Connection {
            port: socket.local.port,
            peer: MachineId(socket.remote.host),
            peer_port: socket.remote.port,
        });
        Some(connections.collect())
    });
    found.flatten().unwrap_or_default()
}

/// The ports in use on a machine, with their protocols.
pub(crate) fn ports(machine: MachineId) -> Vec<(Protocol, u16)> {
    let used = with_kernel(|kernel| {
        let host = &kernel.hosts[kernel.host_of(machine)? as usize];
        let tcp = host.tcp.used().map(|port| (Protocol::Tcp, port));
        Some(tcp.chain(host.udp.used().map(|port| (Protocol::Udp, port))).collect())
    });
    used.flatten().unwrap_or_default()
}

/// Starts the capture, unless it is already running.
pub(crate) fn capture() {
    with_kernel(|kernel| kernel.wire.start_capture());
}

/// The capture up to now in pcapng format. `None` if none was started.
pub(crate) fn captured() -> Option<Vec<u8>> {
    with_kernel(|kernel| kernel.wire.capture.as_ref().map(|capture| capture.octets())).flatten()
}

/// Sets the profile of every path from `from` to `to`.
pub(crate) fn set_pair_profile(from: &[MachineId], to: &[MachineId], profile: &NetworkProfile) {
    let (from, to) = (numbers(from), numbers(to));
    with_kernel(|kernel| {
        kernel.wire.links.save_original();
        for from in &from {
            for to in to.iter().filter(|to| *to != from) {
                kernel.wire.links.join_pair(*from, *to, profile.clone());
            }
        }
        kernel.update_offload();
    });
}

/// Begins an impairment of every path from `from` to `to`, under a number of its own.
pub(crate) fn impair(number: u64, from: &[MachineId], to: &[MachineId], impairment: Impairment) {
    let (from, to) = (numbers(from), numbers(to));
    with_kernel(|kernel| {
        kernel.wire.links.impair(number, from, to, impairment);
        kernel.update_offload();
    });
}

/// Ends the impairment with this number. Returns false if there is none.
pub(crate) fn end_impairment(number: u64) -> bool {
    let ended = with_kernel(|kernel| {
        let had = kernel.wire.links.end_impairment(number);
        kernel.update_offload();
        had
    });
    ended.unwrap_or(false)
}

/// Ends all impairments. Returns false if there are none.
pub(crate) fn end_impairments() -> bool {
    let ended = with_kernel(|kernel| {
        let had = kernel.wire.links.end_impairments();
        kernel.update_offload();
        had
    });
    ended.unwrap_or(false)
}

/// Whether the impairment with this number is active.
pub(crate) fn has_impairment(number: u64) -> bool {
    impairment_sides(number).is_some()
}

/// Returns the senders and the receivers of the impairment with this number, if it is active.
pub(crate) fn impairment_sides(number: u64) -> Option<[Vec<MachineId>; 2]> {
    let machines = |hosts: &[u32]| hosts.iter().copied().map(MachineId).collect();
    with_kernel(|kernel| Some(kernel.wire.links.impairment_sides(number)?.map(machines))).flatten()
}

/// Adds a filter for packets from `from` to `to`. `None` outside a run.
#[cfg(test)]
pub(crate) fn filter_packets(
    from: &[MachineId],
    to: &[MachineId],
    choose: FilterFn,
) -> Option<PacketFilter> {
    add_filter(from, to, Choice::Function(choose), |run, id| _ = remove_filter(run, id))
}

/// Adds a filter for packets from `from` to `to`, whose guard calls `remove` when it is dropped. `None` outside a run.
pub(crate) fn add_filter(
    from: &[MachineId],
    to: &[MachineId],
    choice: Choice,
    remove: fn(RunId, u64),
) -> Option<PacketFilter> {
    let (from, to) = (numbers(from), numbers(to));
    with_kernel(|kernel| {
        let id = kernel.wire.filters.add(from, to, choice);
        kernel.update_offload();
        PacketFilter::new(kernel.run(), id, remove)
    })
}

/// Heals the partitions of all owners between these machines.
pub(crate) fn heal_between(machines: &[MachineId]) {
    let machines = numbers(machines);
    with_kernel(|kernel| {
        for owner in kernel.wire.links.partitions().owners() {
            kernel.wire.links.partition(owner, &machines, &machines, false);
        }
    });
}

/// Returns a guard without a filter.
pub(crate) fn no_filter() -> Option<PacketFilter> {
    with_kernel(|kernel| PacketFilter::new(kernel.run(), NO_FILTER, |_, _| {}))
}

/// Ids of filters start from 1.
const NO_FILTER: u64 = 0;

/// Removes all filters. Returns whether there were any.
pub(crate) fn clear_filters() -> bool {
    let removed = with_kernel(|kernel| {
        let removed = kernel.wire.filters.clear();
        kernel.update_offload();
        removed
    });
    removed.is_some_and(|removed| !removed.is_empty())
}

/// Removes a filter of this run. Returns whether there was one.
pub(crate) fn remove_filter(run: RunId, id: u64) -> bool {
    let removed = with_kernel(|kernel| {
        let removed = if kernel.run() == run { kernel.wire.filters.remove(id) } else { None };
        kernel.update_offload();
        removed
    });
    removed.flatten().is_some()
}

fn set_clog(from: &[MachineId], to: &[MachineId], on: bool) {
    let (from, to) = (numbers(from), numbers(to));
    with_kernel(|kernel| {
        let held = kernel.wire.links.clog(&from, &to, on, kernel.engine.clock.now());
        kernel.wire.send_released(held);
    });
}

fn numbers(machines: &[MachineId]) -> Vec<u32> {
    machines.iter().map(|machine| machine.0).collect()
}

impl Kernel {
    fn close_process(&mut self, process: ProcessId) {
        let listeners: Vec<SocketKey> = (self.listeners.iter())
            .filter(|(_, listener)| listener.process == process)
            .map(|(slot, listener)| key_of(slot, listener.serial))
            .collect();
        let datagrams: Vec<SocketKey> = (self.datagrams.iter())
            .filter(|(_, socket)| socket.process == process)
            .map(|(slot, socket)| key_of(slot, socket.serial))
            .collect();
        let connections: Vec<SocketKey> = (self.sockets.iter())
            .filter(|(_, socket)| socket.holder == Holder::Process(process))
            .map(|(slot, socket)| key_of(slot, socket.serial))
            .collect();
        let mut hosts = Vec::new();
        for key in listeners {
            hosts.extend(self.listener(key).map(|listener| listener.host));
            self.close_listener(key);
        }
        for key in datagrams {
            hosts.extend(self.datagrams(key).map(|socket| socket.host));
            self.close_datagrams(key);
        }
        for key in connections {
            hosts.extend(self.socket(key).map(|socket| socket.local.host));
            self.close(key);
        }
        hosts.sort_unstable();
        hosts.dedup();
        for host in hosts {
            self.hosts[host as usize].start_epoch();
        }
    }

    fn erase_machine(&mut self, machine: MachineId) {
        let Some(host) = self.host_of(machine) else { return };
        let connections: Vec<usize> = (self.sockets.iter())
            .filter(|(_, socket)| socket.local.host == host)
            .map(|(slot, _)| slot)
            .collect();
        for slot in connections {
            self.remove_socket(slot);
        }
        let listeners: Vec<usize> = (self.listeners.iter())
            .filter(|(_, listener)| listener.host == host)
            .map(|(slot, _)| slot)
            .collect();
        for slot in listeners {
            let mut listener = self.listeners.remove(slot);
            let key = key_of(slot, listener.serial);
            if listener.port != 0 {
                self.hosts[host as usize].tcp.unbind(listener.port, key);
            }
            self.wakes.discard(&mut listener.accepting);
        }
        let datagrams: Vec<SocketKey> = (self.datagrams.iter())
            .filter(|(_, socket)| socket.host == host)
            .map(|(slot, socket)| key_of(slot, socket.serial))
            .collect();
        for key in datagrams {
            self.close_datagrams(key);
        }
        self.hosts[host as usize].start_epoch();
    }

    fn set_profile(&mut self, from: &str, to: &str, profile: NetworkProfile) -> Result<(), String> {
        let (from, to) = self.zone_numbers(from, to)?;
        self.wire.links.rejoin(from, to, profile);
        self.update_offload();
        Ok(())
    }

    fn zone_numbers(&self, from: &str, to: &str) -> Result<(u32, u32), String> {
        let zone = |name: &str| {
            self.wire
                .links
                .known_zone(name)
                .ok_or_else(|| format!("no machine is in zone {name:?}"))
        };
        Ok((zone(from)?, zone(to)?))
    }

    fn table(&self, machine: MachineId) -> Vec<SocketEntry> {
        let Some(host) = self.host_of(machine) else { return Vec::new() };
        let listeners = self
            .listeners
            .iter()
            .filter(|(_, listener)| listener.host == host && listener.listening);
        let listeners = listeners.map(|(_, listener)| SocketEntry {
            protocol: Protocol::Tcp,
            state: SocketState::Listen,
            receive_queue: listener.queue.len(),
            send_queue: listener.backlog as usize,
            local: listener_address(listener),
            peer: None,
            process: Some(listener.process),
        });
        let connections = self.sockets.iter().filter(|(_, socket)| socket.local.host == host);
        let connections = connections.map(|(_, socket)| {
            let (receive_queue, send_queue) = socket.connection.queues();
            SocketEntry {
                protocol: Protocol::Tcp,
                state: socket.connection.state().into(),
                receive_queue,
                send_queue,
                local: socket.display_addr(socket.local),
                peer: Some(socket.display_addr(socket.remote)),
                process: match socket.holder {
                    Holder::Process(process) => Some(process),
                    Holder::HalfOpen(_) | Holder::Queued(_) | Holder::Kernel => None,
                },
            }
        });
        let datagrams = self.datagrams.iter().filter(|(_, socket)| socket.host == host);
        let datagrams = datagrams.map(|(_, socket)| SocketEntry {
            protocol: Protocol::Udp,
            state: SocketState::Unconnected,
            receive_queue: socket.queued,
            send_queue: 0,
            local: datagrams_address(socket),
            peer: socket.peer.map(|peer| SocketAddr::new(peer.ip(), peer.port)),
            process: Some(socket.process),
        });
        listeners.chain(connections).chain(datagrams).collect()
    }
}
