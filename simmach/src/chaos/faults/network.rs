//! Faults of the network between the victims and the other machines that the plan may hit, here
//! called the others.

use crate::chaos::fault::Fault;
use crate::chaos::hit::Hit;
use crate::chaos::target::selector;
use crate::machine::Selector;
use crate::sim::{self, ControlError, Idle};

/// Partitions the network between the victims and the other machines that the plan may hit.
///
/// The target decides how many machines are on the victims' side:
/// [`Target::minority`](crate::Target::minority) and [`Target::majority`](crate::Target::majority)
/// separate the machines into two groups.
#[derive(Clone, Copy, Debug)]
pub struct Isolate;

/// Partitions the network between the victims and the other machines that the plan may hit, except one
/// of them, which still reaches both sides. Each strike draws this machine.
///
/// It needs at least two other machines. Otherwise, a strike does nothing.
#[derive(Clone, Copy, Debug)]
pub struct Bridge;

/// Drops the packets in one direction between the victims and the other machines that the plan may
/// hit. Each strike draws the direction.
#[derive(Clone, Copy, Debug)]
pub struct OneWay;

/// Holds back the packets in one direction between the victims and the other machines that the plan
/// may hit. Each strike draws the direction.
///
/// The packets arrive when the fault is undone.
#[derive(Clone, Copy, Debug)]
pub struct Clog;

/// The number of the draw that selects the direction.
const DIRECTION: u32 = 0;

/// Returns the direction of a strike: from the victims to the others, or the reverse.
pub(super) fn direction(hit: &Hit) -> (Selector, Selector) {
    match hit.below(DIRECTION, 2) {
        0 => (hit.victims(), hit.others()),
        _ => (hit.others(), hit.victims()),
    }
}

/// The plan that owns the strike's partitions. A plan heals only its own partitions.
fn owner(hit: &Hit) -> Option<u64> {
    hit.strike()?.owner()
}

pub(super) fn has_nothing_to_do(hit: &Hit) -> bool {
    hit.other_ids().is_empty()
}

/// Defines the methods that are the same for all faults of the network.
macro_rules! network_fault {
    () => {
        fn is_made_of_calls(&self) -> bool {
            true
        }

        fn needs_others(&self) -> bool {
            true
        }
    };
}

pub(super) use network_fault;

impl Fault for Isolate {
    fn name(&self) -> &str {
        "Isolate"
    }

    fn begin(&self, hit: &Hit) -> Result<(), ControlError> {
        if has_nothing_to_do(hit) {
            return Ok(());
        }
        hit.sim().partition_for(owner(hit), &hit.victims(), &hit.others())
    }

    fn end(&self, hit: &Hit) -> Result<(), ControlError> {
        heal(hit, &hit.victims(), &hit.others())
    }

    network_fault!();
}

/// The number of the draw that selects the machine between the sides.
const BRIDGE: u32 = 0;

/// Returns the machines on the other side of a bridge; `None` if there are none.
fn beyond_the_bridge(hit: &Hit) -> Option<Selector> {
    let mut others = hit.other_ids().to_vec();
    if others.len() < 2 {
        return None;
    }
    others.remove(hit.below(BRIDGE, others.len() as u64) as usize);
    Some(selector(others))
}

impl Fault for Bridge {
    fn name(&self) -> &str {
        "Bridge"
    }

    fn begin(&self, hit: &Hit) -> Result<(), ControlError> {
        let Some(beyond) = beyond_the_bridge(hit) else {
            sim::record_idle(Idle::TooFew(
                "a bridge needs at least two machines besides those that it cuts off: name more \
                 machines, or hit fewer at once"
                    .to_owned(),
            ));
            return Ok(());
        };
        hit.sim().partition_for(owner(hit), &hit.victims(), &beyond)
    }

    fn end(&self, hit: &Hit) -> Result<(), ControlError> {
        match beyond_the_bridge(hit) {
            Some(beyond) => heal(hit, &hit.victims(), &beyond),
            None => Ok(()),
        }
    }

    network_fault!();
}

fn heal(hit: &Hit, one: &Selector, other: &Selector) -> Result<(), ControlError> {
    if has_nothing_to_do(hit) {
        return Ok(());
    }
    hit.sim().heal_for(owner(hit), one, other)
}

impl Fault for OneWay {
    fn name(&self) -> &str {
        "OneWay"
    }

    fn begin(&self, hit: &Hit) -> Result<(), ControlError> {
        if has_nothing_to_do(hit) {
            return Ok(());
        }
        let (from, to) = direction(hit);
        hit.sim().partition_one_way_for(owner(hit), &from, &to)
    }

    fn end(&self, hit: &Hit) -> Result<(), ControlError> {
        let (from, to) = direction(hit);
        heal(hit, &from, &to)
    }

    network_fault!();
}

impl Fault for Clog {
    fn name(&self) -> &str {
        "Clog"
    }

    fn begin(&self, hit: &Hit) -> Result<(), ControlError> {
        if has_nothing_to_do(hit) {
            return Ok(());
        }
        let (from, to) = direction(hit);
        hit.sim().clog(from, to)
    }

    fn end(&self, hit: &Hit) -> Result<(), ControlError> {
        if has_nothing_to_do(hit) {
            return Ok(());
        }
        let (from, to) = direction(hit);
        hit.sim().unclog(from, to)
    }

    network_fault!();
}
