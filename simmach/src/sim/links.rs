//! Control of the network: partitions, clogs, link profiles, packet filters, captures, and socket lists.

use std::fmt::Display;

use crate::engine::acts::{Act, Impairment, LinkPaths};
use crate::engine::log::{self, Level};
use crate::engine::record::event::LinkChange;
use crate::engine::{self, Event, MachineId, Scope};
use crate::machine::{self, Selector};
use crate::net::control::Paths;
use crate::net::{
    self, Choice, LinkState, NetworkProfile, PacketFate, PacketFilter, PacketInfo,
    RemainingPartitions, SocketEntry,
};
use crate::sim::machines::no_match;
use crate::sim::world::{plan_name, request_fault, with};
use crate::sim::{ControlError, Sim, acts};

/// Begins a partition, unless the overlay leaves it out or it exists already. `plan` is the plan of
/// the library that owns the partition, if any.
fn begin_partition(
    plan: Option<u64>,
    from: Vec<MachineId>,
    to: Vec<MachineId>,
    both_ways: bool,
    text: impl Fn() -> String,
) {
    let would_change = |from, to| net::control::would_partition(plan, from, to, true);
    let changes = would_change(&from, &to) || both_ways && would_change(&to, &from);
    if request_fault(changes, &from, &text) && changes {
        acts::perform(plan, &Act::Partition { from, to, both_ways }, text);
    }
}

/// Ends the partition between two groups that belongs to `plan`, or to the test. `text` receives
/// the partitions that remain.
fn end_partition(
    plan: Option<u64>,
    from: Vec<MachineId>,
    to: Vec<MachineId>,
    text: impl Fn(&RemainingPartitions) -> String,
) {
    let would_change = |from, to| net::control::would_partition(plan, from, to, false);
    if would_change(&from, &to) || would_change(&to, &from) {
        let stays = net::control::remaining_partitions(plan, &from, &to);
        acts::perform(plan, &Act::Heal { from, to, both_ways: true }, || text(&stays));
    }
}

/// Network faults. Machines are selected by name, by pattern or by zone: `"api1.public"`, `"api*"`, `"public"`.
impl Sim {
    /// Partitions two groups of machines from each other: packets between them are dropped in both directions.
    ///
    /// If a plan of the library partitions the same machines, they stay partitioned until both are healed.
    ///
    /// # Errors
    ///
    /// [`ControlError::NoMatch`] if a selector matches no machine and no zone.
    pub fn partition(
        &self,
        a: impl Into<Selector>,
        b: impl Into<Selector>,
    ) -> Result<(), ControlError> {
        self.partition_for(None, &a.into(), &b.into())
    }

    /// Like [`partition`](Self::partition), on behalf of `plan`: healed by the same plan or by [`heal_all`](Self::heal_all).
    pub(crate) fn partition_for(
        &self,
        plan: Option<u64>,
        a: &Selector,
        b: &Selector,
    ) -> Result<(), ControlError> {
        begin_partition(plan, ends(a)?, ends(b)?, true, || partitioned(a, b));
        Ok(())
    }

    /// Partitions in one direction only: packets from `from` to `to` are dropped.
    ///
    /// # Errors
    ///
    /// [`ControlError::NoMatch`] if a selector matches no machine and no zone.
    pub fn partition_one_way(
        &self,
        from: impl Into<Selector>,
        to: impl Into<Selector>,
    ) -> Result<(), ControlError> {
        self.partition_one_way_for(None, &from.into(), &to.into())
    }

    /// Like [`partition_one_way`](Self::partition_one_way), on behalf of `plan`.
    pub(crate) fn partition_one_way_for(
        &self,
        plan: Option<u64>,
        from: &Selector,
        to: &Selector,
    ) -> Result<(), ControlError> {
        let text = || format!("partitioned: {}", one_way(from, to));
        begin_partition(plan, ends(from)?, ends(to)?, false, text);
        Ok(())
    }

    /// Partitions a group of machines from all others, in both directions. Within the group packets still arrive.
    ///
    /// # Errors
    ///
    /// [`ControlError::NoMatch`] if the selector matches no machine and no zone.
    pub fn isolate(&self, group: impl Into<Selector>) -> Result<(), ControlError> {
        let group = group.into();
        let from = ends(&group)?;
        let mut to = machine::machines(&Selector::all());
        to.retain(|machine| !from.contains(machine));
        begin_partition(None, from, to, true, || format!("isolated: [{group}]"));
        Ok(())
    }

