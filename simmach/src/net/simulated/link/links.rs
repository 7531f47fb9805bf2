//! Zones, the links between them, the paths between machines, and the fate of each packet.
//!
//! These are modelled: a fate for each packet, drawn at (flow, sequence number, transmission);
//! partitions, which drop packets that are sent during the partition, but not packets in flight;
//! and clogs, which hold packets and release them in order. Loopback has a fixed latency of 10 µs
//! and no faults.
//!
//! These are not modelled: hops, and links that several paths share, except through
//! `shared_bandwidth`.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use crate::engine::Engine;
use crate::engine::acts::Impairment;
use crate::net::simulated::address::{HostIndex, PathIndex};
use crate::net::simulated::link::impairments::Impairments;
use crate::net::simulated::link::order::FlowOrder;
use crate::net::simulated::link::packet_draws::PacketAddress;
use crate::net::simulated::link::pairs::Pairs;
use crate::net::simulated::link::partitions::Partitions;
use crate::net::simulated::link::profile::{Bandwidth, NetworkProfile};

/// Latency of loopback in nanoseconds.
const LOOPBACK_LATENCY: u64 = 10_000;

/// The fate of a packet, which is decided when it is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Arrives {
        at: u64,
        /// Arrival of the packet's duplicate, if the link duplicates the packet.
        copy_at: Option<u64>,
        /// The packet is held back beyond its latency.
        deferred: bool,
        /// The packet overtakes an earlier packet of its flow that no other packet has overtaken.
        overtakes: bool,
    },
    /// The packet is held by a clog. The value is its latency after the clog is removed.
    Held(u64),
    Lost,
    Partitioned,
    QueueFull,
    NoRoute,
    /// Dropped by a packet filter.
    Filtered,
}

/// Index of the profile from one zone to another, or from one machine to another.
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
    partitions: Partitions,
    clogs: Pairs,
    impairments: Impairments,
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

/// Which state of the links a query refers to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LinkState {
    Now,
    /// The state before the first change. Zones without a link count as joined by `lan()`, since joining them by `lan()` is
    /// not a fault.
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
    /// The profile with the path's impairments, if it has any.
    impaired: Option<Box<NetworkProfile>>,
}

