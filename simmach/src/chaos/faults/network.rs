//! Faults of the network between the victims and the other machines that the plan may hit.

use std::time::Duration;

use crate::chaos::fault::Fault;
use crate::chaos::hit::Hit;
use crate::chaos::pace::DurationRange;
use crate::machine::Selector;
use crate::net::{PacketFate, PacketInfo};
use crate::sim::{ControlError, Sim};

/// The victims are separated from the others.
#[derive(Clone, Copy, Debug)]
pub struct Isolate;

/// What the victims send to the others is dropped, or what they are sent.
#[derive(Clone, Copy, Debug)]
pub struct OneWay;

/// What the victims send to the others is held back, or what they are sent.
#[derive(Clone, Copy, Debug)]
pub struct Clog;

/// The packets between the victims and the others are late, in one direction.
#[derive(Clone, Copy, Debug)]
pub struct Delay {
    by: DurationRange,
}

/// Some of the packets between the victims and the others are lost, in one direction.
#[derive(Clone, Copy, Debug)]
pub struct Loss {
    most: u64,
}

impl Delay {
    /// Packets are late by this much: drawn for each strike.
    pub fn by(delay: impl Into<DurationRange>) -> Self {
        Self { by: delay.into() }
    }
}

impl Loss {
    /// Up to so many percent of the packets are lost: drawn for each strike.
    pub fn up_to(percent: u32) -> Self {
        Self { most: percent.into() }
    }
}

// The numbers of draws.
const DIRECTION: u32 = 0;
const AMOUNT: u32 = 1;
/// The fates of packets: one number for each.
const PACKETS: u32 = 1 << 16;

/// From the victims to the others, or the other way round.
fn direction(hit: &Hit) -> (Selector, Selector) {
    match hit.below(DIRECTION, 2) {
        0 => (hit.victims(), hit.others()),
        _ => (hit.others(), hit.victims()),
    }
}

/// The plan on whose behalf the network is partitioned. It heals only its own partitions.
fn owner(hit: &Hit) -> Option<u64> {
    hit.strike()?.owner()
}

fn has_nothing_to_do(hit: &Hit) -> bool {
    hit.other_ids().is_empty()
}

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

    fn is_made_of_calls(&self) -> bool {
        true
    }

    fn needs_others(&self) -> bool {
        true
    }
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

    fn is_made_of_calls(&self) -> bool {
        true
    }

    fn needs_others(&self) -> bool {
        true
    }
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

    fn is_made_of_calls(&self) -> bool {
        true
    }

    fn needs_others(&self) -> bool {
        true
    }
}

/// Adds a packet filter until the fault is undone.
fn filter(
    hit: &Hit,
    fate: impl FnMut(&PacketInfo<'_>) -> PacketFate + 'static,
) -> Result<(), ControlError> {
    if has_nothing_to_do(hit) {
        return Ok(());
    }
    let (from, to) = direction(hit);
    let sim: Sim = hit.sim();
    hit.keep(sim.filter_packets(from, to, fate)?);
    Ok(())
}

impl Fault for Delay {
    fn name(&self) -> &str {
        "Delay"
    }

    fn begin(&self, hit: &Hit) -> Result<(), ControlError> {
        let delay: Duration = hit.duration(AMOUNT, self.by);
        filter(hit, move |_| PacketFate::Delay(delay))
    }

    fn end(&self, _: &Hit) -> Result<(), ControlError> {
        Ok(())
    }

    fn is_made_of_calls(&self) -> bool {
        true
    }

    fn needs_others(&self) -> bool {
        true
    }

    fn mistakes(&self) -> Vec<String> {
        self.by.mistake("Delay::by").into_iter().collect()
    }
}

impl Fault for Loss {
    fn name(&self) -> &str {
        "Loss"
    }

    fn begin(&self, hit: &Hit) -> Result<(), ControlError> {
        let percent = 1 + hit.below(AMOUNT, self.most);
        let mut draw = hit.draws_from(PACKETS);
        // The calm value passes the packet.
        filter(hit, move |_| match draw(100) >= 100 - percent {
            true => PacketFate::Drop,
            false => PacketFate::Pass,
        })
    }

    fn end(&self, _: &Hit) -> Result<(), ControlError> {
        Ok(())
    }

    fn is_made_of_calls(&self) -> bool {
        true
    }

    fn needs_others(&self) -> bool {
        true
    }

    fn mistakes(&self) -> Vec<String> {
        let is_wrong = !(1..=100).contains(&self.most);
        let mistake =
            || format!("`Loss::up_to` must be a percentage in 1..=100, got {}", self.most);
        is_wrong.then(mistake).into_iter().collect()
    }
}
