//! Zones and the links between them; the way from one machine to another, and what becomes of a packet on it.
//!
//! Modelled: a fate for each packet, drawn at (connection and direction, sequence number, transmission); partitions,
//! which take what is sent while they last (what is on the wire, or in a link's queue, still arrives); clogs, which
//! hold what is sent and let it go in order. Loopback takes 10 µs and nothing ever happens on it. Not modelled: hops,
//! and what they share.

use std::collections::{BTreeMap, BTreeSet};

use crate::engine::Engine;
use crate::net::simulated::address::{HostIndex, PathIndex};
use crate::net::simulated::link::address::PacketAddress;
use crate::net::simulated::link::order::FlowOrder;
use crate::net::simulated::link::pairs::Pairs;
use crate::net::simulated::link::profile::{Bandwidth, NetworkProfile};

const LOOPBACK: u64 = 10_000;

/// What becomes of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Arrives {
        at: u64,
        /// When a copy of it arrives.
        again: Option<u64>,
        /// It was held back, beyond its latency.
        held_back: bool,
        /// It overtakes one of its flow that was sent earlier, and that none has overtaken before.
        overtakes: bool,
    },
    /// It would take so long, once the clog is gone.
    Held(u64),
    Lost,
    Cut,
    QueueFull,
    NoRoute,
    /// A rule of the test's chose it.
    Chosen,
}

/// From zone to zone, or from machine to machine, the number of the profile.
type Routes = BTreeMap<(u32, u32), u32>;

pub(crate) struct Links {
    zones: BTreeMap<String, u32>,
    machines: Vec<Location>,
    routes: Routes,
    /// Ways between two machines that are not as their zones'.
    pairs: Routes,
    profiles: Vec<NetworkProfile>,
    /// Some profile logs packets, or did.
    logged: bool,
    /// Inside a zone; and between zones without a link, if anything is there.
    lan: u32,
    default: Option<u32>,
    /// For the links whose machines share their bandwidth: when all that was sent has passed.
    passed: BTreeMap<u32, u64>,
    paths: Vec<Path>,
    index: BTreeMap<(HostIndex, HostIndex), PathIndex>,
    /// Packets that wait for a clog to go, by their slot, with their latency.
    held: BTreeMap<PathIndex, Vec<(u32, u64)>>,
    /// By whose they are.
    cuts: BTreeMap<Option<u64>, Pairs>,
    clogs: Pairs,
    /// The routes, the pairs and the profiles of before the first change.
    before: Option<(Routes, Routes, Vec<NetworkProfile>)>,
}

/// Where a machine is among the zones.
#[derive(Clone, Copy, Debug, Default)]
struct Location {
    zone: u32,
    /// It reaches zones that no link joins to its own, and is reached from there.
    routes_to_all: bool,
}

/// When links had a profile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LinkState {
    Now,
    /// Before the first change. Zones that are not joined count as joined by `lan()`: to join them so breaks nothing.
    Original,
}

/// What is known of the links in one state.
struct Known<'a> {
    routes: &'a Routes,
    pairs: &'a Routes,
    profiles: &'a [NetworkProfile],
    /// Between zones of which nothing was said.
    unsaid: Option<u32>,
}

/// What stays cut when one owner mends its cuts.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct StaysCut {
    /// The other owners that cut the same ways.
    pub(crate) by: BTreeSet<Option<u64>>,
    /// Some way is cut by none of them.
    pub(crate) any_opens: bool,
}

/// Whether the link of that number has this profile.
fn has(profiles: &[NetworkProfile], link: Option<u32>, profile: &NetworkProfile) -> bool {
    let own = link.and_then(|link| profiles.get(link as usize));
    own.is_some_and(|own| own.is_like(profile))
}

/// The way from one machine to another. One line of a cache: each packet looks at it.
#[repr(align(64))]
pub(crate) struct Path {
    pub(crate) from: HostIndex,
    pub(crate) to: HostIndex,
    way: Way,
    cut: bool,
    clogged: bool,
    /// When all that was sent here has passed the link's narrowest place, if that is for these two alone.
    passed_at: u64,
    last_arrival: u64,
    /// When the last packet arrives that a clog had held: no later one overtakes it.
    released_at: u64,
    departed: u64,
}