    /// Ends what [`isolate`](Self::isolate) did, and any other partition by the test between these machines and others.
    ///
    /// # Errors
    ///
    /// [`ControlError::NoMatch`] if the selector matches no machine and no zone.
    pub fn rejoin(&self, group: impl Into<Selector>) -> Result<(), ControlError> {
        let group = group.into();
        let from = ends(&group)?;
        let mut to = machine::machines(&Selector::all());
        to.retain(|machine| !from.contains(machine));
        end_partition(None, from, to, |_| format!("rejoined: [{group}]"));
        Ok(())
    }

    /// Heals a partition between two groups of machines, in both directions.
    ///
    /// Paths that a plan of the library has partitioned stay partitioned until the plan heals them.
    ///
    /// # Errors
    ///
    /// [`ControlError::NoMatch`] if a selector matches no machine and no zone.
    pub fn heal(&self, a: impl Into<Selector>, b: impl Into<Selector>) -> Result<(), ControlError> {
        self.heal_for(None, &a.into(), &b.into())
    }

    /// Like [`heal`](Self::heal), for partitions made by [`partition_for`](Self::partition_for) on behalf of the same plan.
    pub(crate) fn heal_for(
        &self,
        plan: Option<u64>,
        a: &Selector,
        b: &Selector,
    ) -> Result<(), ControlError> {
        end_partition(plan, ends(a)?, ends(b)?, |stays| healed(a, b, stays));
        Ok(())
    }

    /// Heals all partitions, including those made by plans.
    pub fn heal_all(&self) {
        if net::control::is_any_partitioned() {
            acts::perform(None, &Act::HealAll, || acts::describe(&Act::HealAll));
        }
    }

    /// Clogs the path from one group of machines to another: packets are held back, and delivered in order after
    /// [`unclog`](Self::unclog). No packet is lost.
    ///
    /// # Errors
    ///
    /// [`ControlError::NoMatch`] if a selector matches no machine and no zone.
    pub fn clog(
        &self,
        from: impl Into<Selector>,
        to: impl Into<Selector>,
    ) -> Result<(), ControlError> {
        let (from, to) = (from.into(), to.into());
        let (sending, receiving) = (ends(&from)?, ends(&to)?);
        let changes = net::control::would_clog(&sending, &receiving, true);
        let text = || format!("clogged: {}", one_way(&from, &to));
        if !request_fault(changes, &sending, text) || !changes {
            return Ok(());
        }
        acts::perform(None, &Act::Clog { from: sending, to: receiving }, text);
        Ok(())
    }

    /// Ends a clog: the packets that it held back continue on their way, and later packets are not held back.
    ///
    /// # Errors
    ///
    /// [`ControlError::NoMatch`] if a selector matches no machine and no zone.
    pub fn unclog(
        &self,
        from: impl Into<Selector>,
        to: impl Into<Selector>,
    ) -> Result<(), ControlError> {
        let (from, to) = (from.into(), to.into());
        let (sending, receiving) = (ends(&from)?, ends(&to)?);
        if !net::control::would_clog(&sending, &receiving, false) {
            return Ok(());
        }
        let text = || format!("unclogged: {}", one_way(&from, &to));
        acts::perform(None, &Act::Unclog { from: sending, to: receiving }, text);
        Ok(())
    }

