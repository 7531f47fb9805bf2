//! The acts of a script as items of the shrinker, which removes acts with their repairs, moves
//! acts, and weakens them.

use crate::engine::acts::{Act, Impairment, PointFault, RecordedAct, Script, TimedAct, When};
use crate::engine::draws::family::Family;
use crate::engine::draws::{below_of, mix};
use crate::engine::ids::MachineId;
use crate::engine::record::deviations::DeviationKind;
use crate::shrink::items::ShrinkItem;

/// Number of times that an act's time is halved before random times are tried.
const HALVING_ROUNDS: u64 = 6;

/// Returns the acts of a run's plans as items.
pub(super) fn items(recorded: &[RecordedAct]) -> Vec<ShrinkItem> {
    let script = Script::of(recorded);
    let at = |timed: &TimedAct| recorded.get(timed.id as usize).map_or(0, |one| one.at);
    script.acts.iter().map(|timed| ShrinkItem::of_act(timed, at(timed))).collect()
}

/// Returns the script of these items.
pub(super) fn script<'a>(items: impl Iterator<Item = &'a ShrinkItem>) -> Script {
    Script { acts: items.filter_map(|item| item.act.as_deref().cloned()).collect() }
}

impl ShrinkItem {
    fn of_act(timed: &TimedAct, at: u64) -> Self {
        let is_fault = timed.act.is_fault();
        Self {
            family: Family::Act,
            kind: if is_fault { DeviationKind::Strike } else { DeviationKind::Repair },
            address: [u64::from(timed.id), 0, 0],
            position: None,
            machine: timed.act.machine(),
            at,
            choice: (0, 0),
            rules: Vec::new(),
            act: Some(Box::new(timed.clone())),
        }
    }

    /// Returns the same act at a different time, `offset` after its step. If the act has no step,
    /// `offset` counts from the start of the run.
    pub(super) fn act_at(mut self, offset: u64) -> Self {
        if let Some(timed) = &mut self.act {
            // Its place is among the events of the time that it had.
            (timed.when.offset, timed.when.place) = (offset, 0);
        }
        self
    }

    /// The same act, bound to another time or event.
    pub(super) fn bound_as(mut self, when: When) -> Self {
        if let Some(timed) = &mut self.act {
            timed.when = when;
        }
        self
    }

    /// Whether it is an act that is bound to an event.
    pub(super) fn is_anchored(&self) -> bool {
        self.act.as_ref().is_some_and(|timed| timed.when.is_anchored())
    }

    /// Returns the act at a different time: in early rounds, the time is halved; later, any time up to twice as late is
    /// used. With `salt`, its repairs also come sooner or later.
    pub(super) fn redraw_act(self, round: u64, salt: Option<u64>) -> Self {
        let Some(offset) = self.act.as_ref().map(|timed| timed.when.offset) else { return self };
        let word = |nth| Some(mix(mix(mix(self.at, self.address[0]), round), nth));
        let random = below_of(word(0), offset.saturating_mul(2).saturating_add(1));
        let other_event = below_of(word(1), 2) == 1 && round >= HALVING_ROUNDS;
        let offset = if round < HALVING_ROUNDS { offset >> (round + 1) } else { random };
        let repairs = salt.map(|salt| mix(salt, self.address[0]));
        let event = word(2);
        let mut item = self.act_at(offset);
        if let Some(timed) = item.act.as_mut().filter(|_| other_event)
            && let Some(anchor) = &mut timed.when.anchor
        {
            // The time of the step itself is one of the choices.
            anchor.nth = below_of(event, u64::from(anchor.nth) * 2 + 2) as u32;
            timed.when.anchor.take_if(|anchor| anchor.nth == 0);
        }
        if let (Some(timed), Some(word)) = (&mut item.act, repairs) {
            for repair in &mut timed.repairs {
                let shift = below_of(Some(word), 7);
                repair.after = (repair.after >> shift).max(1);
            }
        }
        item
    }

    /// Returns a new act like this one, with this id, `offset` nanoseconds after the start of the run.
    pub(super) fn act_again(mut self, id: u32, offset: u64) -> Self {
        if let Some(timed) = &mut self.act {
            timed.id = id;
            (timed.when.step, timed.when.anchor) = (None, None);
        }
        self.address = [u64::from(id), 0, 0];
        self.at = offset;
        self.act_at(offset)
    }

