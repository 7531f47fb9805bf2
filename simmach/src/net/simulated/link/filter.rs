//! Rules that a test lays on chosen packets: drop this one, delay that one.
//!
//! Modelled: a choice for each packet when it is sent, before its link has any say. A burst that could travel as one is
//! cut into its segments where a rule could tell.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::engine::{self, RunId};
use crate::net::simulated::address::HostIndex;
use crate::net::simulated::link::profile::PacketInfo;

/// What becomes of a packet that a rule has looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PacketFate {
    /// Its link decides.
    Pass,
    /// It is dropped.
    Drop,
    /// It takes so much longer than its link lets it take. Others overtake it.
    Delay(Duration),
}

/// A rule that is laid on packets by [`Sim::filter_packets`](crate::Sim::filter_packets). Dropped, it is lifted.
#[derive(Debug)]
#[must_use = "a rule is lifted when this is dropped: call `keep` to leave it in place"]
pub struct PacketFilter {
    run: RunId,
    id: u64,
    lift: fn(RunId, u64),
}

impl PacketFilter {
    pub(crate) fn new(run: RunId, id: u64, lift: fn(RunId, u64)) -> Self {
        Self { run, id, lift }
    }

    /// Leaves the rule in place until [`settle`](crate::Sim::settle) or the end of the run.
    pub fn keep(self) {
        std::mem::forget(self);
    }
}

impl Drop for PacketFilter {
    fn drop(&mut self) {
        (self.lift)(self.run, self.id);
    }
}

pub(crate) type Choose = Box<dyn FnMut(&PacketInfo<'_>) -> PacketFate>;

/// All rules of a run, in the order in which they were laid.
#[derive(Default)]
pub(crate) struct Filters {
    rules: Vec<Rule>,
    last: u64,
}

struct Rule {
    id: u64,
    from: Vec<HostIndex>,
    to: Vec<HostIndex>,
    /// How many packets it has seen on each way.
    seen: BTreeMap<(HostIndex, HostIndex), u64>,
    choose: Choose,
}

impl Filters {
    pub(crate) fn add(&mut self, from: Vec<HostIndex>, to: Vec<HostIndex>, choose: Choose) -> u64 {
        self.last += 1;
        self.rules.push(Rule { id: self.last, from, to, seen: BTreeMap::new(), choose });
        self.last
    }

    /// What it held comes back, to be dropped where nothing is borrowed: it is the user's.
    pub(crate) fn remove(&mut self, id: u64) -> Option<Choose> {
        let at = self.rules.iter().position(|rule| rule.id == id)?;
        Some(self.rules.remove(at).choose)
    }

    pub(crate) fn clear(&mut self) -> Vec<Choose> {
        self.rules.drain(..).map(|rule| rule.choose).collect()
    }

    /// Whether any rule looks at what `from` sends to `to`.
    pub(crate) fn look_at(&self, from: HostIndex, to: HostIndex) -> bool {
        self.rules.iter().any(|rule| rule.names(from, to))
    }

    /// The first rule that does not let it pass decides. All count it.
    pub(crate) fn choose(
        &mut self,
        from: HostIndex,
        to: HostIndex,
        info: &mut PacketInfo<'_>,
    ) -> PacketFate {
        let mut fate = PacketFate::Pass;
        for rule in self.rules.iter_mut().filter(|rule| rule.names(from, to)) {
            let seen = rule.seen.entry((from, to)).or_insert(0);
            *seen += 1;
            info.nth = *seen;
            if fate == PacketFate::Pass {
                fate = engine::guarded(PacketFate::Pass, || (rule.choose)(info));
            }
        }
        fate
    }
}

impl Rule {
    fn names(&self, from: HostIndex, to: HostIndex) -> bool {
        self.from.contains(&from) && self.to.contains(&to)
    }
}
