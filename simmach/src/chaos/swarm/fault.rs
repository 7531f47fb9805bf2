//! The kinds of faults of a [`Swarm`](super::Swarm): what each kind does, and how it is undone.

use std::time::Duration;

use crate::chaos::pace::{DurationRange, Strike};
use crate::chaos::swarm::Hardship;
use crate::engine::MachineId;
use crate::engine::time::machine_clocks::ClockSkew;
use crate::machine::{self, Selector};
use crate::net::{PacketFate, PacketFilter, PacketInfo};
use crate::sim::{self, ControlError, Sim, name_of};

/// How long a strike lasts if the test sets the tempo.
pub(super) const USUAL: DurationRange =
    DurationRange::new(Duration::from_secs(1), Duration::from_secs(10));

// The numbers of the fields that a strike draws. Field 0 is the time until the strike.
const LASTING: u64 = 1;
const KIND: u64 = 2;
const AMOUNT: u64 = 3;
/// How many machines the strike hits.
pub(super) const SIZE: u64 = 4;
/// Which machines the strike hits: one field for each machine.
pub(super) const VICTIMS: u64 = 16;
/// The fates of packets: one field for each packet.
const PACKETS: u64 = 1 << 32;

/// A kind of fault. Its number is part of its draws, so new kinds must be added at the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// Services get the stop signal.
    Stop = 0,
    Kill = 1,
    PowerOff = 2,
    /// Power is back within milliseconds.
    Bounce = 3,
    /// Several machines lose power at once.
    PowerOffs = 4,
    Pause = 5,
    /// Machines are separated from the other machines.
    Isolate = 6,
    /// Packets from one machine are dropped, or packets to it.
    OneWay = 7,
    /// What one machine sends is held back.
    Clog = 8,
    /// The packets of one machine are late.
    Delay = 9,
    /// Some packets of one machine are lost.
    Loss = 10,
    Drift = 11,
    Blackout = 12,
    Wipe = 13,
    ClockStep = 14,
}

/// What undoes a strike.
pub(super) enum Undo {
    /// What was taken down starts again.
    Restore,
    Heal(Selector, Selector),
    Unclog(Selector, Selector),
    /// Dropping it removes it.
    Filter(#[expect(dead_code, reason = "it is dropped")] PacketFilter),
    SetClocks(Selector),
    Resume(Selector),
    Nothing,
}

impl Fault {
    pub(super) const ALL: &[Self] = &[
        Self::Stop,
        Self::Kill,
        Self::PowerOff,
        Self::Bounce,
        Self::PowerOffs,
        Self::Pause,
        Self::Isolate,
        Self::OneWay,
        Self::Clog,
        Self::Delay,
        Self::Loss,
        Self::Drift,
        Self::Blackout,
        Self::Wipe,
        Self::ClockStep,
    ];

    /// What the test must say that its program survives.
    pub(super) fn hardship(self) -> Option<Hardship> {
        match self {
            Self::Blackout => Some(Hardship::Blackout),
            Self::Wipe => Some(Hardship::Wipe),
            Self::ClockStep => Some(Hardship::ClockSteps),
            _ => None,
        }
    }

    /// Whether machines lose power. That of the test's body cannot be hit.
    fn takes_power(self) -> bool {
        matches!(
            self,
            Self::PowerOff | Self::Bounce | Self::PowerOffs | Self::Blackout | Self::Wipe
        )
    }

    /// Whether it hits several machines at once.
    pub(super) fn hits_several(self) -> bool {
        matches!(self, Self::PowerOffs | Self::Isolate)
    }

    /// Whether it sets clocks. A machine whose clocks are wrong still serves, so the budget does not limit it.
    pub(super) fn sets_clocks(self) -> bool {
        matches!(self, Self::Drift | Self::ClockStep)
    }

    /// Whether it can hit a machine on which a service runs: not if the test, or another strike, did the same to it.
    pub(super) fn can_hit(self, machine: MachineId) -> bool {
        match self {
            Self::Pause => !machine::is_paused(machine),
            Self::Drift | Self::ClockStep => sim::has_exact_clocks(machine),
            _ => !self.takes_power() || machine::body_machine() != Some(machine),
        }
    }

    /// How long a strike lasts.
    pub(super) fn lasting(self, strike: Strike, drawn: DurationRange) -> Duration {
        let short = DurationRange::new(Duration::from_millis(1), Duration::from_millis(60));
        strike.duration(LASTING, if self == Self::Bounce { short } else { drawn })
    }

    /// Strikes. `others` are the other machines that the plan may hit.
    pub(super) async fn strike(
        self,
        sim: Sim,
        strike: Strike,
        victims: &[MachineId],
        others: &[MachineId],
    ) -> Result<Undo, String> {
        self.strike_at(sim, strike, victims, others).await.map_err(|error| error.to_string())
    }