impl Fate {
    /// The same, so much later.
    pub(crate) fn delayed(self, by: u64) -> Fate {
        match self {
            Fate::Arrives { at, again, held_back, overtakes } => {
                Fate::Arrives { at: at.saturating_add(by), again, held_back, overtakes }
            }
            Fate::Held(latency) => Fate::Held(latency.saturating_add(by)),
            Fate::Lost | Fate::Cut | Fate::QueueFull | Fate::NoRoute | Fate::Chosen => self,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Loopback,
    Link(u32),
    Nowhere,
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
            passed: BTreeMap::new(),
            paths: Vec::new(),
            index: BTreeMap::new(),
            held: BTreeMap::new(),
            cuts: BTreeMap::new(),
            clogs: Pairs::default(),
            before: None,
        }
    }

    /// The zone of that name, which is there from now on.
    pub(crate) fn zone(&mut self, name: &str) -> u32 {
        if let Some(zone) = self.zones.get(name) {
            return *zone;
        }
        let zone = self.zones.len() as u32;
        self.zones.insert(name.to_owned(), zone);
        zone
    }

    /// Puts a machine into a zone.
    pub(crate) fn place(&mut self, machine: HostIndex, zone: u32, routes_to_all: bool) {
        let index = machine as usize;
        if self.machines.len() <= index {
            self.machines.resize(index + 1, Location::default());
        }
        self.machines[index] = Location { zone, routes_to_all };
    }

    /// The zone that a machine is in.
    pub(crate) fn zone_of(&self, machine: HostIndex) -> u32 {
        self.machines[machine as usize].zone
    }

    pub(crate) fn known_zone(&self, name: &str) -> Option<u32> {
        self.zones.get(name).copied()
    }

    /// Joins two zones in one direction, or gives their link another profile.
    pub(crate) fn join(&mut self, from: u32, to: u32, profile: NetworkProfile) {
        self.logged |= !profile.log.is_silent();
        match self.routes.get(&(from, to)) {
            Some(link) => self.profiles[*link as usize] = profile,
            None => {
                self.routes.insert((from, to), self.profiles.len() as u32);
                self.profiles.push(profile);
            }
        }
        self.find_ways();
    }

    /// As [`join`](Self::join), until it is [restored](Self::restore).
    pub(crate) fn rejoin(&mut self, from: u32, to: u32, profile: NetworkProfile) {
        self.remember();
        self.join(from, to, profile);
    }

    /// What is changed from here on is [restored](Self::restore).
    pub(crate) fn remember(&mut self) {
        if self.before.is_none() {
            let (routes, pairs) = (self.routes.clone(), self.pairs.clone());
            self.before = Some((routes, pairs, self.profiles.clone()));
        }
    }

    /// Undoes every change since [`remember`](Self::remember); false if every way has the profile that it had then.
    pub(crate) fn restore(&mut self) -> bool {
        let Some((routes, pairs, profiles)) = self.before.take() else { return false };
        let changed_routes = std::mem::replace(&mut self.routes, routes);
        let changed_pairs = std::mem::replace(&mut self.pairs, pairs);
        let changed_profiles = std::mem::replace(&mut self.profiles, profiles);
        self.find_ways();
        let profile = |link: &u32| &changed_profiles[*link as usize];
        let mut routes = changed_routes.iter();
        let mut pairs = changed_pairs.iter();
        let now = LinkState::Now;
        routes.any(|((from, to), link)| !self.has_profile(now, *from, *to, profile(link)))
            || pairs
                .any(|((from, to), link)| !self.has_profile_between(now, *from, *to, profile(link)))
    }

    /// Whether the link from one zone to another has this profile in that state; false where no link is.
    pub(crate) fn has_profile(
        &self,
        state: LinkState,
        from: u32,
        to: u32,
        profile: &NetworkProfile,
    ) -> bool {
        let Known { routes, profiles, unsaid, .. } = self.known(state);
        let unsaid = if from == to { Some(self.lan) } else { unsaid };
        has(profiles, routes.get(&(from, to)).copied().or(unsaid), profile)
    }

    /// As [`has_profile`](Self::has_profile), of the way from one machine to another.
    pub(crate) fn has_profile_between(
        &self,
        state: LinkState,
        from: HostIndex,
        to: HostIndex,
        profile: &NetworkProfile,
    ) -> bool {
        let Known { pairs, profiles, .. } = self.known(state);
        match pairs.get(&(from, to)) {
            Some(link) => has(profiles, Some(*link), profile),
            None => self.has_profile(state, self.zone_of(from), self.zone_of(to), profile),
        }
    }