    /// Returns weaker versions of an act, the weakest first: shorter, on fewer machines, in one direction.
    pub(super) fn weaker_acts(&self) -> Vec<Self> {
        let Some(timed) = &self.act else { return Vec::new() };
        let mut weaker = Vec::new();
        for shift in [64, 12, 6, 3, 1] {
            let shorter = |nanos: u64| nanos.checked_shr(shift).unwrap_or(0);
            let mut other = timed.clone();
            for repair in &mut other.repairs {
                repair.after = shorter(repair.after);
                repair.place = 0;
            }
            if let Act::Stop { grace, .. } = &mut other.act {
                *grace = shorter(*grace);
            }
            weaker.push(other);
        }
        match &timed.act {
            Act::Partition { from, to, both_ways } => {
                let act = |from: &[_], to: &[_], both_ways| {
                    let (from, to) = (from.to_vec(), to.to_vec());
                    TimedAct { act: Act::Partition { from, to, both_ways }, ..(**timed).clone() }
                };
                let sides = [(from, to, false), (to, from, false)];
                let one_way = sides.into_iter().filter(|_| *both_ways);
                weaker.extend(one_way.map(|(from, to, way)| Box::new(act(from, to, way))));
                weaker.extend(
                    less(from).into_iter().map(|from| Box::new(act(&from, to, *both_ways))),
                );
                weaker.extend(less(to).into_iter().map(|to| Box::new(act(from, &to, *both_ways))));
            }
            Act::Clog { from, to } => {
                let act = |from: &[_], to: &[_]| TimedAct {
                    act: Act::Clog { from: from.to_vec(), to: to.to_vec() },
                    ..(**timed).clone()
                };
                weaker.extend(less(from).into_iter().map(|from| Box::new(act(&from, to))));
                weaker.extend(less(to).into_iter().map(|to| Box::new(act(from, &to))));
            }
            Act::Clock { machine, offset, drift } => {
                let act = |offset, drift| TimedAct {
                    act: Act::Clock { machine: *machine, offset, drift },
                    ..(**timed).clone()
                };
                let weak =
                    [(0, *drift), (*offset, 0), (offset / 8, drift / 8), (offset / 2, drift / 2)];
                let weak = weak.into_iter().filter(|weak| *weak != (0, 0));
                weaker.extend(weak.map(|(offset, drift)| Box::new(act(offset, drift))));
            }
            Act::Filter { number, from, to, verdicts } => {
                weaker.extend(less(verdicts).into_iter().map(|verdicts| {
                    let (number, from, to) = (*number, from.clone(), to.clone());
                    let act = Act::Filter { number, from, to, verdicts };
                    Box::new(TimedAct { act, ..(**timed).clone() })
                }));
            }
            Act::Impair { number, from, to, impairment } => {
                let act = |from: &[_], to: &[_], impairment| {
                    let (number, from, to) = (*number, from.to_vec(), to.to_vec());
                    let act = Act::Impair { number, from, to, impairment };
                    Box::new(TimedAct { act, ..(**timed).clone() })
                };
                let milder = [6, 3, 1].map(|shift| act(from, to, milder(*impairment, shift)));
                weaker.extend(milder);
                weaker.extend(less(from).into_iter().map(|from| act(&from, to, *impairment)));
                weaker.extend(less(to).into_iter().map(|to| act(from, &to, *impairment)));
            }
            Act::SlowCpu { machine, quota, period } => {
                let act = |quota, period| {
                    let act = Act::SlowCpu { machine: *machine, quota, period };
                    Box::new(TimedAct { act, ..(**timed).clone() })
                };
                let pause = period.saturating_sub(*quota);
                weaker.extend([6, 3, 1].map(|shift| act(period - (pause >> shift), *period)));
                weaker.extend([6, 3, 1].map(|shift| act(quota >> shift, period >> shift)));
            }
            Act::Own { drawn, victims, .. } => {
                weaker.extend(weaker_own(timed, drawn, victims).into_iter().map(Box::new))
            }
            Act::Point { machine, point, fault: PointFault::Delay(nanos) } => {
                weaker.extend([12, 6, 3, 1].map(|shift| {
                    let fault = PointFault::Delay(nanos >> shift);
                    let act = Act::Point { machine: *machine, point: *point, fault };
                    Box::new(TimedAct { act, ..(**timed).clone() })
                }));
            }
            Act::PowerOffAtCall { machine, calls } => {
                weaker.extend(fewer_calls(*calls).map(|calls| {
                    let act = Act::PowerOffAtCall { machine: *machine, calls };
                    Box::new(TimedAct { act, ..(**timed).clone() })
                }));
            }
            _ => {}
        }
        weaker.retain(|other| other != timed);
        let item = |act| Self { act: Some(act), ..self.clone() };
        weaker.into_iter().map(item).collect()
    }
}

