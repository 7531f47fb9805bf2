//! The control of the network: partitions, clogs, links, rules on packets, and what there is to see of it.

use std::fmt::Display;

use crate::engine::record::event::LinkChange;
use crate::engine::record::log::{self, Level};
use crate::engine::{self, Effect, Event, MachineId, Scope, mix, mix_text};
use crate::machine::{self, Selector};
use crate::net::control::Paths;
use crate::net::{
    self, LinkState, NetworkProfile, PacketFate, PacketFilter, PacketInfo, RemainingCuts,
    SocketEntry,
};
use crate::sim::machines::no_match;
use crate::sim::world::{may_act, plan_name};
use crate::sim::{ControlError, Sim};

/// Machines are named one by one, by globs, or by their zone: `"api1.public"`, `"api*"`, `"public"`.
impl Sim {
    /// Cuts two groups of machines from each other, both ways: what is sent between them is lost. What a plan of the
    /// library cuts too stays cut until both are healed.
    ///
    /// # Errors
    ///
    /// When no machine and no zone has such a name.
    pub fn partition(
        &self,
        a: impl Into<Selector>,
        b: impl Into<Selector>,
    ) -> Result<(), ControlError> {
        self.cut(None, &a.into(), &b.into())
    }

    /// As [`partition`](Self::partition); only the plan itself, or who heals all, joins again what a plan has cut.
    pub(crate) fn cut(
        &self,
        plan: Option<u64>,
        a: &Selector,
        b: &Selector,
    ) -> Result<(), ControlError> {
        let (from, to) = (ends(a)?, ends(b)?);
        let changes = net::control::would_cut(plan, &from, &to, true)
            || net::control::would_cut(plan, &to, &from, true);
        if !may_act(changes, &from, || partitioned(a, b)) || !changes {
            return Ok(());
        }
        net::control::cut(plan, &from, &to);
        net::control::cut(plan, &to, &from);
        link_changed(LinkChange::Cut, &from, &to);
        link_changed(LinkChange::Cut, &to, &from);
        engine::record_fault(Effect::Partition, None, || partitioned(a, b));
        Ok(())
    }

    /// Cuts one way only: what `from` sends to `to` is lost.
    ///
    /// # Errors
    ///
    /// When no machine has such a name.
    pub fn partition_one_way(
        &self,
        from: impl Into<Selector>,
        to: impl Into<Selector>,
    ) -> Result<(), ControlError> {
        let (from, to) = (from.into(), to.into());
        let (sending, receiving) = (ends(&from)?, ends(&to)?);
        let changes = net::control::would_cut(None, &sending, &receiving, true);
        let text = || format!("partitioned: {}", one_way(&from, &to));
        if !may_act(changes, &sending, text) || !changes {
            return Ok(());
        }
        net::control::cut(None, &sending, &receiving);
        link_changed(LinkChange::Cut, &sending, &receiving);
        engine::record_fault(Effect::Partition, None, text);
        Ok(())
    }

    /// Joins two groups of machines again, both ways. What a plan of the library cuts stays cut until the plan heals it.
    ///
    /// # Errors
    ///
    /// When no machine has such a name.
    pub fn heal(&self, a: impl Into<Selector>, b: impl Into<Selector>) -> Result<(), ControlError> {
        self.mend(None, &a.into(), &b.into())
    }

    /// As [`heal`](Self::heal), for what [`cut`](Self::cut) has cut for the same plan.
    pub(crate) fn mend(
        &self,
        plan: Option<u64>,
        a: &Selector,
        b: &Selector,
    ) -> Result<(), ControlError> {
        let (from, to) = (ends(a)?, ends(b)?);
        if !net::control::would_cut(plan, &from, &to, false)
            && !net::control::would_cut(plan, &to, &from, false)
        {
            return Ok(());
        }
        let stays = net::control::remaining_cuts(plan, &from, &to);
        net::control::mend(plan, &from, &to);
        net::control::mend(plan, &to, &from);
        link_changed(LinkChange::Healed, &from, &to);
        link_changed(LinkChange::Healed, &to, &from);
        log::write_line(Level::Fault, Scope::HARNESS.machine, || healed(a, b, &stays));
        Ok(())
    }

