//! The pass for parts that can be left out only if something else is drawn: other orders, times or
//! faults.

use crate::engine::draws::family::Family;
use crate::engine::draws::overlay::{Rule, RuleAction};
use crate::engine::draws::{below_of, mix};
use crate::engine::record::deviations::DeviationKind;
use crate::shrink::candidate::{Candidate, FamilyMode};
use crate::shrink::items::ShrinkItem;
use crate::shrink::passes::{FAULTS, MAX_RETRIED, NOISE, Shrinker};

/// Maximum number of times that a removal is retried with different draws.
const MAX_REDRAWS: u64 = 96;
/// Minimum number of times that a removal is retried with different draws.
const MIN_REDRAWS: u64 = 4;
/// Target number of retries for all removals together.
const TOTAL_REDRAWS: u64 = 576;
/// Maximum number of remaining faults for which the pass replaces pairs of faults with one strike.
const MAX_REPLACED: usize = 6;

impl Shrinker<'_> {
    /// Retries removals with different draws and at different times. Returns true if one of these candidates still fails.
    pub(super) fn retry_removals(&mut self) -> bool {
        let mut fewer: Vec<Candidate> = Vec::new();
        for families in [FAULTS, &[Family::Step]] {
            let items = self.candidate.items(families);
            if families == [Family::Step] && items.len() > 1 {
                fewer.push(self.candidate.with_steps(&[]));
            }
            for at in 0..if items.len() <= MAX_RETRIED { items.len() } else { 0 } {
                let mut fewer_items = items.clone();
                fewer_items.remove(at);
                fewer.push(match families {
                    [Family::Step] => self.candidate.with_steps(&fewer_items),
                    _ => self.candidate.with_items(families, &fewer_items),
                });
            }
        }
        let varies = |family: &&Family| NOISE.contains(family) || **family == Family::Choice;
        for family in self.candidate.modes.keys().filter(varies) {
            fewer.push(self.candidate.without(*family));
        }
        let parts = self.calm_field_rules();
        self.try_redrawn(&fewer, |candidate, salt| redraw(candidate, &parts, salt))
            || self.replace_pairs()
    }

    /// Replaces two faults with one new strike. Returns true if one of these candidates still fails.
    fn replace_pairs(&mut self) -> bool {
        let faults = self.candidate.items(FAULTS);
        let latest = self.deviations().iter().map(|deviation| deviation.at).max().unwrap_or(0);
        let is_scripted = self.candidate.is_scripted;
        let model = self.model.clone().filter(|_| !is_scripted);
        let acts: Vec<_> = self.acts.iter().filter(|act| act.is_fault()).cloned().collect();
        if faults.len() > MAX_REPLACED || model.is_none() && acts.is_empty() {
            return false;
        }
        let mut fewer = Vec::new();
        for (nth, _) in faults.iter().enumerate() {
            for other in nth + 1..faults.len() {
                let mut left = faults.clone();
                left.remove(other);
                left.remove(nth);
                fewer.push(self.candidate.with_items(FAULTS, &left));
            }
        }
        self.try_redrawn(&fewer, |candidate, salt| {
            let Some(model) = &model else {
                return with_new_act(candidate, &acts, latest, salt);
            };
            let FamilyMode::Only(mut strikes) = candidate
                .modes
                .get(&Family::Strike)
                .cloned()
                .unwrap_or_else(|| FamilyMode::Only(Vec::new()))
            else {
                return candidate.clone();
            };
            let number = strikes.iter().map(|strike| strike.address[1]).max();
            let number = number.unwrap_or(0).max(model.address[1]) + 1;
            let word = |nth| mix(mix(salt, nth), number);
            let when = below_of(Some(word(0)), (latest >> below_of(Some(word(1)), 3)) + 1);
            strikes.push(model.clone().renumbered(number, word(2), when));
            candidate.set(Family::Strike, FamilyMode::Only(strikes))
        })
    }

    /// Tries these candidates with one salt after the other. Returns true if one of them still fails.
    fn try_redrawn(
        &mut self,
        candidates: &[Candidate],
        redrawn: impl Fn(&Candidate, u64) -> Candidate,
    ) -> bool {
        let often = TOTAL_REDRAWS / (candidates.len() as u64).max(1);
        let often = often.clamp(MIN_REDRAWS, MAX_REDRAWS);
        let salts =
            (1..=often).flat_map(|salt| candidates.iter().map(move |candidate| (candidate, salt)));
        let candidates: Vec<_> = salts.map(|(candidate, salt)| redrawn(candidate, salt)).collect();
        self.try_candidates(candidates.into_iter()).is_some()
    }

    /// Rules that make the fields of the remaining strikes calm.
    fn calm_field_rules(&mut self) -> Vec<Rule> {
        let fields =
            self.deviations().iter().filter(|deviation| deviation.kind == DeviationKind::Field);
        fields.map(|field| Rule::one(field.family, field.address, RuleAction::Calm)).collect()
    }
}

/// Returns the same candidate with one more act like one of these, at any time until `latest`.
fn with_new_act(candidate: &Candidate, acts: &[ShrinkItem], latest: u64, salt: u64) -> Candidate {
    let mut items = candidate.items(&[Family::Act]);
    let id = items.iter().chain(acts).map(|item| item.address[0]).max().unwrap_or(0) + 1;
    let word = |nth| Some(mix(mix(salt, nth), id));
    let Some(model) = acts.get(below_of(word(2), acts.len() as u64) as usize) else {
        return candidate.clone();
    };
    let when = below_of(word(0), (latest >> below_of(word(1), 3)) + 1);
    items.push(model.clone().act_again(id as u32, when));
    candidate.set(Family::Act, FamilyMode::Only(items))
}

/// Returns the same candidate with different draws where the seed decides, strikes at different times, and faults on
/// different packets. In turn, the strikes' `parts` are unchanged, calm, or drawn again together with
/// the choices of the test.
fn redraw(candidate: &Candidate, parts: &[Rule], salt: u64) -> Candidate {
    const STRIKE: &[Family] = &[Family::Strike];
    let (round, turn) = (salt / 3, salt % 3);
    let mut candidate = candidate.clone();
    if turn == 2 {
        candidate.calm.retain(|rule| rule.family != Some(Family::Strike));
        // Fewer steps can need longer pauses, for example.
        if let Some(choices) = candidate.modes.get_mut(&Family::Choice) {
            *choices = FamilyMode::Seeded { salt: Some(salt), window: None };
        }
    }
    if turn == 1 {
        let more: Vec<_> = parts.iter().filter(|part| !candidate.calm.contains(part)).collect();
        candidate.calm.extend(more.into_iter().cloned());
        // Drops the parts of removed strikes.
        candidate = candidate.with_items(STRIKE, &candidate.items(STRIKE));
    }
    for mode in candidate.modes.values_mut() {
        match mode {
            FamilyMode::Seeded { salt: own, .. } => *own = Some(mix(own.unwrap_or(0), salt)),
            FamilyMode::Only(items) => {
                for item in items {
                    *item = item.clone().redraw(round, (turn == 2).then_some(salt));
                }
            }
        }
    }
    candidate
}