    fn known(&self, state: LinkState) -> Known<'_> {
        let now = Known {
            routes: &self.routes,
            pairs: &self.pairs,
            profiles: &self.profiles,
            unsaid: self.default,
        };
        match (state, &self.before) {
            (LinkState::Now, _) => now,
            (LinkState::Original, None) => Known { unsaid: self.default.or(Some(self.lan)), ..now },
            (LinkState::Original, Some((routes, pairs, profiles))) => {
                Known { routes, pairs, profiles, unsaid: self.default.or(Some(self.lan)) }
            }
        }
    }

    fn find_ways(&mut self) {
        for at in 0..self.paths.len() {
            let (from, to) = (self.paths[at].from, self.paths[at].to);
            self.paths[at].way = self.way(from, to);
        }
    }

    /// Gives the way from one machine to another a profile of its own.
    pub(crate) fn join_pair(&mut self, from: HostIndex, to: HostIndex, profile: NetworkProfile) {
        self.logged |= !profile.log.is_silent();
        self.pairs.insert((from, to), self.profiles.len() as u32);
        self.profiles.push(profile);
        if let Some(path) = self.index.get(&(from, to)) {
            self.paths[*path as usize].way = self.way(from, to);
        }
    }

    fn is_cut(&self, from: HostIndex, to: HostIndex) -> bool {
        from != to && self.cuts.values().any(|cuts| cuts.has(from, to))
    }

    /// The way from one machine to another; it is there from the first packet on.
    pub(crate) fn path(&mut self, from: HostIndex, to: HostIndex) -> PathIndex {
        if let Some(path) = self.index.get(&(from, to)) {
            return *path;
        }
        let index = self.paths.len() as PathIndex;
        self.paths.push(Path {
            from,
            to,
            way: self.way(from, to),
            cut: self.is_cut(from, to),
            clogged: from != to && self.clogs.has(from, to),
            passed_at: 0,
            last_arrival: 0,
            released_at: 0,
            departed: 0,
        });
        self.index.insert((from, to), index);
        index
    }

    pub(crate) fn ends(&self, path: PathIndex) -> (HostIndex, HostIndex) {
        let path = &self.paths[path as usize];
        (path.from, path.to)
    }

    /// When the last of all packets arrives that were sent on a way.
    pub(crate) fn last_arrival(&self, path: PathIndex) -> u64 {
        self.paths[path as usize].last_arrival
    }

    pub(crate) fn has_route(&self, from: HostIndex, to: HostIndex) -> bool {
        self.way(from, to) != Way::Nowhere
    }

    /// The most bytes that one packet has between the two, its IP header included.
    pub(crate) fn mtu(&self, from: HostIndex, to: HostIndex) -> u16 {
        match self.way(from, to) {
            Way::Link(link) => self.profiles[link as usize].mtu,
            Way::Loopback | Way::Nowhere => u16::MAX,
        }
    }

    /// Whether bursts may travel as one there.
    pub(crate) fn cannot_tell_bursts(&self, path: PathIndex) -> bool {
        match self.paths[path as usize].way {
            Way::Loopback => true,
            Way::Link(link) => self.profiles[link as usize].cannot_tell_bursts(),
            Way::Nowhere => false,
        }
    }

    /// Whether any packets may be logged: most runs need not ask for each.
    pub(crate) fn are_logged(&self) -> bool {
        self.logged
    }

    /// The link's profile; loopback has none.
    pub(crate) fn profile(&self, path: PathIndex) -> Option<&NetworkProfile> {
        match self.paths[path as usize].way {
            Way::Link(link) => Some(&self.profiles[link as usize]),
            Way::Loopback | Way::Nowhere => None,
        }
    }

    pub(crate) fn cut(
        &mut self,
        owner: Option<u64>,
        from: &[HostIndex],
        to: &[HostIndex],
        on: bool,
    ) {
        self.cuts.entry(owner).or_default().set(from, to, on);
        for at in 0..self.paths.len() {
            self.paths[at].cut = self.is_cut(self.paths[at].from, self.paths[at].to);
        }
    }

    /// Whether [`cut`](Self::cut) would change any way, as far as this owner goes.
    pub(crate) fn would_cut(
        &self,
        owner: Option<u64>,
        from: &[HostIndex],
        to: &[HostIndex],
        on: bool,
    ) -> bool {
        match self.cuts.get(&owner) {
            Some(cuts) => cuts.would_change(from, to, on),
            None => Pairs::default().would_change(from, to, on),
        }
    }

    /// What of the ways from any of `from` to any of `to` that this owner cuts stays cut when it mends them.
    pub(crate) fn stays_cut(
        &self,
        owner: Option<u64>,
        from: &[HostIndex],
        to: &[HostIndex],
    ) -> StaysCut {
        let ways = from.iter().flat_map(|from| to.iter().map(move |to| (*from, *to)));
        let is_own = |(from, to): &(HostIndex, HostIndex)| {
            from != to && self.cuts.get(&owner).is_some_and(|own| own.has(*from, *to))
        };
        let mut stays = StaysCut::default();
        for (from, to) in ways.filter(is_own) {
            let others = self.cuts.iter().filter(|(other, _)| **other != owner);
            let holders: Vec<_> = others.filter(|(_, cuts)| cuts.has(from, to)).collect();
            stays.any_opens |= holders.is_empty();
            stays.by.extend(holders.into_iter().map(|(holder, _)| *holder));
        }
        stays
    }

    /// Mends all that anyone has cut; false if nothing was cut.
    pub(crate) fn mend_all(&mut self) -> bool {
        let was_cut = self.cuts.values().any(Pairs::is_any);
        self.cuts.clear();
        self.paths.iter_mut().for_each(|path| path.cut = false);
        was_cut
    }

    /// Whether [`clog`](Self::clog) would change any way.
    pub(crate) fn would_clog(&self, from: &[HostIndex], to: &[HostIndex], on: bool) -> bool {
        self.clogs.would_change(from, to, on)
    }

    pub(crate) fn is_any_clogged(&self) -> bool {
        self.clogs.is_any()
    }

    /// Clogs or unclogs; what was held comes back, with the time at which each arrives.
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

    /// How many packets wait for a clog to go.
    pub(crate) fn held(&self) -> usize {
        self.held.values().map(Vec::len).sum()
    }

    fn apply_clogs(&mut self, now: u64) -> Vec<(u32, u64)> {
        let mut released = Vec::new();
        for (index, path) in (0..).zip(&mut self.paths) {
            path.clogged = path.from != path.to && self.clogs.has(path.from, path.to);
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

    fn way(&self, from: HostIndex, to: HostIndex) -> Way {
        if from == to {
            return Way::Loopback;
        }
        if let Some(link) = self.pairs.get(&(from, to)) {
            return Way::Link(*link);
        }
        let (from, to) = (&self.machines[from as usize], &self.machines[to as usize]);
        let said = self.routes.get(&(from.zone, to.zone)).copied();
        let unsaid = if from.zone == to.zone {
            Some(self.lan)
        } else if from.routes_to_all || to.routes_to_all {
            Some(self.default.unwrap_or(self.lan))
        } else {
            self.default
        };
        said.or(unsaid).map_or(Way::Nowhere, Way::Link)
    }

    /// Draws what becomes of a packet of so many bytes that leaves now, and is the next of its flow.
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
        let link = match path.way {
            Way::Loopback => {
                return Fate::Arrives {
                    at: now + LOOPBACK,
                    again: None,
                    held_back: false,
                    overtakes: false,
                };
            }
            Way::Nowhere => return Fate::NoRoute,
            Way::Link(link) => link,
        };
        let profile = &self.profiles[link as usize];
        if path.cut {
            return Fate::Cut;
        }
        engine.set_lane(u64::from(path.from) << 32 | u64::from(path.to));
        let loss = profile.loss_of(bytes);
        if loss > 0.0 && engine.chance(draw.loss(), loss) {
            return Fate::Lost;
        }
        let departs = match profile.bandwidth {
            None => now,
            Some(bandwidth) => {
                let passed_at = match bandwidth.shared {
                    true => self.passed.entry(link).or_default(),
                    false => &mut path.passed_at,
                };
                match bandwidth.pass(passed_at, now, bytes) {
                    Some(at) => at,
                    None => return Fate::QueueFull,
                }
            }
        };
        let nth = path.departed;
        path.departed += 1;
        let unit = || engine.unit(draw.latency());
        let mut at = departs.saturating_add(profile.latency.sample(unit, nth));
        if path.clogged {
            return Fate::Held(at - now);
        }
        if profile.in_order {
            at = at.max(order.in_order).max(path.released_at);
        }
        order.in_order = order.in_order.max(at);
        let (rate, longest) = profile.reorder;
        let held_back = rate > 0.0 && engine.chance(draw.reorder(), rate);
        if held_back {
            let unit = engine.unit(draw.hold());
            at = at.saturating_add((unit * longest as f64) as u64);
        }
        let again = (profile.duplication > 0.0
            && engine.chance(draw.duplicate(), profile.duplication))
        .then(|| {
            let unit = || engine.unit(draw.copy_latency());
            let again = departs.saturating_add(profile.latency.sample(unit, nth + 1));
            // A copy does not come before the packets that were sent before it.
            if profile.in_order { again.max(order.in_order) } else { again }
        });
        let overtakes = at < order.not_overtaken;
        order.not_overtaken = at;
        path.last_arrival = path.last_arrival.max(at);
        Fate::Arrives { at, again, held_back, overtakes }
    }
}