/// A fault that the user wrote with smaller draws, all of them and then each, and on fewer machines.
fn weaker_own(timed: &TimedAct, drawn: &[(u32, u64)], victims: &[MachineId]) -> Vec<TimedAct> {
    let smaller = |shift: u32, nth: Option<usize>| {
        let mut other = timed.clone();
        if let Act::Own { drawn, .. } = &mut other.act {
            let own = drawn.iter_mut().enumerate();
            let chosen = own.filter(|(at, _)| nth.is_none_or(|nth| nth == *at));
            chosen.for_each(|(_, (_, value))| *value >>= shift);
        }
        other
    };
    let on = |fewer: Vec<MachineId>| {
        let mut other = timed.clone();
        if let Act::Own { victims, .. } = &mut other.act {
            *victims = fewer;
        }
        other
    };
    let all = [63, 6, 3, 1].map(|shift| smaller(shift, None));
    let each = (0..drawn.len()).flat_map(|nth| [63, 1].map(|shift| smaller(shift, Some(nth))));
    all.into_iter().chain(each).chain(less(victims).into_iter().map(on)).collect()
}

/// The same impairment, milder by a power of two.
fn milder(impairment: Impairment, shift: u32) -> Impairment {
    match impairment {
        Impairment::Duplicate { per_million } => {
            Impairment::Duplicate { per_million: per_million >> shift }
        }
        Impairment::Reorder { per_million, delay } => {
            Impairment::Reorder { per_million: per_million >> shift, delay }
        }
        Impairment::Throttle { bytes_per_second, queue } => {
            let bytes_per_second = bytes_per_second.saturating_mul(1 << shift);
            Impairment::Throttle { bytes_per_second, queue }
        }
        Impairment::Delay { nanos } => Impairment::Delay { nanos: nanos >> shift },
        Impairment::Lose { per_million } => Impairment::Lose { per_million: per_million >> shift },
    }
}

/// Returns smaller numbers of calls in ascending order: 1, an eighth, then the number less a half, a quarter and so on of itself,
/// down to one less.
fn fewer_calls(calls: u64) -> impl Iterator<Item = u64> {
    let less_a_part =
        (1..=calls.checked_ilog2().unwrap_or(0)).map(move |shift| calls - (calls >> shift));
    [1, calls >> 3].into_iter().chain(less_a_part).filter(move |fewer| (1..calls).contains(fewer))
}

/// Returns shorter lists: each half, then the list without one of its elements. No list is empty.
fn less<T: Clone>(all: &[T]) -> Vec<Vec<T>> {
    const MOST_SINGLE: usize = 8;
    let half = all.len() / 2;
    let mut less = vec![all[..half].to_vec(), all[half..].to_vec()];
    for without in 0..if all.len() <= MOST_SINGLE { all.len() } else { 0 } {
        less.push([&all[..without], &all[without + 1..]].concat());
    }
    less.retain(|list| !list.is_empty() && list.len() < all.len());
    less
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Takes the first weaker act that still fails until there is none. A run fails from `needed` calls on. Returns the number of
    /// calls and the number of runs.
    fn weaken(calls: u64, needed: u64) -> (u64, u64) {
        let (machine, when) = (MachineId(3), When::default());
        let act = Act::PowerOffAtCall { machine, calls };
        let timed = TimedAct { id: 7, owner: None, when, act, repairs: Vec::new() };
        let (mut item, mut runs) = (ShrinkItem::of_act(&timed, 0), 0);
        let calls_of = |item: &ShrinkItem| match item.act.as_deref().map(|timed| &timed.act) {
            Some(Act::PowerOffAtCall { machine: MachineId(3), calls }) => *calls,
            other => panic!("{other:?}"),
        };
        loop {
            let weaker = item.weaker_acts();
            assert!(weaker.iter().map(calls_of).all(|fewer| (1..calls_of(&item)).contains(&fewer)));
            assert!(weaker.iter().map(calls_of).is_sorted(), "the weakest first");
            let failing = weaker.iter().position(|weaker| calls_of(weaker) >= needed);
            runs += failing.map_or(weaker.len(), |failing| failing + 1) as u64;
            match failing {
                Some(failing) => item = weaker[failing].clone(),
                None => return (calls_of(&item), runs),
            }
        }
    }

    proptest! {
        #[test]
        fn calls_before_a_power_failure_become_as_few_as_are_needed(
            calls in 1_u64..2_000,
            part in 0.0..1.0,
        ) {
            let needed = 1 + (calls as f64 * part) as u64;
            let (left, runs) = weaken(calls, needed);
            prop_assert_eq!(left, needed);
            // Each step about halves the distance, and tries each power of two at most once.
            let most = u64::from((calls.ilog2() + 2) * (calls.ilog2() + 3));
            prop_assert!(runs <= most, "{} runs for {} of {}", runs, needed, calls);
        }
    }
}
