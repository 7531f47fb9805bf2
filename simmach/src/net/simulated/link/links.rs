//! Zones, the links between them, the paths between machines, and the fate of each packet.
//!
//! Modelled: a fate for each packet, drawn at (flow, sequence number, transmission); partitions, which drop packets
//! that are sent while they last, while packets already sent still arrive; clogs, which hold packets and release them
//! in order. Loopback has a fixed latency of 10 µs and no faults. Not modelled: hops, and links that several paths
//! share beyond
//! `shared_bandwidth`.

use std::collections::{BTreeMap, BTreeSet};

use crate::engine::Engine;
use crate::net::simulated::address::{HostIndex, PathIndex};
use crate::net::simulated::link::order::FlowOrder;
use crate::net::simulated::link::packet_draws::PacketAddress;
use crate::net::simulated::link::pairs::Pairs;
use crate::net::simulated::link::profile::{Bandwidth, NetworkProfile};

/// Latency of loopback in nanoseconds.
const LOOPBACK_LATENCY: u64 = 10_000;

/// Fate of a packet when it is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Arrives {
        at: u64,
        /// Arrival of its duplicate, if the link makes one.
        copy_at: Option<u64>,
        /// It is held back beyond its latency.
        deferred: bool,
        /// It overtakes a packet of its flow that was sent earlier, and that no other has overtaken.
        overtakes: bool,
    },
    /// Held by a clog. The value is its latency once the clog is removed.
    Held(u64),
    Lost,
    Partitioned,
    QueueFull,
    NoRoute,
    /// Dropped by a packet filter.
    Filtered,
}

/// Index of the profile from one zone, or machine, to another.
type LinkTable = BTreeMap<(u32, u32), u32>;

pub(crate) struct Links {
    zones: BTreeMap<String, u32>,
    machines: Vec<MachineZone>,
    routes: LinkTable,
    /// Profiles of single pairs of machines, which override those of their zones.
    pairs: LinkTable,
    profiles: Vec<NetworkProfile>,
    /// Whether any profile logs packets, or did.
    logged: bool,
    /// Index of the profile inside a zone, and of the default between zones without a link.
    lan: u32,
    default: Option<u32>,
    /// For shared bandwidth: when the link is free again, by its index.
    shared_free_at: BTreeMap<u32, u64>,
    paths: Vec<Path>,
    index: BTreeMap<(HostIndex, HostIndex), PathIndex>,
    /// Packets held by clogs: slot and latency.
    held: BTreeMap<PathIndex, Vec<(u32, u64)>>,
    /// The pairs that each owner partitions.
    partitions: BTreeMap<Option<u64>, Pairs>,
    clogs: Pairs,
    /// Links, pairs and profiles before the first change.
    original: Option<(LinkTable, LinkTable, Vec<NetworkProfile>)>,
}

/// A machine's zone.
#[derive(Clone, Copy, Debug, Default)]
struct MachineZone {
    zone: u32,
    /// Whether it reaches zones without a link to its own, and is reached from them. For clients.
    routes_to_all: bool,
}

/// Which state of the links a question is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LinkState {
    Now,
    /// Before the first change. Zones without a link count as joined by `lan()`, since joining them so is no fault.
    Original,
}

/// The links in one state.
struct LinkView<'a> {
    routes: &'a LinkTable,
    pairs: &'a LinkTable,
    profiles: &'a [NetworkProfile],
    /// Profile between zones without a link.
    default_link: Option<u32>,
}

/// The partitions that remain when one owner heals its own.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct RemainingPartitions {
    /// Other owners that partition the same paths.
    pub(crate) by: BTreeSet<Option<u64>>,
    /// Whether some path is partitioned by no other owner.
    pub(crate) any_path_opens: bool,
}

/// Whether the link with this index has this profile.
fn link_has_profile(
    profiles: &[NetworkProfile],
    link: Option<u32>,
    profile: &NetworkProfile,
) -> bool {
    let own = link.and_then(|link| profiles.get(link as usize));
    own.is_some_and(|own| own.has_same_settings(profile))
}

/// A path from one machine to another. Aligned to a cache line, since every packet reads it.
#[repr(align(64))]
pub(crate) struct Path {
    pub(crate) from: HostIndex,
    pub(crate) to: HostIndex,
    route: Route,
    is_partitioned: bool,
    clogged: bool,
    /// When the bottleneck is free again, if its bandwidth is not shared.
    free_at: u64,
    last_arrival: u64,
    /// Arrival of the last packet that a clog had held. No later packet overtakes it.
    released_at: u64,
    sent: u64,
}

