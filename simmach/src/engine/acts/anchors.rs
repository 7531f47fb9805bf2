//! Anchors: events of machines that acts are bound to, instead of a time.
//!
//! For example, a bug may need a power-off between two commits. A power-off that is bound to a time
//! triggers the bug only by chance. A power-off that is bound to the first commit still triggers
//! the bug when other latencies are drawn or steps are left out.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::engine::acts::When;
use crate::engine::ids::MachineId;

/// An event that acts can be bound to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(crate) enum AnchorEvent {
    /// A machine commits a transaction.
    Commit { machine: MachineId },
    /// A machine sends a packet. The port is that of the service: the smaller one of the packet's
    /// two ports.
    Packet { from: MachineId, to: MachineId, port: u16 },
    /// Code on a machine passes a fault point; `point` is a hash of its name.
    Point { machine: MachineId, point: u64 },
}

/// The `nth` event of a kind, counted from 1 since the step or the start of the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct Anchor {
    pub(crate) event: AnchorEvent,
    pub(crate) nth: u32,
}

/// The events since the last step of the program: the number of each kind, and the time of the last
/// one in virtual nanoseconds.
#[derive(Debug, Default)]
pub(crate) struct AnchorCounts(BTreeMap<AnchorEvent, (u32, u64)>);

/// Maximum number of anchors that are recorded for an act.
const MAX_ANCHORS: usize = 3;

impl AnchorEvent {
    fn concerns(&self, machines: &[MachineId]) -> bool {
        match self {
            Self::Commit { machine } | Self::Point { machine, .. } => machines.contains(machine),
            Self::Packet { from, to, .. } => machines.contains(from) || machines.contains(to),
        }
    }
}

impl AnchorCounts {
    pub(crate) fn count(&mut self, event: AnchorEvent, now: u64) {
        let (count, at) = self.0.entry(event).or_default();
        (*count, *at) = (*count + 1, now);
    }

    /// The last event of a kind, counted from the step.
    pub(crate) fn last(&self, event: AnchorEvent) -> Option<Anchor> {
        self.0.get(&event).map(|(nth, _)| Anchor { event, nth: *nth })
    }

    /// Begins to count anew, at the beginning of a step.
    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    /// The last events that concern these machines, as times that an act `now` could be bound to: the nearest first.
    pub(crate) fn nearest(
        &self,
        machines: &[MachineId],
        step: Option<(u64, u64)>,
        now: u64,
    ) -> Vec<When> {
        let own = self.0.iter().filter(|(event, _)| event.concerns(machines));
        let mut nearest: Vec<When> = own
            .map(|(event, (nth, at))| When {
                step,
                anchor: Some(Anchor { event: *event, nth: *nth }),
                offset: now - at,
                place: 0,
            })
            .collect();
        nearest.sort_by_key(|when| when.offset);
        nearest.truncate(MAX_ANCHORS);
        nearest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nearest_events_of_a_machine_come_first() {
        let [a, b] = [MachineId(0), MachineId(1)];
        let commit = |machine| AnchorEvent::Commit { machine };
        let packet = AnchorEvent::Packet { from: b, to: a, port: 80 };
        let mut counts = AnchorCounts::default();
        counts.count(commit(a), 10);
        counts.count(commit(b), 12);
        counts.count(packet, 15);
        counts.count(commit(a), 17);
        let found: Vec<_> = counts
            .nearest(&[a], Some((7, 3)), 20)
            .into_iter()
            .map(|when| (when.anchor, when.offset, when.step))
            .collect();
        let anchor = |event, nth| Some(Anchor { event, nth });
        assert_eq!(
            found,
            [(anchor(commit(a), 2), 3, Some((7, 3))), (anchor(packet, 1), 5, Some((7, 3)))]
        );
        counts.clear();
        assert_eq!(counts.nearest(&[a, b], None, 20), []);
    }
}