impl Fate {
    /// Returns the same fate with a longer latency.
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
            partitions: Partitions::default(),
            clogs: Pairs::default(),
            impairments: Impairments::default(),
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
            self.update_route(at);
        }
    }

    fn update_route(&mut self, path: usize) {
        let (from, to) = (self.paths[path].from, self.paths[path].to);
        let route = self.route(from, to);
        self.paths[path].impaired = self.impaired(route, from, to);
        self.paths[path].route = route;
    }

    /// The profile of a route with the impairments from one machine to another, if there are any.
    fn impaired(
        &self,
        route: Route,
        from: HostIndex,
        to: HostIndex,
    ) -> Option<Box<NetworkProfile>> {
        match route {
            Route::Link(link) => self.impairments.apply(from, to, &self.profiles[link as usize]),
            Route::Loopback | Route::None => None,
        }
    }

    /// Begins an impairment of the paths from `from` to `to`, under a number of its own.
    pub(crate) fn impair(
        &mut self,
        number: u64,
        from: Vec<HostIndex>,
        to: Vec<HostIndex>,
        impairment: Impairment,
    ) {
        self.impairments.add(number, from, to, impairment);
        self.update_routes();
    }

    /// Ends the impairment with this number. Returns false if there is none.
    pub(crate) fn end_impairment(&mut self, number: u64) -> bool {
        let had = self.impairments.remove(number);
        self.update_routes();
        had
    }

    /// Ends all impairments. Returns false if there are none.
    pub(crate) fn end_impairments(&mut self) -> bool {
        let had = self.impairments.clear();
        self.update_routes();
        had
    }

    /// The senders and the receivers of the impairment with this number, if it is active.
    pub(crate) fn impairment_sides(&self, number: u64) -> Option<[&[HostIndex]; 2]> {
        self.impairments.sides(number)
    }

    /// Sets the profile of the path from one machine to another.
    pub(crate) fn join_pair(&mut self, from: HostIndex, to: HostIndex, profile: NetworkProfile) {
        self.logged |= !profile.log.is_silent();
        self.pairs.insert((from, to), self.profiles.len() as u32);
        self.profiles.push(profile);
        if let Some(path) = self.index.get(&(from, to)) {
            self.update_route(*path as usize);
        }
    }

    /// The path from one machine to another. Adds it if it is new.
    pub(crate) fn path(&mut self, from: HostIndex, to: HostIndex) -> PathIndex {
        if let Some(path) = self.index.get(&(from, to)) {
            return *path;
        }
        let index = self.paths.len() as PathIndex;
        let route = self.route(from, to);
        self.paths.push(Path {
            from,
            to,
            route,
            is_partitioned: self.partitions.contains(from, to),
            clogged: from != to && self.clogs.contains(from, to),
            free_at: 0,
            last_arrival: 0,
            released_at: 0,
            sent: 0,
            impaired: self.impaired(route, from, to),
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
        let path = &self.paths[path as usize];
        match path.route {
            Route::Loopback => true,
            Route::Link(link) => {
                let profile = path.impaired.as_deref().unwrap_or(&self.profiles[link as usize]);
                profile.allows_segmentation_offload()
            }
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

    /// Begins or heals a partition of an owner, in one direction.
    pub(crate) fn partition(
        &mut self,
        owner: Option<u64>,
        from: &[HostIndex],
        to: &[HostIndex],
        on: bool,
    ) {
        self.partitions.set(owner, from, to, on);
        for path in &mut self.paths {
            path.is_partitioned = self.partitions.contains(path.from, path.to);
        }
    }

    /// The partitions of all owners.
    pub(crate) fn partitions(&self) -> &Partitions {
        &self.partitions
    }

    /// Heals the partitions of all owners. Returns whether there were any.
    pub(crate) fn heal_all(&mut self) -> bool {
        self.paths.iter_mut().for_each(|path| path.is_partitioned = false);
        self.partitions.heal_all()
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
                let at = now + LOOPBACK_LATENCY;
                return Fate::Arrives { at, copy_at: None, deferred: false, overtakes: false };
            }
            Route::None => return Fate::NoRoute,
            Route::Link(link) => link,
        };
        let profile = path.impaired.as_deref().unwrap_or(&self.profiles[link as usize]);
        if path.is_partitioned {
            return Fate::Partitioned;
        }
        engine.set_lane(u64::from(path.from) << 32 | u64::from(path.to));
        let loss = profile.loss_of(bytes);
        if loss > 0.0 && engine.chance(draw.loss(), loss) {
            return Fate::Lost;
        }
        let departs = match profile.bandwidth {
            None => Some(now),
            Some(bandwidth) if bandwidth.shared => {
                bandwidth.pass(self.shared_free_at.entry(link).or_default(), now, bytes)
            }
            Some(bandwidth) => bandwidth.pass(&mut path.free_at, now, bytes),
        };
        let Some(departs) = departs else { return Fate::QueueFull };
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
        let copy_at = copy_arrival(engine, profile, draw, departs, nth + 1, order);
        let overtakes = at < order.last_sent_arrival;
        order.last_sent_arrival = at;
        path.last_arrival = path.last_arrival.max(at);
        Fate::Arrives { at, copy_at, deferred, overtakes }
    }
}

/// Returns when the packet's duplicate arrives, if the link duplicates the packet.
#[inline]
fn copy_arrival(
    engine: &Engine,
    profile: &NetworkProfile,
    draw: PacketAddress,
    departs: u64,
    nth: u64,
    order: &FlowOrder,
) -> Option<u64> {
    let is_duplicated =
        profile.duplication > 0.0 && engine.chance(draw.duplicate(), profile.duplication);
    is_duplicated.then(|| {
        let unit = || engine.unit(draw.copy_latency());
        let copy_at = departs.saturating_add(profile.latency.sample(unit, nth));
        // The duplicate does not overtake packets that were sent before it.
        if profile.in_order { copy_at.max(order.latest_in_order) } else { copy_at }
    })
}

impl Bandwidth {
    /// Returns when a packet has passed the bottleneck, which is free from `free_at` on; `None` if the queue is full.
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
