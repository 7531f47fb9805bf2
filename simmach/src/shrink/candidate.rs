//! A candidate of the passes: how each family of draws is decided.

use std::collections::{BTreeMap, BTreeSet};

use crate::engine::acts::Script;
use crate::engine::draws::family::Family;
use crate::engine::draws::overlay::{Overlay, Rule, RuleAction};
use crate::engine::record::deviations::DeviationKind;
use crate::shrink::acts;
use crate::shrink::items::ShrinkItem;

/// How each family is decided. Families that are not in the map are calm.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Candidate {
    pub(super) modes: BTreeMap<Family, FamilyMode>,
    /// Rules that make parts of items calm.
    pub(super) calm: Vec<Rule>,
    /// Whether acts replace the plans.
    pub(super) is_scripted: bool,
}

/// How a family is decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum FamilyMode {
    /// The seed decides, mixed with `salt` if there is one. If there is a `window` of virtual time
    /// in nanoseconds, draws outside it are calm.
    Seeded { salt: Option<u64>, window: Option<(u64, u64)> },
    /// All draws are calm except those of these items.
    Only(Vec<ShrinkItem>),
}

impl FamilyMode {
    pub(super) const SEEDED: Self = Self::Seeded { salt: None, window: None };
}

impl Candidate {
    /// Creates a candidate in which the seed decides everything.
    pub(super) fn seeded() -> Self {
        Self::with_families(Family::ALL)
    }

    /// Creates a candidate in which the seed decides these families, and all other families are
    /// calm.
    pub(super) fn with_families(families: &[Family]) -> Self {
        let modes = families.iter().map(|family| (*family, FamilyMode::SEEDED)).collect();
        Self { modes, calm: Vec::new(), is_scripted: false }
    }

    /// The same candidate, in which acts stand in for plans: these, if it has the family of acts.
    pub(super) fn scripted(mut self, acts: &[ShrinkItem]) -> Self {
        self.is_scripted = true;
        self.modes.remove(&Family::Strike);
        self.modes.remove(&Family::Fault);
        if let Some(mode) = self.modes.get_mut(&Family::Act) {
            *mode = FamilyMode::Only(acts.to_vec());
        }
        self
    }

    pub(super) fn without(&self, family: Family) -> Self {
        let mut candidate = self.clone();
        candidate.modes.remove(&family);
        candidate
    }

    pub(super) fn set(&self, family: Family, mode: FamilyMode) -> Self {
        let mut candidate = self.clone();
        candidate.modes.insert(family, mode);
        candidate
    }

    /// Returns the remaining items of these families, if they are listed.
    pub(super) fn items(&self, families: &[Family]) -> Vec<ShrinkItem> {
        let mut items: Vec<ShrinkItem> = families
            .iter()
            .filter_map(|family| match self.modes.get(family) {
                Some(FamilyMode::Only(items)) => Some(items.iter().cloned()),
                Some(FamilyMode::Seeded { .. }) | None => None,
            })
            .flatten()
            .collect();
        items.sort_by_key(|item| (item.at, item.family, item.address));
        items
    }

    /// Returns the same candidate, with `items` instead of the listed items of these families.
    pub(super) fn with_items(&self, families: &[Family], items: &[ShrinkItem]) -> Self {
        let mut candidate = self.clone();
        for family in families {
            if let Some(FamilyMode::Only(listed)) = candidate.modes.get_mut(family) {
                *listed = items.iter().filter(|item| item.family == *family).cloned().collect();
                if listed.is_empty() {
                    candidate.modes.remove(family);
                }
            }
        }
        // Drops the parts of removed items.
        let left = candidate.items(families);
        candidate.calm.retain(|rule| {
            let is_of = |item: &ShrinkItem| {
                rule.address[..2]
                    == [item.address[0], item.address[1]].map(|word| Some((word, word)))
            };
            rule.family.is_none_or(|family| !families.contains(&family)) || left.iter().any(is_of)
        });
        candidate
    }

    /// Returns the same candidate with only these steps. Items bound to a removed step are bound to the last remaining step
    /// before it, or else to the first remaining step after it. Strikes are unbound if no step remains.
    pub(super) fn with_steps(&self, steps: &[ShrinkItem]) -> Self {
        let mut candidate = self.with_items(&[Family::Step], steps);
        let left: BTreeSet<(u64, u64)> =
            steps.iter().map(|step| (step.address[0], step.address[1])).collect();
        for mode in candidate.modes.values_mut() {
            let FamilyMode::Only(items) = mode else { continue };
            for item in items {
                let Some((sequence, step)) = item.step().filter(|step| !left.contains(step)) else {
                    continue;
                };
                let before = left.range((sequence, 0)..(sequence, step)).next_back();
                let behind = || left.range((sequence, step)..=(sequence, u64::MAX)).next();
                match before.or_else(behind) {
                    Some((_, other)) => *item = item.clone().bound_to(*other),
                    None if item.kind == DeviationKind::Strike => *item = item.clone().unbound(),
                    None => {}
                }
            }
        }
        candidate
    }

    pub(super) fn overlay(&self) -> Overlay {
        let mut overlay = Overlay::calm();
        for (family, mode) in &self.modes {
            match mode {
                FamilyMode::Seeded { salt, window } => overlay.push(Rule {
                    time: *window,
                    ..Rule::all(
                        Some(*family),
                        salt.map_or(RuleAction::Seeded, RuleAction::Reseeded),
                    )
                }),
                _ if *family == Family::Act => {}
                FamilyMode::Only(items) if *family == Family::Step => {
                    ranges(items).into_iter().for_each(|rule| overlay.push(rule));
                }
                FamilyMode::Only(items) => {
                    items
                        .iter()
                        .flat_map(|item| &item.rules)
                        .for_each(|rule| overlay.push(rule.clone()));
                }
            }
        }
        self.calm.iter().for_each(|rule| overlay.push(rule.clone()));
        let script = self.is_scripted.then(|| match self.modes.get(&Family::Act) {
            Some(FamilyMode::Only(items)) => acts::script(items.iter()),
            Some(FamilyMode::Seeded { .. }) | None => Script::default(),
        });
        overlay.with_script(script)
    }
}

/// Returns rules for steps, one rule for each range of consecutive steps.
fn ranges(items: &[ShrinkItem]) -> Vec<Rule> {
    let mut steps: Vec<(u64, u64)> =
        items.iter().map(|item| (item.address[0], item.address[1])).collect();
    steps.sort_unstable();
    let mut ranges: Vec<(u64, u64, u64)> = Vec::new();
    for (sequence, step) in steps {
        match ranges.last_mut() {
            Some((last, _, high)) if *last == sequence && *high + 1 >= step => *high = step,
            _ => ranges.push((sequence, step, step)),
        }
    }
    let rule = |(sequence, low, high)| Rule {
        address: [Some((sequence, sequence)), Some((low, high)), None],
        ..Rule::all(Some(Family::Step), RuleAction::Seeded)
    };
    ranges.into_iter().map(rule).collect()
}
