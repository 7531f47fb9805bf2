//! Faults of the packets in one direction between the victims and the other machines that the plan
//! may hit, here called the others. These faults add to the profiles of the links. Undoing a fault
//! leaves the profiles as they are.

use std::ops::RangeInclusive;
use std::time::Duration;

use crate::chaos::fault::Fault;
use crate::chaos::faults::network::{direction, has_nothing_to_do, network_fault};
use crate::chaos::hit::Hit;
use crate::chaos::pace::DurationRange;
use crate::engine::acts::Impairment;
use crate::sim::ControlError;
use crate::time::nanos;

/// Delays the packets in one direction between the victims and the others. Each strike draws the
/// direction.
#[derive(Clone, Copy, Debug)]
pub struct Delay {
    by: DurationRange,
}

/// Drops some of the packets in one direction between the victims and the others. Each strike draws
/// the direction.
#[derive(Clone, Copy, Debug)]
pub struct Loss {
    most: u32,
}

/// Delivers some of the packets in one direction between the victims and the others twice. Each strike
/// draws the direction.
///
/// The copy has a latency of its own. TCP drops copies, and UDP does not.
#[derive(Clone, Copy, Debug)]
pub struct Duplicate {
    most: u32,
}

/// Holds back some of the packets in one direction between the victims and the others, so that later
/// packets overtake them. Each strike draws the direction.
#[derive(Clone, Copy, Debug)]
pub struct Reorder {
    by: DurationRange,
}

/// Limits the bandwidth in one direction between each victim and each of the others. Each strike draws
/// the direction.
///
/// Packets wait in a queue of 64 KiB, and are dropped if it is full.
#[derive(Clone, Debug)]
pub struct Throttle {
    to: RangeInclusive<u64>,
}

impl Delay {
    /// Each strike draws a delay from this range. All packets in the strike's direction are delayed
    /// by this time.
    pub fn by(delay: impl Into<DurationRange>) -> Self {
        Self { by: delay.into() }
    }
}

impl Loss {
    /// Each strike draws a rate of lost packets, from 1 percent to `percent`, which must be in
    /// `1..=100`.
    pub fn up_to(percent: u32) -> Self {
        Self { most: percent }
    }
}

impl Duplicate {
    /// Each strike draws the share of the packets that arrive twice, from 1 percent to `percent`, which
    /// must be in `1..=100`.
    pub fn up_to(percent: u32) -> Self {
        Self { most: percent }
    }
}

impl Reorder {
    /// Each strike draws the longest delay of a packet from this range, and the share of the packets
    /// that are held back, from 1 to 50 percent.
    pub fn by(delay: impl Into<DurationRange>) -> Self {
        Self { by: delay.into() }
    }
}

impl Throttle {
    /// Each strike draws a bandwidth in bytes per second: the end of this range, or the end halved
    /// one or more times, but not less than the beginning. The beginning must be at least 1.
    pub fn to(bytes_per_second: RangeInclusive<u64>) -> Self {
        Self { to: bytes_per_second }
    }
}

// The numbers of draws. That of the direction is 0.
const SHARE: u32 = 1;
const AMOUNT: u32 = 2;

/// One percent in millionths.
const PERCENT: u32 = 10_000;
/// The largest share of packets that [`Reorder`] holds back, in percent.
const MOST_REORDERED: u32 = 50;
/// The queue in front of a limited bandwidth, in bytes.
const QUEUE: u64 = 64 * 1024;

/// Impairs one direction until the fault is undone.
fn impair(hit: &Hit, impairment: Impairment) -> Result<(), ControlError> {
    if has_nothing_to_do(hit) {
        return Ok(());
    }
    let (from, to) = direction(hit);
    hit.keep(hit.sim().impair(&from, &to, impairment)?);
    Ok(())
}

/// Draws a share of the packets from 1 percent to `most`, in millionths.
fn share(hit: &Hit, most: u32) -> u32 {
    (1 + hit.below(SHARE, most.into()) as u32) * PERCENT
}

/// Returns a mistake if a percentage is out of range.
fn mistake_of(name: &str, percent: u32) -> Vec<String> {
    let is_wrong = !(1..=100).contains(&percent);
    let mistake = || format!("`{name}::up_to` must be a percentage in 1..=100, got {percent}");
    is_wrong.then(mistake).into_iter().collect()
}

impl Fault for Delay {
    fn name(&self) -> &str {
        "Delay"
    }

    fn begin(&self, hit: &Hit) -> Result<(), ControlError> {
        let delay: Duration = hit.duration(AMOUNT, self.by);
        impair(hit, Impairment::Delay { nanos: nanos(delay) })
    }

    fn end(&self, _: &Hit) -> Result<(), ControlError> {
        Ok(())
    }

    network_fault!();

    fn mistakes(&self) -> Vec<String> {
        self.by.mistake("Delay::by").into_iter().collect()
    }
}

impl Fault for Loss {
    fn name(&self) -> &str {
        "Loss"
    }

    fn begin(&self, hit: &Hit) -> Result<(), ControlError> {
        impair(hit, Impairment::Lose { per_million: share(hit, self.most) })
    }

    fn end(&self, _: &Hit) -> Result<(), ControlError> {
        Ok(())
    }

    network_fault!();

    fn mistakes(&self) -> Vec<String> {
        mistake_of("Loss", self.most)
    }
}

impl Fault for Duplicate {
    fn name(&self) -> &str {
        "Duplicate"
    }

    fn begin(&self, hit: &Hit) -> Result<(), ControlError> {
        impair(hit, Impairment::Duplicate { per_million: share(hit, self.most) })
    }

    fn end(&self, _: &Hit) -> Result<(), ControlError> {
        Ok(())
    }

    network_fault!();

    fn mistakes(&self) -> Vec<String> {
        mistake_of("Duplicate", self.most)
    }
}

impl Fault for Reorder {
    fn name(&self) -> &str {
        "Reorder"
    }

    fn begin(&self, hit: &Hit) -> Result<(), ControlError> {
        let delay: Duration = hit.duration(AMOUNT, self.by);
        let per_million = share(hit, MOST_REORDERED);
        impair(hit, Impairment::Reorder { per_million, delay: nanos(delay) })
    }

    fn end(&self, _: &Hit) -> Result<(), ControlError> {
        Ok(())
    }

    network_fault!();

    fn mistakes(&self) -> Vec<String> {
        self.by.mistake("Reorder::by").into_iter().collect()
    }
}

impl Fault for Throttle {
    fn name(&self) -> &str {
        "Throttle"
    }

    fn begin(&self, hit: &Hit) -> Result<(), ControlError> {
        let (least, most) = (*self.to.start(), *self.to.end());
        let halvings = u64::from((most / least.max(1)).max(1).ilog2());
        let bytes_per_second = most >> hit.below(AMOUNT, halvings + 1);
        impair(hit, Impairment::Throttle { bytes_per_second, queue: QUEUE })
    }

    fn end(&self, _: &Hit) -> Result<(), ControlError> {
        Ok(())
    }

    network_fault!();

    fn mistakes(&self) -> Vec<String> {
        let (least, most) = (self.to.start(), self.to.end());
        let is_wrong = *least == 0 || least > most;
        let mistake = || {
            format!(
                "`Throttle::to` must be a range of at least 1 byte per second that does not end before it \
                 begins, got {least}..={most}"
            )
        };
        is_wrong.then(mistake).into_iter().collect()
    }
}