    /// Joins all that was cut.
    pub fn heal_all(&self) {
        if net::control::mend_all() {
            link_changed(LinkChange::AllHealed, &[], &[]);
            log::write_line(Level::Fault, Scope::HARNESS.machine, || {
                "healed: all partitions".to_owned()
            });
        }
    }

    /// Clogs the way from one group of machines to another: what is sent is held, and goes on in order once it is
    /// [unclogged](Self::unclog). Nothing is lost.
    ///
    /// # Errors
    ///
    /// When no machine has such a name.
    pub fn clog(
        &self,
        from: impl Into<Selector>,
        to: impl Into<Selector>,
    ) -> Result<(), ControlError> {
        let (from, to) = (from.into(), to.into());
        let (sending, receiving) = (ends(&from)?, ends(&to)?);
        let changes = net::control::would_clog(&sending, &receiving, true);
        let text = || format!("clogged: {}", one_way(&from, &to));
        if !may_act(changes, &sending, text) || !changes {
            return Ok(());
        }
        net::control::clog(&sending, &receiving);
        link_changed(LinkChange::Clogged, &sending, &receiving);
        engine::record_fault(Effect::Clog, None, text);
        Ok(())
    }

    /// Lets packets go on that a clog has held, and all that are sent from now on.
    ///
    /// # Errors
    ///
    /// When no machine has such a name.
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
        net::control::unclog(&sending, &receiving);
        link_changed(LinkChange::Unclogged, &sending, &receiving);
        log::write_line(Level::Fault, Scope::HARNESS.machine, || {
            format!("unclogged: {}", one_way(&from, &to))
        });
        Ok(())
    }

    /// Lays a rule on what some machines send to others: `choose` is asked about each packet when it is sent. The rule is
    /// lifted when what comes back is dropped, and by [`settle`](Self::settle). `choose` must not use the network.
    ///
    /// ```
    /// # use simmach::prelude::*;
    /// # use simmach::net::PacketFate;
    /// # fn of(sim: Sim) -> Result {
    /// // The third segment with data from api1 to cl is lost.
    /// let mut data = 0;
    /// let rule = sim.filter_packets("api1.public", "cl.internal", move |packet| {
    ///     data += u64::from(packet.protocol == "tcp" && packet.length > 0);
    ///     if packet.length > 0 && data == 3 { PacketFate::Drop } else { PacketFate::Pass }
    /// })?;
    /// # drop(rule);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// When no machine has such a name.
    ///
    /// # Panics
    ///
    /// Outside a run.
    pub fn filter_packets(
        &self,
        from: impl Into<Selector>,
        to: impl Into<Selector>,
        choose: impl FnMut(&PacketInfo<'_>) -> PacketFate + 'static,
    ) -> Result<PacketFilter, ControlError> {
        let (from, to) = (from.into(), to.into());
        let (sending, receiving) = (ends(&from)?, ends(&to)?);
        let text = || format!("packet filter added: {}", one_way(&from, &to));
        let rule = match may_act(true, &sending, text) {
            true => net::control::filter_packets(&sending, &receiving, Box::new(choose)),
            false => net::control::no_filter(),
        };
        Ok(rule.expect("simmach::Sim::filter_packets was called outside a run"))
    }

    /// Gives what some machines send to others another profile than their zones' link has, from now on; one way. To give
    /// back the topology's is no fault.
    ///
    /// # Errors
    ///
    /// When no machine has such a name.
    pub fn set_link_between(
        &self,
        from: impl Into<Selector>,
        to: impl Into<Selector>,
        profile: NetworkProfile,
    ) -> Result<(), ControlError> {
        let (from, to) = (from.into(), to.into());
        let (sending, receiving) = (ends(&from)?, ends(&to)?);
        let ways = Paths::Machines(&sending, &receiving);
        let changes = !net::control::has_profile(ways, LinkState::Now, &profile);
        let is_original = net::control::has_profile(ways, LinkState::Original, &profile);
        if !is_original && !may_act(changes, &sending, || profile_changed(&from, &to)) {
            return Ok(());
        }
        net::control::set_pair_profile(&sending, &receiving, &profile);
        if changes {
            link_changed(LinkChange::Profile, &sending, &receiving);
            log_profile(&from, &to);
        }
        Ok(())
    }

    /// Gives the link from one zone to another another profile, for what is sent from now on; one way. Until
    /// [`settle`](Self::settle), which gives back what the topology says. To give that back is no fault.
    ///
    /// # Errors
    ///
    /// When there is no such zone.
    pub fn set_link(
        &self,
        from_zone: &str,
        to_zone: &str,
        profile: NetworkProfile,
    ) -> Result<(), ControlError> {
        let ways = Paths::Zones(from_zone, to_zone);
        let changes = !net::control::has_profile(ways, LinkState::Now, &profile);
        let is_original = net::control::has_profile(ways, LinkState::Original, &profile);
        // What is no zone is an error, also where it would be left out.
        let is_left_out = net::control::has_zones(from_zone, to_zone)
            && !is_original
            && !may_act(changes, &[], || profile_changed(from_zone, to_zone));
        if is_left_out {
            return Ok(());
        }
        net::control::set_profile(from_zone, to_zone, profile)
            .map_err(|error| ControlError::NoLink(error.to_string()))?;
        if changes {
            let zones = mix(mix_text(from_zone), mix_text(to_zone));
            engine::trace(Event::ZoneLinkChanged { zones });
            log_profile(from_zone, to_zone);
        }
        Ok(())
    }

    /// The sockets of all machines that are meant, as `ss` shows them; [`machine`](Self::machine) is for one.
    pub fn sockets(&self, selector: impl Into<Selector>) -> Vec<SocketEntry> {
        let machines = machine::machines(&selector.into());
        machines.into_iter().flat_map(net::control::sockets).collect()
    }

    /// Begins to capture the packets that machines send from now on, to each other and to themselves; a second time it does
    /// nothing. It changes nothing of the run. `SIMMACH_PCAP` captures a whole run without a word in the test.
    pub fn capture(&self) {
        net::control::capture();
    }

    /// What was captured until now, as the octets of a pcapng file: one interface for each machine, which shows what it
    /// sends, in virtual time. `None` when no [`capture`](Self::capture) was begun.
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

/// The two sides of a partition: `[a.zone, c.zone] | [b.zone]`.
fn both_ways(a: &Selector, b: &Selector) -> String {
    format!("[{a}] | [{b}]")
}

/// What is one-way, from its senders to its receivers: `[a.zone, c.zone] -> [b.zone]`.
fn one_way(from: impl Display, to: impl Display) -> String {
    format!("[{from}] -> [{to}]")
}

/// A partition that cuts both ways, in words.
pub(crate) fn partitioned(a: &Selector, b: &Selector) -> String {
    format!("partitioned: {}", both_ways(a, b))
}

/// The end of a partition, in words, which may not be the end for the ways that others have cut too.
fn healed(a: &Selector, b: &Selector, stays: &RemainingCuts) -> String {
    let ways = both_ways(a, b);
    let by = stays.by.iter().map(|owner| owner.map_or("the test", plan_name));
    let by = by.collect::<Vec<_>>().join(" and ");
    match (by.is_empty(), stays.any_path_opens) {
        (true, _) => format!("healed: {ways}"),
        (false, true) => format!("partly healed: {ways}, still cut by {by}"),
        (false, false) => format!("still partitioned: {ways}, by {by}"),
    }
}

fn log_profile(from: impl Display, to: impl Display) {
    log::write_line(Level::Fault, Scope::HARNESS.machine, || profile_changed(from, to));
}

fn profile_changed(from: impl Display, to: impl Display) -> String {
    format!("link profile changed: {}", one_way(from, to))
}

/// The machines that are meant: by their names, or where none has such a name, by their zone's.
fn ends(selector: &Selector) -> Result<Vec<MachineId>, ControlError> {
    let mut found = Vec::new();
    for one in selector.each() {
        let named = machine::machines(&one);
        let meant = if named.is_empty() { machine::in_zone(&one) } else { named };
        if meant.is_empty() {
            return Err(no_match(&one));
        }
        found.extend(meant);
    }
    found.sort_unstable();
    found.dedup();
    Ok(found)
}

fn link_changed(change: LinkChange, from: &[MachineId], to: &[MachineId]) {
    engine::trace(Event::LinksChanged { change, from, to });
}