impl Fate {
    /// The same fate with a longer latency.
    pub(crate) fn delay_by(self, by: u64) -> Fate {
        match self {
            Fate::Arrives { at, copy_at, deferred, overtakes } => {
                Fate::Arrives { at: at.saturating_add(by), copy_at, deferred, overtakes }
            }
            Fate::Held(latency) => Fate::Held(latency.saturating_add(by)),
            Fate::Lost | Fate::Partitioned | Fate::QueueFull | Fate::NoRoute | Fate::Filtered => {
                self
            }
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Route {
    Loopback,
    Link(u32),
    None,
}

impl Links {
    pub(crate) fn new(default: Option<NetworkProfile>) -> Self {
        let mut profiles = vec![NetworkProfile::lan()];
        let logged = default.as_ref().is_some_and(|profile| !profile.log.is_silent());
        let default = default.map(|profile| {
            profiles.push(profile);
            1
        });
        Self {
            zones: BTreeMap::new(),
            machines: Vec::new(),
            routes: BTreeMap::new(),
            pairs: BTreeMap::new(),
            profiles,
            logged,
            lan: 0,
            default,
            shared_free_at: BTreeMap::new(),
            paths: Vec::new(),
            index: BTreeMap::new(),
            held: BTreeMap::new(),
            partitions: BTreeMap::new(),
            clogs: Pairs::default(),
            original: None,
        }
    }

    /// Index of the zone `name`. Adds it if it is new.
    pub(crate) fn zone(&mut self, name: &str) -> u32 {
        if let Some(zone) = self.zones.get(name) {
            return *zone;
        }
        let zone = self.zones.len() as u32;
        self.zones.insert(name.to_owned(), zone);
        zone
    }

    /// Adds a machine to a zone.
    pub(crate) fn add_machine(&mut self, machine: HostIndex, zone: u32, routes_to_all: bool) {
        let index = machine as usize;
        if self.machines.len() <= index {
            self.machines.resize(index + 1, MachineZone::default());
        }
        self.machines[index] = MachineZone { zone, routes_to_all };
    }

    /// The zone of a machine.
    pub(crate) fn zone_of(&self, machine: HostIndex) -> u32 {
        self.machines[machine as usize].zone
    }

    pub(crate) fn known_zone(&self, name: &str) -> Option<u32> {
        self.zones.get(name).copied()
    }

    /// Sets the profile of the link from one zone to another; creates the link if there is none.
    pub(crate) fn join(&mut self, from: u32, to: u32, profile: NetworkProfile) {
        self.logged |= !profile.log.is_silent();
        match self.routes.get(&(from, to)) {
            Some(link) => self.profiles[*link as usize] = profile,
            None => {
                self.routes.insert((from, to), self.profiles.len() as u32);
                self.profiles.push(profile);
            }
        }
        self.update_routes();
    }

    /// Like [`join`](Self::join), until [`restore`](Self::restore).
    pub(crate) fn rejoin(&mut self, from: u32, to: u32, profile: NetworkProfile) {
        self.save_original();
        self.join(from, to, profile);
    }

    /// Saves the current links, for [`restore`](Self::restore), unless that was done before.
    pub(crate) fn save_original(&mut self) {
        if self.original.is_none() {
            let (routes, pairs) = (self.routes.clone(), self.pairs.clone());
            self.original = Some((routes, pairs, self.profiles.clone()));
        }
    }

    /// Undoes all changes since [`save_original`](Self::save_original). Returns whether any profile differs from
    /// before.
    pub(crate) fn restore(&mut self) -> bool {
        let Some((routes, pairs, profiles)) = self.original.take() else { return false };
        let changed_routes = std::mem::replace(&mut self.routes, routes);
        let changed_pairs = std::mem::replace(&mut self.pairs, pairs);
        let changed_profiles = std::mem::replace(&mut self.profiles, profiles);
        self.update_routes();
        let profile = |link: &u32| &changed_profiles[*link as usize];
        let mut routes = changed_routes.iter();
        let mut pairs = changed_pairs.iter();
        let now = LinkState::Now;
        routes.any(|((from, to), link)| !self.has_profile(now, *from, *to, profile(link)))
            || pairs
                .any(|((from, to), link)| !self.has_profile_between(now, *from, *to, profile(link)))
    }

    /// Whether the link from one zone to another has this profile. False if there is no link.
    pub(crate) fn has_profile(
        &self,
        state: LinkState,
        from: u32,
        to: u32,
        profile: &NetworkProfile,
    ) -> bool {
        let LinkView { routes, profiles, default_link, .. } = self.view(state);
        let default_link = if from == to { Some(self.lan) } else { default_link };
        link_has_profile(profiles, routes.get(&(from, to)).copied().or(default_link), profile)
    }

    /// Like [`has_profile`](Self::has_profile), for a path from one machine to another.
    pub(crate) fn has_profile_between(
        &self,
        state: LinkState,
        from: HostIndex,
        to: HostIndex,
        profile: &NetworkProfile,
    ) -> bool {
        let LinkView { pairs, profiles, .. } = self.view(state);
        match pairs.get(&(from, to)) {
            Some(link) => link_has_profile(profiles, Some(*link), profile),
            None => self.has_profile(state, self.zone_of(from), self.zone_of(to), profile),
        }
    }

    fn view(&self, state: LinkState) -> LinkView<'_> {
        let now = LinkView {
            routes: &self.routes,
            pairs: &self.pairs,
            profiles: &self.profiles,
            default_link: self.default,
        };
        match (state, &self.original) {
            (LinkState::Now, _) => now,
            (LinkState::Original, None) => {
                LinkView { default_link: self.default.or(Some(self.lan)), ..now }
            }
            (LinkState::Original, Some((routes, pairs, profiles))) => {
                LinkView { routes, pairs, profiles, default_link: self.default.or(Some(self.lan)) }
            }
        }
    }

    fn update_routes(&mut self) {
        for at in 0..self.paths.len() {
            let (from, to) = (self.paths[at].from, self.paths[at].to);
            self.paths[at].route = self.route(from, to);
        }
    }

    /// Sets the profile of the path from one machine to another.
    pub(crate) fn join_pair(&mut self, from: HostIndex, to: HostIndex, profile: NetworkProfile) {
        self.logged |= !profile.log.is_silent();
        self.pairs.insert((from, to), self.profiles.len() as u32);
        self.profiles.push(profile);
        if let Some(path) = self.index.get(&(from, to)) {
            self.paths[*path as usize].route = self.route(from, to);
        }
    }

    fn is_partitioned(&self, from: HostIndex, to: HostIndex) -> bool {
        from != to && self.partitions.values().any(|pairs| pairs.contains(from, to))
    }

    /// The path from one machine to another. Adds it if it is new.
    pub(crate) fn path(&mut self, from: HostIndex, to: HostIndex) -> PathIndex {
        if let Some(path) = self.index.get(&(from, to)) {
            return *path;
        }
        let index = self.paths.len() as PathIndex;
        self.paths.push(Path {
            from,
            to,
            route: self.route(from, to),
            is_partitioned: self.is_partitioned(from, to),
            clogged: from != to && self.clogs.contains(from, to),
            free_at: 0,
            last_arrival: 0,
            released_at: 0,
            sent: 0,
        });
        self.index.insert((from, to), index);
        index
    }

    pub(crate) fn ends(&self, path: PathIndex) -> (HostIndex, HostIndex) {
        let path = &self.paths[path as usize];
        (path.from, path.to)
    }

    /// Arrival of the last packet on a path.
    pub(crate) fn last_arrival(&self, path: PathIndex) -> u64 {
        self.paths[path as usize].last_arrival
    }

    pub(crate) fn has_route(&self, from: HostIndex, to: HostIndex) -> bool {
        self.route(from, to) != Route::None
    }

    /// Maximum size of a packet from `from` to `to` in bytes, IP header included.
    pub(crate) fn mtu(&self, from: HostIndex, to: HostIndex) -> u16 {
        match self.route(from, to) {
            Route::Link(link) => self.profiles[link as usize].mtu,
            Route::Loopback | Route::None => u16::MAX,
        }
    }

    /// Whether the segments of a burst may travel as one packet on a path.
    pub(crate) fn allows_segmentation_offload(&self, path: PathIndex) -> bool {
        match self.paths[path as usize].route {
            Route::Loopback => true,
            Route::Link(link) => self.profiles[link as usize].allows_segmentation_offload(),
            Route::None => false,
        }
    }

    /// Whether any profile logs packets. Checked once for all, since most runs log none.
    pub(crate) fn are_logged(&self) -> bool {
        self.logged
    }

    /// Profile of a path. `None` for loopback.
    pub(crate) fn profile(&self, path: PathIndex) -> Option<&NetworkProfile> {
        match self.paths[path as usize].route {
            Route::Link(link) => Some(&self.profiles[link as usize]),
            Route::Loopback | Route::None => None,
        }
    }

    pub(crate) fn partition(
        &mut self,
        owner: Option<u64>,
        from: &[HostIndex],
        to: &[HostIndex],
        on: bool,
    ) {
        self.partitions.entry(owner).or_default().set(from, to, on);
        for at in 0..self.paths.len() {
            self.paths[at].is_partitioned =
                self.is_partitioned(self.paths[at].from, self.paths[at].to);
        }
    }

    /// Whether [`partition`](Self::partition) would change any path for this owner.
    pub(crate) fn would_partition(
        &self,
        owner: Option<u64>,
        from: &[HostIndex],
        to: &[HostIndex],
        on: bool,
    ) -> bool {
        match self.partitions.get(&owner) {
            Some(pairs) => pairs.would_change(from, to, on),
            None => Pairs::default().would_change(from, to, on),
        }
    }

    /// The partitions from `from` to `to` that remain when this owner heals its own.
    pub(crate) fn remaining_partitions(
        &self,
        owner: Option<u64>,
        from: &[HostIndex],
        to: &[HostIndex],
    ) -> RemainingPartitions {
        let paths = from.iter().flat_map(|from| to.iter().map(move |to| (*from, *to)));
        let is_own = |(from, to): &(HostIndex, HostIndex)| {
            from != to && self.partitions.get(&owner).is_some_and(|own| own.contains(*from, *to))
        };
        let mut remaining = RemainingPartitions::default();
        for (from, to) in paths.filter(is_own) {
            let others = self.partitions.iter().filter(|(other, _)| **other != owner);
            let holders: Vec<_> = others.filter(|(_, pairs)| pairs.contains(from, to)).collect();
            remaining.any_path_opens |= holders.is_empty();
            remaining.by.extend(holders.into_iter().map(|(holder, _)| *holder));
        }
        remaining
    }

    /// Heals the partitions of all owners. Returns whether there were any.
    pub(crate) fn heal_all(&mut self) -> bool {
        let was_partitioned = self.partitions.values().any(Pairs::has_any);
        self.partitions.clear();
        self.paths.iter_mut().for_each(|path| path.is_partitioned = false);
        was_partitioned
    }

    /// Whether [`clog`](Self::clog) would change any path.
    pub(crate) fn would_clog(&self, from: &[HostIndex], to: &[HostIndex], on: bool) -> bool {
        self.clogs.would_change(from, to, on)
    }

    pub(crate) fn is_any_clogged(&self) -> bool {
        self.clogs.has_any()
    }

    /// Clogs or unclogs paths. Returns the released packets' slots and arrivals.
    pub(crate) fn clog(
        &mut self,
        from: &[HostIndex],
        to: &[HostIndex],
        on: bool,
        now: u64,
    ) -> Vec<(u32, u64)> {
        self.clogs.set(from, to, on);
        self.apply_clogs(now)
    }

    pub(crate) fn unclog_all(&mut self, now: u64) -> Vec<(u32, u64)> {
        self.clogs.clear();
        self.apply_clogs(now)
    }

    pub(crate) fn hold(&mut self, path: PathIndex, slot: u32, latency: u64) {
        self.held.entry(path).or_default().push((slot, latency));
    }

    /// Number of packets held by clogs.
    pub(crate) fn held(&self) -> usize {
        self.held.values().map(Vec::len).sum()
    }

    fn apply_clogs(&mut self, now: u64) -> Vec<(u32, u64)> {
        let mut released = Vec::new();
        for (index, path) in (0..).zip(&mut self.paths) {
            path.clogged = path.from != path.to && self.clogs.contains(path.from, path.to);
            if path.clogged {
                continue;
            }
            for (slot, latency) in self.held.remove(&index).unwrap_or_default() {
                let at = now.saturating_add(latency).max(path.last_arrival);
                (path.last_arrival, path.released_at) = (at, at);
                released.push((slot, at));
            }
        }
        released
    }

    fn route(&self, from: HostIndex, to: HostIndex) -> Route {
        if from == to {
            return Route::Loopback;
        }
        if let Some(link) = self.pairs.get(&(from, to)) {
            return Route::Link(*link);
        }
        let (from, to) = (&self.machines[from as usize], &self.machines[to as usize]);
        let link = self.routes.get(&(from.zone, to.zone)).copied();
        let default_link = if from.zone == to.zone {
            Some(self.lan)
        } else if from.routes_to_all || to.routes_to_all {
            Some(self.default.unwrap_or(self.lan))
        } else {
            self.default
        };
        link.or(default_link).map_or(Route::None, Route::Link)
    }

    /// Draws the fate of a packet of `bytes` bytes, the next of its flow, sent at `now`.
    #[inline]
    pub(crate) fn fate(
        &mut self,
        engine: &Engine,
        path: PathIndex,
        now: u64,
        bytes: u64,
        draw: PacketAddress,
        order: &mut FlowOrder,
    ) -> Fate {
        let path = &mut self.paths[path as usize];
        let link = match path.route {
            Route::Loopback => {
                return Fate::Arrives {
                    at: now + LOOPBACK_LATENCY,
                    copy_at: None,
                    deferred: false,
                    overtakes: false,
                };
            }
            Route::None => return Fate::NoRoute,
            Route::Link(link) => link,
        };
        let profile = &self.profiles[link as usize];
        if path.is_partitioned {
            return Fate::Partitioned;
        }
        engine.set_lane(u64::from(path.from) << 32 | u64::from(path.to));
        let loss = profile.loss_of(bytes);
        if loss > 0.0 && engine.chance(draw.loss(), loss) {
            return Fate::Lost;
        }
        let departs = match profile.bandwidth {
            None => now,
            Some(bandwidth) => {
                let free_at = match bandwidth.shared {
                    true => self.shared_free_at.entry(link).or_default(),
                    false => &mut path.free_at,
                };
                match bandwidth.pass(free_at, now, bytes) {
                    Some(at) => at,
                    None => return Fate::QueueFull,
                }
            }
        };
        let nth = path.sent;
        path.sent += 1;
        let unit = || engine.unit(draw.latency());
        let mut at = departs.saturating_add(profile.latency.sample(unit, nth));
        if path.clogged {
            return Fate::Held(at - now);
        }
        if profile.in_order {
            at = at.max(order.latest_in_order).max(path.released_at);
        }
        order.latest_in_order = order.latest_in_order.max(at);
        let (rate, longest) = profile.reorder;
        let deferred = rate > 0.0 && engine.chance(draw.reorder(), rate);
        if deferred {
            let unit = engine.unit(draw.reorder_delay());
            at = at.saturating_add((unit * longest as f64) as u64);
        }
        let copy_at = (profile.duplication > 0.0
            && engine.chance(draw.duplicate(), profile.duplication))
        .then(|| {
            let unit = || engine.unit(draw.copy_latency());
            let copy_at = departs.saturating_add(profile.latency.sample(unit, nth + 1));
            // The copy does not overtake packets that were sent before it.
            if profile.in_order { copy_at.max(order.latest_in_order) } else { copy_at }
        });
        let overtakes = at < order.last_sent_arrival;
        order.last_sent_arrival = at;
        path.last_arrival = path.last_arrival.max(at);
        Fate::Arrives { at, copy_at, deferred, overtakes }
    }
}

impl Bandwidth {
    /// When a packet has passed the bottleneck, which is free from `free_at` on. `None` if its queue is full.
    fn pass(self, free_at: &mut u64, now: u64, bytes: u64) -> Option<u64> {
        const SECOND: u128 = 1_000_000_000;
        let rate = u128::from(self.bytes_per_second);
        let waiting = u128::from(free_at.saturating_sub(now)) * rate / SECOND;
        if waiting > 0 && waiting + u128::from(bytes) > u128::from(self.queue) {
            return None;
        }
        let takes = (u128::from(bytes) * SECOND / rate) as u64;
        *free_at = (*free_at).max(now).saturating_add(takes);
        Some(*free_at)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::engine::{Scope, rig};

    const DRAW: PacketAddress = PacketAddress { flow: 1, number: 2, transmission: 0 };
    const MS: u64 = 1_000_000;

    impl Links {
        /// The fate of a packet if every draw is calm, as draws of a dead process are.
        fn calm_fate(
            &mut self,
            path: PathIndex,
            now: u64,
            bytes: u64,
            draw: PacketAddress,
        ) -> Fate {
            let engine = rig::engine(0);
            engine.set_scope(Scope { alive: false, ..Scope::HARNESS });
            self.fate(&engine, path, now, bytes, draw, &mut FlowOrder::default())
        }

        /// The calm fate of the next packet of a flow, sent at 0.
        fn next_fate(&mut self, path: PathIndex, order: &mut FlowOrder) -> Fate {
            let engine = rig::engine(0);
            engine.set_scope(Scope { alive: false, ..Scope::HARNESS });
            self.fate(&engine, path, 0, 1, DRAW, order)
        }
    }

    /// Adds two machines in zone a, one in zone b.
    fn with_machines(mut links: Links) -> Links {
        let (a, b) = (links.zone("a"), links.zone("b"));
        for (machine, zone) in (0..).zip([a, a, b]) {
            links.add_machine(machine, zone, false);
        }
        links
    }

    fn arrival(fate: Fate) -> u64 {
        match fate {
            Fate::Arrives { at, .. } => at,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn zones_without_a_link_have_no_route() {
        let mut links = with_machines(Links::new(None));
        assert!(links.has_route(0, 1) && links.has_route(1, 1));
        assert!(!links.has_route(0, 2));
        let path = links.path(0, 2);
        assert_eq!(links.calm_fate(path, 0, 100, DRAW), Fate::NoRoute);
        links.join(0, 1, NetworkProfile::ideal_fixed());
        assert_eq!(arrival(links.calm_fate(path, 0, 100, DRAW)), 50 * MS);
        assert!(links.has_route(1, 2) && !links.has_route(2, 0));
        links.add_machine(2, links.zone_of(2), true);
        assert!(links.has_route(2, 0));
        assert!(with_machines(Links::new(Some(NetworkProfile::lan()))).has_route(0, 2));
    }

    #[test]
    fn partition_has_a_direction_and_ends() {
        let mut links = with_machines(Links::new(Some(NetworkProfile::ideal_fixed())));
        let there = links.path(0, 2);
        links.partition(None, &[0, 2], &[2], true);
        let back = links.path(2, 0);
        let own = links.path(2, 2);
        assert_eq!(links.calm_fate(there, 0, 1, DRAW), Fate::Partitioned);
        assert_eq!(arrival(links.calm_fate(back, 0, 1, DRAW)), 50 * MS);
        assert_eq!(arrival(links.calm_fate(own, 0, 1, DRAW)), LOOPBACK_LATENCY);
        links.heal_all();
        assert_eq!(arrival(links.calm_fate(there, 0, 1, DRAW)), 50 * MS);
    }

    #[test]
    fn partition_by_two_owners_must_be_healed_by_both() {
        let mut links = with_machines(Links::new(Some(NetworkProfile::ideal_fixed())));
        let path = links.path(0, 2);
        for owner in [None, Some(7)] {
            links.partition(owner, &[0], &[2], true);
        }
        links.partition(Some(7), &[0], &[2], false);
        assert_eq!(links.calm_fate(path, 0, 1, DRAW), Fate::Partitioned);
        links.partition(None, &[0], &[2], false);
        assert_eq!(arrival(links.calm_fate(path, 0, 1, DRAW)), 50 * MS);
    }

    #[test]
    fn changed_links_are_restored() {
        let mut links = with_machines(Links::new(None));
        links.join(0, 1, NetworkProfile::ideal_fixed());
        let path = links.path(0, 2);
        assert!(!links.restore());
        for millis in [1, 2] {
            let profile = NetworkProfile::fixed(Duration::from_millis(millis));
            links.rejoin(0, 1, profile.clone());
            links.rejoin(1, 0, profile);
        }
        assert_eq!(arrival(links.calm_fate(path, 0, 1, DRAW)), 2 * MS);
        links.save_original();
        links.join_pair(0, 2, NetworkProfile::fixed(Duration::from_millis(3)));
        assert_eq!(arrival(links.calm_fate(path, 0, 1, DRAW)), 3 * MS);
        assert!(links.has_route(2, 0) && links.restore());
        assert_eq!(arrival(links.calm_fate(path, 0, 1, DRAW)), 50 * MS);
        assert!(!links.has_route(2, 0));
    }

    #[test]
    fn bandwidth_queues_and_then_drops() {
        let profile = NetworkProfile::fixed(Duration::from_millis(1)).bandwidth(1_000_000, 2_500);
        let mut links = with_machines(Links::new(Some(profile)));
        let path = links.path(0, 2);
        let mut send = |now: u64| links.calm_fate(path, now, 1_000, DRAW);
        // 1,000 bytes take 1 ms; 2,500 may wait.
        assert_eq!(arrival(send(0)), 2 * MS);
        assert_eq!(arrival(send(0)), 3 * MS);
        assert_eq!(send(0), Fate::QueueFull);
        assert_eq!(arrival(send(MS)), 4 * MS);
        assert_eq!(arrival(send(9 * MS)), 11 * MS);
    }

    /// Both machines of zone a share the queue; the other direction has its own.
    #[test]
    fn shared_bandwidth_has_one_queue() {
        let shared = |shared: bool| {
            let profile = NetworkProfile::fixed(Duration::from_millis(1));
            let profile = match shared {
                true => profile.shared_bandwidth(1_000_000, 2_500),
                false => profile.bandwidth(1_000_000, 2_500),
            };
            let mut links = with_machines(Links::new(None));
            links.join(0, 1, profile.clone());
            links.join(1, 0, profile);
            let paths = [(0, 2), (1, 2), (2, 0)].map(|(from, to)| links.path(from, to));
            let [one, two, back] = paths;
            [one, two, one, back].map(|path| links.calm_fate(path, 0, 1_000, DRAW))
        };
        let at = |ms: u64| Fate::Arrives {
            at: ms * MS,
            copy_at: None,
            deferred: false,
            overtakes: false,
        };
        assert_eq!(shared(true), [at(2), at(3), Fate::QueueFull, at(2)]);
        assert_eq!(shared(false), [at(2), at(2), at(3), at(2)]);
    }

    #[test]
    fn falling_latency_reorders_unless_in_order() {
        let mut links = with_machines(Links::new(Some(NetworkProfile::reverse_latency())));
        let path = links.path(0, 2);
        let mut order = FlowOrder::default();
        assert_eq!(arrival(links.next_fate(path, &mut order)), 50 * MS);
        assert_eq!(
            links.next_fate(path, &mut order),
            Fate::Arrives { at: 48 * MS, copy_at: None, deferred: false, overtakes: true }
        );
        assert_eq!(
            links.next_fate(path, &mut FlowOrder::default()),
            Fate::Arrives { at: 46 * MS, copy_at: None, deferred: false, overtakes: false },
            "another flow"
        );
        links.join(0, 1, NetworkProfile::reverse_latency().in_order(true));
        assert_eq!(arrival(links.next_fate(path, &mut order)), 50 * MS);
        assert_eq!(arrival(links.next_fate(path, &mut FlowOrder::default())), 42 * MS);
    }

    /// With jitter of every distribution, packets of one flow keep their order, and overtake packets of other flows.
    #[test]
    fn jitter_keeps_the_order_of_a_flow_only() {
        let ms = Duration::from_millis;
        let own = |unit: f64| Duration::from_millis(1).mul_f64(20.0 * unit);
        for profile in [
            NetworkProfile::lan(),
            NetworkProfile::azure_intranet(),
            NetworkProfile::cross_region(),
            NetworkProfile::mobile_2g(),
            NetworkProfile::mobile_4g(),
            NetworkProfile::internet().reorder(0.0, Duration::ZERO),
            NetworkProfile::mobile_3g().reorder(0.0, Duration::ZERO).duplication(0.5),
            NetworkProfile::uniform(ms(1), ms(90)),
            NetworkProfile::normal(ms(50), ms(20)),
            NetworkProfile::log_normal(ms(50), 0.5),
            NetworkProfile::latency_by(own),
        ] {
            let mut links = with_machines(Links::new(Some(profile.clone())));
            let path = links.path(0, 2);
            let engine = rig::engine(3);
            let mut orders = [FlowOrder::default(); 2];
            let (mut last, mut overtakes_another_flow) = ([0, 0], false);
            for nth in 0..2_000_u64 {
                let flow = (nth % 2) as usize;
                let draw = PacketAddress { flow: nth % 2, number: nth, transmission: 0 };
                let now = nth * MS / 100;
                let fate = links.fate(&engine, path, now, 100, draw, &mut orders[flow]);
                let Fate::Arrives { at, copy_at, overtakes, .. } = fate else { continue };
                assert!(!overtakes && at >= last[flow], "{profile:?}");
                assert!(copy_at.is_none_or(|copy_at| copy_at >= last[flow]), "{profile:?}");
                overtakes_another_flow |= at < last[1 - flow];
                last[flow] = at;
            }
            assert!(overtakes_another_flow, "{profile:?}");
        }
    }

    /// Packets are held back at the given rate; the others keep their order.
    #[test]
    fn held_back_packets_are_overtaken_at_their_rate() {
        let held = Duration::from_millis(50);
        let profile = NetworkProfile::fixed(Duration::from_millis(5)).reorder(0.01, held);
        let mut links = with_machines(Links::new(Some(profile)));
        let path = links.path(0, 2);
        let engine = rig::engine(3);
        let mut order = FlowOrder::default();
        let mut late = 0;
        for nth in 0..10_000_u64 {
            let draw = PacketAddress { flow: 1, number: nth, transmission: 0 };
            let now = nth * MS;
            let at = arrival(links.fate(&engine, path, now, 100, draw, &mut order));
            late += u32::from(at > now + 5 * MS);
            assert!(at >= now + 5 * MS && at <= now + 55 * MS);
        }
        assert!((70..130).contains(&late), "{late} of 10,000 were held back");
    }

    #[test]
    fn released_packets_are_not_overtaken() {
        let ms = Duration::from_millis;
        let mut links = with_machines(Links::new(Some(NetworkProfile::fixed(ms(50)))));
        let path = links.path(0, 2);
        links.clog(&[0], &[2], true, 0);
        let mut order = FlowOrder::default();
        assert_eq!(links.next_fate(path, &mut order), Fate::Held(50 * MS));
        links.hold(path, 0, 50 * MS);
        assert_eq!(links.clog(&[0], &[2], false, 10 * MS), [(0, 60 * MS)]);
        links.join(0, 1, NetworkProfile::fixed(ms(1)));
        assert_eq!(arrival(links.next_fate(path, &mut order)), 60 * MS);
    }

    #[test]
    fn clog_holds_and_releases_in_order() {
        let mut links = with_machines(Links::new(Some(NetworkProfile::reverse_latency())));
        let path = links.path(0, 2);
        assert!(links.clog(&[0], &[2], true, 0).is_empty());
        for slot in 0..3 {
            match links.calm_fate(path, 0, 1, DRAW) {
                Fate::Held(latency) => links.hold(path, slot, latency),
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(
            links.clog(&[0], &[2], false, 1000 * MS),
            [(0, 1050 * MS), (1, 1050 * MS), (2, 1050 * MS)]
        );
    }

    /// A link that keeps the order lets packets overtake those it holds back.
    #[test]
    fn held_back_packets_are_overtaken_on_an_in_order_link() {
        let mut links =
            with_machines(Links::new(Some(NetworkProfile::fixed(Duration::from_millis(50)))));
        let path = links.path(0, 2);
        let millis = Duration::from_millis;
        let held = NetworkProfile::fixed(millis(50)).in_order(true).reorder(1.0, millis(40));
        links.join(0, 1, held);
        // Calm draws hold nothing back, so the order is set by hand.
        let mut order = FlowOrder { latest_in_order: 0, last_sent_arrival: 90 * MS };
        let fate = links.next_fate(path, &mut order);
        assert_eq!(
            fate,
            Fate::Arrives { at: 50 * MS, copy_at: None, deferred: false, overtakes: true }
        );
    }

    /// With calm draws nothing is lost and the latency is the median.
    #[test]
    fn calm_draws_do_nothing() {
        let profile =
            NetworkProfile::mobile_3g().duplication(0.5).reorder(0.5, Duration::from_secs(1));
        let mut links = with_machines(Links::new(Some(profile)));
        let path = links.path(0, 2);
        assert_eq!(
            links.calm_fate(path, 0, 1, DRAW),
            Fate::Arrives { at: 300 * MS, copy_at: None, deferred: false, overtakes: false }
        );
    }
}