impl Bandwidth {
    /// When a packet has passed the narrow place, which is free from `passed_at` on; `None` when the queue in front of it
    /// is full.
    fn pass(self, passed_at: &mut u64, now: u64, bytes: u64) -> Option<u64> {
        const SECOND: u128 = 1_000_000_000;
        let rate = u128::from(self.bytes_per_second);
        let waiting = u128::from(passed_at.saturating_sub(now)) * rate / SECOND;
        if waiting > 0 && waiting + u128::from(bytes) > u128::from(self.queue) {
            return None;
        }
        let takes = (u128::from(bytes) * SECOND / rate) as u64;
        *passed_at = (*passed_at).max(now).saturating_add(takes);
        Some(*passed_at)
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
        /// What becomes of a packet where every draw is calm, as it is for the dead.
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

        /// The calm fate of a packet of one flow, sent at 0.
        fn next_fate(&mut self, path: PathIndex, order: &mut FlowOrder) -> Fate {
            let engine = rig::engine(0);
            engine.set_scope(Scope { alive: false, ..Scope::HARNESS });
            self.fate(&engine, path, 0, 1, DRAW, order)
        }
    }

    /// Two machines in one zone, one in another.
    fn with_machines(mut links: Links) -> Links {
        let (a, b) = (links.zone("a"), links.zone("b"));
        for (machine, zone) in (0..).zip([a, a, b]) {
            links.place(machine, zone, false);
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
    fn what_is_not_said_is_not_there() {
        let mut links = with_machines(Links::new(None));
        assert!(links.has_route(0, 1) && links.has_route(1, 1));
        assert!(!links.has_route(0, 2));
        let path = links.path(0, 2);
        assert_eq!(links.calm_fate(path, 0, 100, DRAW), Fate::NoRoute);
        links.join(0, 1, NetworkProfile::ideal_fixed());
        assert_eq!(arrival(links.calm_fate(path, 0, 100, DRAW)), 50 * MS);
        assert!(links.has_route(1, 2) && !links.has_route(2, 0));
        links.place(2, links.zone_of(2), true);
        assert!(links.has_route(2, 0));
        assert!(with_machines(Links::new(Some(NetworkProfile::lan()))).has_route(0, 2));
    }

    #[test]
    fn cuts_have_a_direction_and_end() {
        let mut links = with_machines(Links::new(Some(NetworkProfile::ideal_fixed())));
        let there = links.path(0, 2);
        links.cut(None, &[0, 2], &[2], true);
        let back = links.path(2, 0);
        let own = links.path(2, 2);
        assert_eq!(links.calm_fate(there, 0, 1, DRAW), Fate::Cut);
        assert_eq!(arrival(links.calm_fate(back, 0, 1, DRAW)), 50 * MS);
        assert_eq!(arrival(links.calm_fate(own, 0, 1, DRAW)), LOOPBACK);
        links.mend_all();
        assert_eq!(arrival(links.calm_fate(there, 0, 1, DRAW)), 50 * MS);
    }

    #[test]
    fn what_two_have_cut_both_must_mend() {
        let mut links = with_machines(Links::new(Some(NetworkProfile::ideal_fixed())));
        let path = links.path(0, 2);
        for owner in [None, Some(7)] {
            links.cut(owner, &[0], &[2], true);
        }
        links.cut(Some(7), &[0], &[2], false);
        assert_eq!(links.calm_fate(path, 0, 1, DRAW), Fate::Cut);
        links.cut(None, &[0], &[2], false);
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
        links.remember();
        links.join_pair(0, 2, NetworkProfile::fixed(Duration::from_millis(3)));
        assert_eq!(arrival(links.calm_fate(path, 0, 1, DRAW)), 3 * MS);
        assert!(links.has_route(2, 0) && links.restore());
        assert_eq!(arrival(links.calm_fate(path, 0, 1, DRAW)), 50 * MS);
        assert!(!links.has_route(2, 0));
    }

    #[test]
    fn a_narrow_link_queues_and_then_drops() {
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

    /// From either machine of the zone to the other zone's, and not on the way back.
    #[test]
    fn a_shared_link_has_one_queue_for_all() {
        let shared = |shared: bool| {
            let profile = NetworkProfile::fixed(Duration::from_millis(1));
            let profile = match shared {
                true => profile.shared_bandwidth(1_000_000, 2_500),
                false => profile.bandwidth(1_000_000, 2_500),
            };
            let mut links = with_machines(Links::new(None));
            links.join(0, 1, profile.clone());
            links.join(1, 0, profile);
            let ways = [(0, 2), (1, 2), (2, 0)].map(|(from, to)| links.path(from, to));
            let [one, two, back] = ways;
            [one, two, one, back].map(|path| links.calm_fate(path, 0, 1_000, DRAW))
        };
        let at = |ms: u64| Fate::Arrives {
            at: ms * MS,
            again: None,
            held_back: false,
            overtakes: false,
        };
        assert_eq!(shared(true), [at(2), at(3), Fate::QueueFull, at(2)]);
        assert_eq!(shared(false), [at(2), at(2), at(3), at(2)]);
    }

    #[test]
    fn falling_latency_overtakes_and_order_can_be_kept() {
        let mut links = with_machines(Links::new(Some(NetworkProfile::reverse_latency())));
        let path = links.path(0, 2);
        let mut order = FlowOrder::default();
        assert_eq!(arrival(links.next_fate(path, &mut order)), 50 * MS);
        assert_eq!(
            links.next_fate(path, &mut order),
            Fate::Arrives { at: 48 * MS, again: None, held_back: false, overtakes: true }
        );
        assert_eq!(
            links.next_fate(path, &mut FlowOrder::default()),
            Fate::Arrives { at: 46 * MS, again: None, held_back: false, overtakes: false },
            "another flow"
        );
        links.join(0, 1, NetworkProfile::reverse_latency().in_order(true));
        assert_eq!(arrival(links.next_fate(path, &mut order)), 50 * MS);
        assert_eq!(arrival(links.next_fate(path, &mut FlowOrder::default())), 42 * MS);
    }

    /// Jitter of every distribution, seeded: the packets of one flow never overtake each other, those of two do.
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
                let Fate::Arrives { at, again, overtakes, .. } = fate else { continue };
                assert!(!overtakes && at >= last[flow], "{profile:?}");
                assert!(again.is_none_or(|again| again >= last[flow]), "{profile:?}");
                overtakes_another_flow |= at < last[1 - flow];
                last[flow] = at;
            }
            assert!(overtakes_another_flow, "{profile:?}");
        }
    }

