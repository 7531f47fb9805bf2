//! Whether the strikes of a run take place at times or at events of the program.

use crate::chaos::pace::Strike;
use crate::chaos::swarm::fault::{EVENT, NTH};
use crate::engine::draws::address::Address;
use crate::engine::event_waits::AwaitedEvent;
use crate::engine::{self, MachineId, context};

/// When the strikes of a run take place.
#[derive(Clone, Copy, Debug)]
pub(super) enum Moments {
    /// At the times of the tempo.
    Times,
    /// At the next events after these times.
    Events,
}

/// When a strike takes place that is due by its tempo.
pub(super) enum Moment {
    Now,
    /// At the n-th event of this kind, of machines that the plan may hit.
    Event(fn(Vec<MachineId>) -> AwaitedEvent, u32),
    /// At the n-th pass of a fault point.
    Point(String, u32),
}

/// The field of a plan's settings that contains its moments, after its aim.
const MOMENTS: u64 = 76;

impl Moments {
    /// Draws when the strikes of a run take place. In one run of three, they do at events.
    pub(super) fn drawn(plan: u64) -> Self {
        match engine::setting_below(Address::plan_setting(plan, MOMENTS), 3) {
            2 => Self::Events,
            _ => Self::Times,
        }
    }

    /// Draws when a strike takes place. If the program has passed fault points so far, half of the
    /// strikes at events are at a fault point.
    pub(super) fn of(self, strike: Strike) -> Moment {
        let nth = 1 + strike.below(NTH, 4) as u32;
        let points = context::try_with(|engine| engine.points.known()).unwrap_or_default();
        match (self, strike.below(EVENT, 4)) {
            (Self::Times, _) => Moment::Now,
            (Self::Events, drawn @ (2 | 3)) if !points.is_empty() => {
                let chosen = strike.below(EVENT + 1, points.len() as u64) as usize;
                match points.into_iter().nth(chosen) {
                    Some(point) => Moment::Point(point, nth),
                    None => Moment::Event(AwaitedEvent::Packet, drawn as u32),
                }
            }
            (Self::Events, 0 | 2) => Moment::Event(AwaitedEvent::Packet, nth),
            (Self::Events, _) => Moment::Event(AwaitedEvent::Commit, nth),
        }
    }
}
