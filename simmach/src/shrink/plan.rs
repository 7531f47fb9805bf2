//! A candidate, as the passes see it: what becomes of each family of draws.

use std::collections::{BTreeMap, BTreeSet};

use crate::engine::draws::family::Family;
use crate::engine::draws::overlay::{Overlay, Rule, RuleAction};
use crate::engine::record::deviations::Kind;
use crate::shrink::items::Item;

/// What becomes of each family; what is not named is calm.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Plan {
    pub(super) modes: BTreeMap<Family, Mode>,
    /// Parts of items that are calm.
    pub(super) calm: Vec<Rule>,
}

/// What becomes of a family.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    /// By the seed, within a window of virtual time where there is one.
    Seeded { salt: Option<u64>, window: Option<(u64, u64)> },
    /// Calm but for these.
    Only(Vec<Item>),
}

impl Mode {
    pub(super) const SEEDED: Self = Self::Seeded { salt: None, window: None };
}

impl Plan {
    /// Everything as the seed has it.
    pub(super) fn seeded() -> Self {
        Self::with(Family::ALL)
    }

    /// These families as the seed has them, all others calm.
    pub(super) fn with(families: &[Family]) -> Self {
        let modes = families.iter().map(|family| (*family, Mode::SEEDED)).collect();
        Self { modes, calm: Vec::new() }
    }

    pub(super) fn without(&self, family: Family) -> Self {
        let mut plan = self.clone();
        plan.modes.remove(&family);
        plan
    }

    pub(super) fn set(&self, family: Family, mode: Mode) -> Self {
        let mut plan = self.clone();
        plan.modes.insert(family, mode);
        plan
    }

    /// The items of these families that are left, where they are listed one by one.
    pub(super) fn items(&self, families: &[Family]) -> Vec<Item> {
        let mut items: Vec<Item> = families
            .iter()
            .filter_map(|family| match self.modes.get(family) {
                Some(Mode::Only(items)) => Some(items.iter().cloned()),
                Some(Mode::Seeded { .. }) | None => None,
            })
            .flatten()
            .collect();
        items.sort_by_key(|item| (item.at, item.family, item.address));
        items
    }

    /// The listed ones of these families replaced by `items`.
    pub(super) fn with_items(&self, families: &[Family], items: &[Item]) -> Self {
        let mut plan = self.clone();
        for family in families {
            if let Some(Mode::Only(listed)) = plan.modes.get_mut(family) {
                *listed = items.iter().filter(|item| item.family == *family).cloned().collect();
                if listed.is_empty() {
                    plan.modes.remove(family);
                }
            }
        }
        // A part of what is gone is gone with it.
        let left = plan.items(families);
        plan.calm.retain(|rule| {
            let is_of = |item: &Item| {
                rule.address[..2]
                    == [item.address[0], item.address[1]].map(|word| Some((word, word)))
            };
            rule.family.is_none_or(|family| !families.contains(&family)) || left.iter().any(is_of)
        });
        plan
    }

    /// With only these steps; what was bound to another is bound to the next before it, or else to the first behind it, and a
    /// strike to none if none is left.
    pub(super) fn with_steps(&self, steps: &[Item]) -> Self {
        let mut plan = self.with_items(&[Family::Step], steps);
        let left: BTreeSet<(u64, u64)> =
            steps.iter().map(|step| (step.address[0], step.address[1])).collect();
        for mode in plan.modes.values_mut() {
            let Mode::Only(items) = mode else { continue };
            for item in items {
                let Some((walk, step)) = item.step().filter(|step| !left.contains(step)) else {
                    continue;
                };
                let before = left.range((walk, 0)..(walk, step)).next_back();
                let behind = || left.range((walk, step)..=(walk, u64::MAX)).next();
                match before.or_else(behind) {
                    Some((_, other)) => *item = item.clone().bound_to(*other),
                    None if item.kind == Kind::Strike => *item = item.clone().unbound(),
                    None => {}
                }
            }
        }
        plan
    }

    pub(super) fn overlay(&self) -> Overlay {
        let mut overlay = Overlay::calm();
        for (family, mode) in &self.modes {
            match mode {
                Mode::Seeded { salt, window } => overlay.push(Rule {
                    time: *window,
                    ..Rule::all(
                        Some(*family),
                        salt.map_or(RuleAction::Seeded, RuleAction::Reseeded),
                    )
                }),
                Mode::Only(items) if *family == Family::Step => {
                    ranges(items).into_iter().for_each(|rule| overlay.push(rule));
                }
                Mode::Only(items) => {
                    items
                        .iter()
                        .flat_map(|item| &item.rules)
                        .for_each(|rule| overlay.push(rule.clone()));
                }
            }
        }
        self.calm.iter().for_each(|rule| overlay.push(rule.clone()));
        overlay
    }
}

/// Steps that follow each other, as one rule.
fn ranges(items: &[Item]) -> Vec<Rule> {
    let mut steps: Vec<(u64, u64)> =
        items.iter().map(|item| (item.address[0], item.address[1])).collect();
    steps.sort_unstable();
    let mut ranges: Vec<(u64, u64, u64)> = Vec::new();
    for (walk, step) in steps {
        match ranges.last_mut() {
            Some((last, _, high)) if *last == walk && *high + 1 >= step => *high = step,
            _ => ranges.push((walk, step, step)),
        }
    }
    let rule = |(walk, low, high)| Rule {
        address: [Some((walk, walk)), Some((low, high)), None],
        ..Rule::all(Some(Family::Step), RuleAction::Seeded)
    };
    ranges.into_iter().map(rule).collect()
}