    async fn strike_at(
        self,
        sim: Sim,
        strike: Strike,
        victims: &[MachineId],
        others: &[MachineId],
    ) -> Result<Undo, ControlError> {
        let (on, rest) = (selector(victims), selector(others));
        Ok(match self {
            Self::Stop => {
                let grace = strike.duration(AMOUNT, DurationRange::new(Duration::ZERO, GRACE));
                for victim in victims {
                    strike.stop(*victim, grace).await;
                }
                Undo::Restore
            }
            Self::Kill => {
                victims.iter().for_each(|victim| strike.kill(*victim));
                Undo::Restore
            }
            Self::PowerOff | Self::Bounce | Self::PowerOffs | Self::Blackout => {
                victims.iter().for_each(|victim| strike.take_power(*victim));
                Undo::Restore
            }
            Self::Wipe => {
                victims.iter().for_each(|victim| strike.take_power(*victim));
                sim.wipe(on)?;
                Undo::Restore
            }
            Self::Pause => {
                sim.pause(on.clone())?;
                Undo::Resume(on)
            }
            _ if others.is_empty() && self.needs_others() => Undo::Nothing,
            Self::Isolate => {
                sim.partition_for(strike.owner(), &on, &rest)?;
                Undo::Heal(on, rest)
            }
            Self::OneWay => {
                let (from, to) = either_way(strike, on, rest);
                sim.partition_one_way_for(strike.owner(), &from, &to)?;
                Undo::Heal(from, to)
            }
            Self::Clog => {
                let (from, to) = either_way(strike, on, rest);
                sim.clog(from.clone(), to.clone())?;
                Undo::Unclog(from, to)
            }
            Self::Delay => {
                let delay = strike.duration(AMOUNT, DELAY);
                let late = move |_: &PacketInfo<'_>| PacketFate::Delay(delay);
                let (from, to) = either_way(strike, on, rest);
                Undo::Filter(sim.filter_packets(from, to, late)?)
            }
            Self::Loss => {
                let percent = 1 + strike.below(AMOUNT, 50);
                let mut nth = PACKETS;
                let lose = move |_: &PacketInfo<'_>| {
                    nth += 1;
                    match strike.chance(nth, percent as f64 / 100.0) {
                        true => PacketFate::Drop,
                        false => PacketFate::Pass,
                    }
                };
                let (from, to) = either_way(strike, on, rest);
                Undo::Filter(sim.filter_packets(from, to, lose)?)
            }
            Self::Drift => {
                let ppm = strike.below(AMOUNT, 1_000) as i32 - 500;
                sim.set_clock(on.clone(), ClockSkew::exact().drift_ppm(ppm))?;
                Undo::SetClocks(on)
            }
            Self::ClockStep => {
                let by = strike.duration(AMOUNT, CLOCK_STEP);
                let is_ahead = strike.below(KIND, 2) == 0;
                let exact = ClockSkew::exact();
                let skew = if is_ahead { exact.ahead(by) } else { exact.behind(by) };
                sim.set_clock(on.clone(), skew)?;
                Undo::SetClocks(on)
            }
        })
    }

    fn needs_others(self) -> bool {
        matches!(self, Self::Isolate | Self::OneWay | Self::Clog | Self::Delay | Self::Loss)
    }
}

impl Undo {
    pub(super) fn undo(self, sim: Sim, strike: Strike) -> Result<(), String> {
        let undone = match self {
            Self::Restore => {
                strike.restore();
                Ok(())
            }
            Self::Heal(one, other) => sim.heal_for(strike.owner(), &one, &other),
            Self::Unclog(from, to) => sim.unclog(from, to),
            Self::SetClocks(on) => sim.set_clock(on, ClockSkew::exact()),
            Self::Resume(on) => sim.resume(on),
            Self::Filter(_) | Self::Nothing => Ok(()),
        };
        undone.map_err(|error| error.to_string())
    }
}

/// The longest grace period of a stop.
const GRACE: Duration = Duration::from_secs(5);
/// How late packets are.
const DELAY: DurationRange = DurationRange::new(Duration::from_millis(1), Duration::from_secs(2));
/// How far wall clocks are set forward or back.
const CLOCK_STEP: DurationRange =
    DurationRange::new(Duration::from_millis(1), Duration::from_secs(3_600));

/// Packets from one to the other, or the other way round.
fn either_way(strike: Strike, one: Selector, other: Selector) -> (Selector, Selector) {
    if strike.below(KIND, 2) == 0 { (one, other) } else { (other, one) }
}

fn selector(machines: &[MachineId]) -> Selector {
    let names: Vec<String> = machines.iter().filter_map(|machine| name_of(*machine)).collect();
    Selector::from(names)
}