    /// Adds a packet filter: `choose` decides the fate of each packet sent from `from` to `to`.
    ///
    /// The filter is removed when the returned [`PacketFilter`] is dropped, and by [`settle`](Self::settle). `choose` is called
    /// when a packet is sent, and must not use the network itself.
    ///
    /// ```
    /// # use simmach::prelude::*;
    /// # use simmach::net::{PacketFate, Protocol};
    /// # fn of(sim: Sim) -> Result {
    /// // Drop the third segment with data from api1 to cl.
    /// let mut data = 0;
    /// let filter = sim.filter_packets("api1.public", "cl.internal", move |packet| {
    ///     data += u64::from(packet.protocol == Protocol::Tcp && packet.length > 0);
    ///     if packet.length > 0 && data == 3 { PacketFate::Drop } else { PacketFate::Pass }
    /// })?;
    /// # drop(filter);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`ControlError::NoMatch`] if a selector matches no machine and no zone.
    ///
    /// # Panics
    ///
    /// If called outside a run.
    pub fn filter_packets(
        &self,
        from: impl Into<Selector>,
        to: impl Into<Selector>,
        choose: impl FnMut(&PacketInfo<'_>) -> PacketFate + 'static,
    ) -> Result<PacketFilter, ControlError> {
        let (from, to) = (from.into(), to.into());
        let (sending, receiving) = (ends(&from)?, ends(&to)?);
        let text = || format!("packet filter added: {}", one_way(&from, &to));
        let filter = match request_fault(true, &sending, text) {
            true => {
                let choice = Choice::Function(Box::new(choose));
                let filter =
                    net::control::add_filter(&sending, &receiving, choice, acts::end_filter);
                let number = filter.as_ref().map_or(0, PacketFilter::number);
                let (from, to, verdicts) = (sending, receiving, Vec::new());
                let act = Act::Filter { number, from, to, verdicts };
                engine::record_act(None, &act, || acts::describe(&act));
                filter
            }
            false => net::control::no_filter(),
        };
        Ok(filter.expect("simmach::Sim::filter_packets was called outside a run"))
    }

    /// Impairs the paths from one group of machines to another, until the guard is dropped.
    pub(crate) fn impair(
        &self,
        from: &Selector,
        to: &Selector,
        impairment: Impairment,
    ) -> Result<ImpairmentGuard, ControlError> {
        let (from, to) = (ends(from)?, ends(to)?);
        let number = with(|world| {
            world.impairments += 1;
            world.impairments
        });
        let number = number.unwrap_or(0);
        request_fault(true, &from, String::new);
        let act = Act::Impair { number, from, to, impairment };
        acts::perform(None, &act, || acts::describe(&act));
        Ok(ImpairmentGuard { number })
    }

    /// Changes the link profile for packets from one group of machines to another, in this direction only.
    ///
    /// It overrides the profile of the link between their zones, until [`settle`](Self::settle). Setting the profile that the
    /// topology has does not count as a fault.
    ///
    /// # Errors
    ///
    /// [`ControlError::NoMatch`] if a selector matches no machine and no zone, [`ControlError::Profile`] if an argument of the
    /// profile is out of range.
    pub fn set_link_between(
        &self,
        from: impl Into<Selector>,
        to: impl Into<Selector>,
        profile: NetworkProfile,
    ) -> Result<(), ControlError> {
        check_profile(&profile)?;
        let (from, to) = (from.into(), to.into());
        let (sending, receiving) = (ends(&from)?, ends(&to)?);
        let paths = Paths::Machines(&sending, &receiving);
        let changes = !net::control::has_profile(paths, LinkState::Now, &profile);
        let is_original = net::control::has_profile(paths, LinkState::Original, &profile);
        if !is_original && !request_fault(changes, &sending, || profile_changed(&from, &to)) {
            return Ok(());
        }
        let paths = LinkPaths::Machines { from: sending, to: receiving };
        change_links(paths, profile, is_original, changes, || profile_changed(&from, &to));
        Ok(())
    }

    /// Changes the profile of the link from one zone to another, in this direction only.
    ///
    /// It applies to packets sent from now on, until [`settle`](Self::settle). Setting the profile that the topology has does not
    /// count as a fault.
    ///
    /// # Errors
    ///
    /// [`ControlError::NoLink`] if a zone does not exist, or if no link joins them; [`ControlError::Profile`] if an argument of
    /// the profile is out of range.
    pub fn set_link(
        &self,
        from_zone: &str,
        to_zone: &str,
        profile: NetworkProfile,
    ) -> Result<(), ControlError> {
        check_profile(&profile)?;
        let paths = Paths::Zones(from_zone, to_zone);
        let changes = !net::control::has_profile(paths, LinkState::Now, &profile);
        let is_original = net::control::has_profile(paths, LinkState::Original, &profile);
        // An unknown zone is an error even if the overlay leaves this fault out.
        let is_left_out = net::control::has_zones(from_zone, to_zone)
            && !is_original
            && !request_fault(changes, &[], || profile_changed(from_zone, to_zone));
        if is_left_out {
            return Ok(());
        }
        net::control::check_zones(from_zone, to_zone).map_err(ControlError::NoLink)?;
        let paths = LinkPaths::Zones { from: from_zone.to_owned(), to: to_zone.to_owned() };
        change_links(paths, profile, is_original, changes, || profile_changed(from_zone, to_zone));
        Ok(())
    }

    /// Returns the sockets of all matching machines, as `ss` shows them. For one machine, use
    /// [`Machine::sockets`](crate::Machine::sockets).
    pub fn sockets(&self, selector: impl Into<Selector>) -> Vec<SocketEntry> {
        let machines = machine::machines(&selector.into());
        machines.into_iter().flat_map(net::control::sockets).collect()
    }

    /// Starts to capture the packets that machines send, to each other and to themselves.
    ///
    /// A second call does nothing. Capturing does not affect the run. To capture a whole run without changing the test, set the
    /// environment variable `SIMMACH_PCAP`.
    pub fn capture(&self) {
        net::control::capture();
    }

    /// Returns the packets captured so far as the contents of a pcapng file, or `None` if [`capture`](Self::capture) was not
    /// called.
    ///
    /// The file has one interface for each machine, with the packets that it sent. Timestamps are in virtual time.
    ///
    /// ```
    /// # use simmach::prelude::*;
    /// # fn at_the_end(sim: Sim) -> std::io::Result<()> {
    /// if let Some(octets) = sim.captured() {
    ///     std::fs::write("run.pcapng", octets)?;
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn captured(&self) -> Option<Vec<u8>> {
        net::control::captured()
    }
}

/// Ends an impairment of a plan of the library when it is dropped.
#[derive(Debug)]
pub(crate) struct ImpairmentGuard {
    number: u64,
}

impl Drop for ImpairmentGuard {
    fn drop(&mut self) {
        // At the end of a run, the link is not repaired.
        let is_running = engine::live_scope().is_some();
        if is_running && net::control::has_impairment(self.number) {
            let act = Act::EndImpairment { number: self.number };
            acts::perform(None, &act, || acts::describe(&act));
        }
    }
}

/// The two sides of a partition: `[a.zone, c.zone] | [b.zone]`.
fn both_ways(a: &Selector, b: &Selector) -> String {
    format!("[{a}] | [{b}]")
}

/// One direction, from senders to receivers: `[a.zone, c.zone] -> [b.zone]`.
fn one_way(from: impl Display, to: impl Display) -> String {
    format!("[{from}] -> [{to}]")
}

/// Description of a partition in both directions.
pub(crate) fn partitioned(a: &Selector, b: &Selector) -> String {
    format!("partitioned: {}", both_ways(a, b))
}

/// Description of a healed partition, including what other owners still keep partitioned.
fn healed(a: &Selector, b: &Selector, stays: &RemainingPartitions) -> String {
    let ways = both_ways(a, b);
    let by = stays.by.iter().map(|owner| owner.map_or("the test", plan_name));
    let by = by.collect::<Vec<_>>().join(" and ");
    match (by.is_empty(), stays.any_path_opens) {
        (true, _) => format!("healed: {ways}"),
        (false, true) => format!("partly healed: {ways}; still partitioned by {by}"),
        (false, false) => format!("still partitioned by {by}: {ways}"),
    }
}

/// Changes the profile of links, which is an act of a plan if it `changes` anything.
fn change_links(
    paths: LinkPaths,
    profile: NetworkProfile,
    is_original: bool,
    changes: bool,
    text: impl Fn() -> String,
) {
    if changes {
        let bytes = profile.to_bytes();
        let act = Act::Link { paths: paths.clone(), profile: bytes, is_original };
        engine::record_act(None, &act, &text);
        acts::set_links(&paths, profile);
        log::write_line(Level::Fault, Scope::HARNESS.machine, text);
    }
}

fn check_profile(profile: &NetworkProfile) -> Result<(), ControlError> {
    let mistakes = profile.mistakes();
    if mistakes.is_empty() { Ok(()) } else { Err(ControlError::Profile(mistakes.joined())) }
}

fn profile_changed(from: impl Display, to: impl Display) -> String {
    format!("link profile changed: {}", one_way(from, to))
}

/// The machines that a selector matches: by name, or if no name matches, by zone.
fn ends(selector: &Selector) -> Result<Vec<MachineId>, ControlError> {
    let mut found = Vec::new();
    for one in selector.each() {
        let named = machine::machines(&one);
        let matching = if named.is_empty() { machine::in_zone(&one) } else { named };
        if matching.is_empty() {
            return Err(no_match(&one));
        }
        found.extend(matching);
    }
    found.sort_unstable();
    found.dedup();
    Ok(found)
}

pub(super) fn link_changed(change: LinkChange, from: &[MachineId], to: &[MachineId]) {
    engine::trace(Event::LinksChanged { change, from, to });
}
