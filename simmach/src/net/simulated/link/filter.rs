//! Packet filters of a test, which drop or delay selected packets.
//!
//! A filter sees each packet when the packet is sent, before the link draws the packet's fate. On a
//! path with a filter, segmentation offload is off, so that the filter sees every segment of a
//! burst.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::engine::acts::PacketVerdict;
use crate::engine::{self, RunId};
use crate::net::simulated::address::HostIndex;
use crate::net::simulated::link::profile::PacketInfo;
use crate::net::simulated::tcp::config::nanos;

/// Decision of a packet filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PacketFate {
    /// Lets the link decide.
    Pass,
    /// Drops the packet.
    Drop,
    /// Delays the packet beyond its link's latency. Later packets can overtake it.
    Delay(Duration),
}

/// Guard of a packet filter, returned by [`Sim::filter_packets`](crate::Sim::filter_packets).
/// Dropping the guard removes the filter.
#[derive(Debug)]
#[must_use = "dropping the guard removes the filter; call `keep` to leave it in place"]
pub struct PacketFilter {
    run: RunId,
    id: u64,
    remove: fn(RunId, u64),
}

impl PacketFilter {
    pub(crate) fn new(run: RunId, id: u64, remove: fn(RunId, u64)) -> Self {
        Self { run, id, remove }
    }

    /// The number of the filter.
    pub(crate) fn number(&self) -> u64 {
        self.id
    }

    /// Leaves the filter in place until [`settle`](crate::Sim::settle) or the end of the run.
    pub fn keep(self) {
        std::mem::forget(self);
    }
}

impl Drop for PacketFilter {
    fn drop(&mut self) {
        (self.remove)(self.run, self.id);
    }
}

pub(crate) type FilterFn = Box<dyn FnMut(&PacketInfo<'_>) -> PacketFate>;

/// What a filter decides by.
pub(crate) enum Choice {
    /// A function of the test.
    Function(FilterFn),
    /// The decisions of an earlier run, by the address of the packet and its number among those with this address. All other
    /// packets pass.
    Recorded(BTreeMap<([u64; 3], u32), PacketFate>),
}

impl Choice {
    fn decide(&mut self, info: &PacketInfo<'_>, packet: ([u64; 3], u32)) -> PacketFate {
        match self {
            Self::Function(choose) => engine::catch_test_panic(PacketFate::Pass, || choose(info)),
            Self::Recorded(fates) => fates.get(&packet).copied().unwrap_or(PacketFate::Pass),
        }
    }
}

/// The filters of a run, in the order they were added.
#[derive(Default)]
pub(crate) struct Filters {
    filters: Vec<Filter>,
    last_id: u64,
}

struct Filter {
    id: u64,
    from: Vec<HostIndex>,
    to: Vec<HostIndex>,
    /// Number of packets seen, for each pair of machines.
    seen: BTreeMap<(HostIndex, HostIndex), u64>,
    choice: Choice,
    /// Number of packets seen, by their address.
    addresses: BTreeMap<[u64; 3], u32>,
}

impl Filters {
    pub(crate) fn add(&mut self, from: Vec<HostIndex>, to: Vec<HostIndex>, choice: Choice) -> u64 {
        self.last_id += 1;
        let addresses = BTreeMap::new();
        self.filters.push(Filter {
            id: self.last_id,
            from,
            to,
            seen: BTreeMap::new(),
            choice,
            addresses,
        });
        self.last_id
    }

    /// Returns what the removed filter decided by. The caller drops it while no state is borrowed, since its drop is user code.
    pub(crate) fn remove(&mut self, id: u64) -> Option<Choice> {
        let at = self.filters.iter().position(|filter| filter.id == id)?;
        Some(self.filters.remove(at).choice)
    }

    pub(crate) fn clear(&mut self) -> Vec<Choice> {
        self.filters.drain(..).map(|filter| filter.choice).collect()
    }

    /// Whether any filter applies to packets from `from` to `to`.
    pub(crate) fn has_any_for(&self, from: HostIndex, to: HostIndex) -> bool {
        self.filters.iter().any(|filter| filter.matches(from, to))
    }

    /// Asks the filters in order about the packet with this address. The first that does not pass the packet decides; the
    /// others still count it.
    pub(crate) fn decide(
        &mut self,
        from: HostIndex,
        to: HostIndex,
        packet: [u64; 3],
        info: &mut PacketInfo<'_>,
    ) -> PacketFate {
        let mut fate = PacketFate::Pass;
        for filter in self.filters.iter_mut().filter(|filter| filter.matches(from, to)) {
            let seen = filter.seen.entry((from, to)).or_insert(0);
            *seen += 1;
            info.nth = *seen;
            let nth = filter.addresses.entry(packet).or_insert(0);
            *nth += 1;
            let nth = *nth;
            if fate == PacketFate::Pass {
                fate = filter.choice.decide(info, (packet, nth));
                let delay = match fate {
                    PacketFate::Pass => continue,
                    PacketFate::Drop => None,
                    PacketFate::Delay(by) => Some(nanos(by)),
                };
                engine::record_verdict(filter.id, PacketVerdict { packet, nth, delay });
            }
        }
        fate
    }
}

impl Filter {
    fn matches(&self, from: HostIndex, to: HostIndex) -> bool {
        self.from.contains(&from) && self.to.contains(&to)
    }
}
