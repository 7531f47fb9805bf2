//! The passes that bind acts to steps and events, and move and weaken acts.

use std::collections::BTreeMap;

use crate::engine::acts::When;
use crate::engine::draws::family::Family;
use crate::engine::record::deviations::DeviationKind;
use crate::shrink::items::ShrinkItem;
use crate::shrink::passes::{MAX_RETRIED, Shrinker};

impl Shrinker<'_> {
    /// Binds acts to the steps in which they happened.
    pub(super) fn pin_act_times(&mut self) {
        let seen = self.times_of_acts();
        let mut items = self.candidate.items(&[Family::Act]);
        for item in items.iter_mut().filter(|item| !item.is_anchored()) {
            if let Some(when) = seen.get(&item.address).and_then(|whens| whens.first()) {
                *item = item.clone().bound_as(*when);
            }
        }
        let candidate = self.candidate.with_items(&[Family::Act], &items);
        self.try_one(candidate);
    }

    /// Binds acts to events of machines instead of times. Tries to bind all acts to the nearest
    /// event, and otherwise each act to an event near it. Returns true if any act is bound.
    pub(super) fn bind_to_events(&mut self) -> bool {
        const ACT: &[Family] = &[Family::Act];
        // Binding is only useful if faults or steps can be left out afterwards.
        if self.size.faults <= 1 && self.size.steps <= 1 {
            return false;
        }
        let seen = self.times_of_acts();
        let items = self.candidate.items(ACT);
        let events = |item: &ShrinkItem| -> Vec<ShrinkItem> {
            let whens = seen.get(&item.address).filter(|_| item.is_fault() && !item.is_anchored());
            let anchored = whens.into_iter().flatten().filter(|when| when.is_anchored());
            anchored.map(|when| item.clone().bound_as(*when)).collect()
        };
        let nearest = |item: &ShrinkItem| events(item).into_iter().next();
        let all: Vec<_> =
            items.iter().map(|item| nearest(item).unwrap_or_else(|| item.clone())).collect();
        if all == items || items.len() > MAX_RETRIED {
            return false;
        }
        let all = self.candidate.with_items(ACT, &all);
        if self.try_one(all).is_some() {
            return true;
        }
        let mut is_any_bound = false;
        for (at, item) in items.iter().enumerate() {
            is_any_bound |= self.try_replacing(ACT, at, events(item)).is_some();
        }
        is_any_bound
    }

    /// The times and events to which the acts of the best run can be bound.
    fn times_of_acts(&mut self) -> BTreeMap<[u64; 3], Vec<When>> {
        let acts = self.deviations().iter().filter(|deviation| {
            deviation.family == Family::Act && deviation.kind == DeviationKind::Strike
        });
        acts.map(|act| (act.address, act.whens.clone())).collect()
    }

    /// Moves strikes earlier in their steps, then lowers choices that made the test wait for them. This is the last pass.
    pub(super) fn move_strikes_earlier(&mut self) {
        const STRIKE: &[Family] = &[Family::Strike, Family::Act];
        for at in 0..self.candidate.items(STRIKE).len().min(MAX_RETRIED) {
            let Some(item) = self.candidate.items(STRIKE).get(at).cloned() else { return };
            let Some(when) = item.when().filter(|when| *when > 0) else { continue };
            let earlier = [64, 12, 6, 3, 1].map(|half| when.checked_shr(half).unwrap_or(0));
            self.try_replacing(STRIKE, at, earlier.map(|when| item.clone().moved_to(when)));
        }
        self.lower_choices();
        self.drop_unused_items();
    }

    /// Weakens acts: lets them end sooner and hit less. This is one of the last passes.
    pub(super) fn weaken_acts(&mut self) {
        const ACT: &[Family] = &[Family::Act];
        for at in 0..self.candidate.items(ACT).len().min(MAX_RETRIED) {
            while let Some(item) = self.candidate.items(ACT).get(at).cloned() {
                if self.try_replacing(ACT, at, item.weaker_acts()).is_none() {
                    break;
                }
            }
        }
    }
}