    /// The rate of its own is what was asked for, and the packets that are not held back keep their order.
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
    fn a_released_clog_is_not_overtaken_by_what_follows() {
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
    fn a_clog_holds_and_releases_in_order() {
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

    /// A link that keeps the order lets the others pass what it holds back, and keeps the order of these.
    #[test]
    fn what_is_held_back_is_overtaken_where_all_else_is_in_order() {
        let mut links =
            with_machines(Links::new(Some(NetworkProfile::fixed(Duration::from_millis(50)))));
        let path = links.path(0, 2);
        let millis = Duration::from_millis;
        let held = NetworkProfile::fixed(millis(50)).in_order(true).reorder(1.0, millis(40));
        links.join(0, 1, held);
        // Outside a run a draw holds nothing back: so this one is made late by hand.
        let mut order = FlowOrder { in_order: 0, not_overtaken: 90 * MS };
        let fate = links.next_fate(path, &mut order);
        assert_eq!(
            fate,
            Fate::Arrives { at: 50 * MS, again: None, held_back: false, overtakes: true }
        );
    }

    /// Outside a run every draw is calm: nothing is lost, and latency is the median.
    #[test]
    fn calm_draws_do_nothing() {
        let profile =
            NetworkProfile::mobile_3g().duplication(0.5).reorder(0.5, Duration::from_secs(1));
        let mut links = with_machines(Links::new(Some(profile)));
        let path = links.path(0, 2);
        assert_eq!(
            links.calm_fate(path, 0, 1, DRAW),
            Fate::Arrives { at: 300 * MS, again: None, held_back: false, overtakes: false }
        );
    }
}
