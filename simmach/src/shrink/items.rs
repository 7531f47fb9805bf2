//! The deviations of a run as items that the shrinker can remove one by one.

use crate::engine::acts::TimedAct;
use crate::engine::draws::address::Address;
use crate::engine::draws::address::strike;
use crate::engine::draws::family::Family;
use crate::engine::draws::overlay::{Position, Rule, RuleAction};
use crate::engine::draws::{below_of, mix};
use crate::engine::ids::MachineId;
use crate::engine::record::deviations::{Deviation, DeviationKind};

/// A part of a run that can be removed: a fault, step, choice, order or delay. Its rules make it
/// happen while everything else is calm.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ShrinkItem {
    pub(super) family: Family,
    pub(super) kind: DeviationKind,
    pub(super) address: [u64; 3],
    /// The position in the test that the item's rules match; `None` if they match the address.
    pub(super) position: Option<Position>,
    pub(super) machine: Option<MachineId>,
    /// Virtual time, in nanoseconds.
    pub(super) at: u64,
    /// For a choice: its value and the number of alternatives.
    pub(super) choice: (u64, u64),
    pub(super) rules: Vec<Rule>,
    /// The act, if the item is an act.
    pub(super) act: Option<Box<TimedAct>>,
}

/// Lists the items of a family in the order in which they happened. The rules of an item that keeps
/// a value from the seed have the action `drawn`. This action is seeded, or reseeded if the
/// candidate has a salt.
pub(super) fn of_family(
    deviations: &[Deviation],
    family: Family,
    drawn: RuleAction,
) -> Vec<ShrinkItem> {
    let mut items: Vec<ShrinkItem> = Vec::new();
    for deviation in deviations.iter().filter(|deviation| deviation.family == family) {
        let is_part = deviation.kind == DeviationKind::Field
            || (family, deviation.kind) == (Family::Reorder, DeviationKind::Delay);
        if is_part {
            // A strike includes all of its fields, a reordered packet its delay.
            let [a, b, _] = deviation.address;
            let whole = items.iter_mut().rev().find(|item| item.address[..2] == [a, b]);
            if let Some(whole) = whole.filter(|_| deviation.kind == DeviationKind::Delay) {
                whole.rules.push(Rule::one(family, deviation.address, drawn));
            }
        } else if !items
            .iter()
            .rev()
            .take(RECENT_ITEMS)
            .any(|item| item.address == deviation.address)
        {
            items.push(ShrinkItem::of(deviation, drawn));
        }
    }
    items
}

/// Number of times that a strike's time is halved before random times are tried.
const HALVING_ROUNDS: u64 = 6;
/// Number of recent items that are searched for duplicates. If a draw is recorded twice, the two records are in a row, or
/// nearly so.
const RECENT_ITEMS: usize = 4;

impl ShrinkItem {
    fn of(deviation: &Deviation, drawn: RuleAction) -> Self {
        let Deviation { family, address, kind, value, of, at, machine, position, pins, .. } =
            deviation;
        let [a, b, _] = *address;
        // Before the first step, addresses do not depend on which items are removed, so a position is not needed.
        let position = position.filter(|position| position.sequence != 0);
        let one = |action| match position {
            Some(position) => vec![Rule::at(*family, position, action)],
            None => vec![Rule::one(*family, *address, action)],
        };
        let rules = match (kind, family) {
            (DeviationKind::Strike, Family::Strike) => {
                let whole = Rule {
                    family: Some(*family),
                    address: [Some((a, a)), Some((b, b)), None],
                    time: None,
                    position: None,
                    action: drawn,
                };
                std::iter::once(whole).chain(pinned(*family, *address, pins)).collect()
            }
            // The smallest word is below every probability.
            (DeviationKind::PacketFault, _) => one(RuleAction::Value(0)),
            (DeviationKind::DiskLoss, _) if *of <= 1 => one(RuleAction::Value(0)),
            (DeviationKind::DiskLoss, _) => one(RuleAction::Value(word_for(*value, *of))),
            (DeviationKind::Choice, _) => one(RuleAction::Value(word_for(*value, *of))),
            (
                DeviationKind::Strike
                | DeviationKind::Repair
                | DeviationKind::Step
                | DeviationKind::Field
                | DeviationKind::Order
                | DeviationKind::Delay,
                _,
            ) => one(drawn),
        };
        Self {
            family: *family,
            kind: *kind,
            address: *address,
            position,
            machine: *machine,
            at: *at,
            choice: (*value, *of),
            rules,
            act: None,
        }
    }

    /// Returns the same choice with a lower value.
    pub(super) fn lowered(&self, value: u64) -> Self {
        let (_, of) = self.choice;
        let rules =
            vec![Rule::one(self.family, self.address, RuleAction::Value(word_for(value, of)))];
        Self { choice: (value, of), rules, ..self.clone() }
    }

    /// Whether it is an act that breaks something.
    pub(super) fn is_fault(&self) -> bool {
        self.act.as_ref().is_some_and(|timed| timed.act.is_fault())
    }

    /// When a strike or an act takes place: nanoseconds after its step, or after the start of the run.
    pub(super) fn when(&self) -> Option<u64> {
        match &self.act {
            Some(timed) => Some(timed.when.offset),
            None => self.pin(strike::WHEN),
        }
    }

    /// The same strike or act at another time.
    pub(super) fn moved_to(self, when: u64) -> Self {
        match self.act {
            Some(_) => self.act_at(when),
            None => self.with_pin(strike::WHEN, when),
        }
    }

    /// The value to which its rules pin a field of a strike.
    pub(super) fn pin(&self, field: u64) -> Option<u64> {
        self.rules.iter().find_map(|rule| match rule.action {
            RuleAction::Value(value) if rule.address[2] == Some((field, field)) => Some(value),
            _ => None,
        })
    }

    /// Returns the step that the item is bound to: its sequence and index.
    pub(super) fn step(&self) -> Option<(u64, u64)> {
        if let Some(timed) = &self.act {
            return timed.when.step;
        }
        let pinned = self
            .pin(strike::SEQUENCE)
            .zip(self.pin(strike::STEP).and_then(|step| step.checked_sub(1)));
        pinned.or(self.position.map(|position| (position.sequence, position.step)))
    }

    /// Returns the same item, bound to a different step.
    pub(super) fn bound_to(mut self, step: u64) -> Self {
        if let Some((_, of)) = self.act.as_mut().and_then(|timed| timed.when.step.as_mut()) {
            *of = step;
        }
        if let Some(position) = self.position {
            self = self.at_position(Position { step, ..position });
        }
        self.with_pin(strike::STEP, step + 1)
    }

    fn at_position(mut self, to: Position) -> Self {
        self.position = Some(to);
        for position in self.rules.iter_mut().filter_map(|rule| rule.position.as_mut()) {
            *position = to;
        }
        self
    }

    /// Returns the same item without a step. Its time then counts from the start of the run instead of the step.
    pub(super) fn unbound(mut self) -> Self {
        if let Some(timed) = &mut self.act {
            timed.when.step = None;
        }
        let pins_step = |rule: &Rule| {
            [strike::SEQUENCE, strike::STEP]
                .iter()
                .any(|field| rule.address[2] == Some((*field, *field)))
        };
        self.rules.retain(|rule| !pins_step(rule));
        self
    }

    /// Returns the same item at a different time or for a different packet. With `salt`, a strike's fields are drawn again
    /// with that salt.
    pub(super) fn redraw(mut self, round: u64, salt: Option<u64>) -> Self {
        if self.act.is_some() {
            return self.redraw_act(round, salt);
        }
        let below = |n| below_of(Some(mix(mix(self.at, self.address[1]), round)), n);
        if let Some(when) = self.pin(strike::WHEN) {
            // Halves the time in early rounds, then takes any time up to twice as late.
            let random = below(when.saturating_mul(2).saturating_add(1));
            self = self.with_pin(
                strike::WHEN,
                if round < HALVING_ROUNDS { when >> (round + 1) } else { random },
            );
        } else if let (Some(position), DeviationKind::PacketFault) = (self.position, self.kind) {
            let nth = below(position.nth.saturating_mul(2).saturating_add(3));
            self = self.at_position(Position { nth, ..position });
        }
        if let (Some(salt), DeviationKind::Strike) = (salt, self.kind)
            && let Some(whole) = self.rules.first_mut()
        {
            whole.action = match whole.action {
                RuleAction::Reseeded(own) => RuleAction::Reseeded(mix(own, salt)),
                RuleAction::Seeded | RuleAction::Calm | RuleAction::Value(_) => {
                    RuleAction::Reseeded(salt)
                }
            };
        }
        self
    }

    /// The loss of one packet.
    pub(super) fn packet_loss(position: Position) -> Self {
        let lost = Deviation::new(
            Address::new(Family::Loss, [position.lane, position.nth, 0]),
            DeviationKind::PacketFault,
            1,
            0,
        );
        let rules = vec![Rule::at(Family::Loss, position, RuleAction::Value(0))];
        Self { position: Some(position), rules, ..Self::of(&lost, RuleAction::Seeded) }
    }

    /// A new strike of the same plan, with this number and this salt of its draws, `when` nanoseconds after the start of the
    /// run.
    pub(super) fn renumbered(mut self, number: u64, salt: u64, when: u64) -> Self {
        let [plan, _, field] = self.address;
        self.address = [plan, number, field];
        let whole = Rule {
            family: Some(self.family),
            address: [Some((plan, plan)), Some((number, number)), None],
            time: None,
            position: None,
            action: RuleAction::Reseeded(salt),
        };
        self.rules = vec![whole];
        self.machine = None;
        (self.at, self.position) = (when, None);
        self.with_pins(&[(strike::WHEN, when)])
    }

    /// Returns the same item with exactly these values of fields.
    pub(super) fn with_pins(mut self, pins: &[(u64, u64)]) -> Self {
        self.rules.truncate(1);
        self.rules.extend(pinned(self.family, self.address, pins));
        self
    }

    /// Returns the same item with a different value for a field that it pins.
    pub(super) fn with_pin(mut self, field: u64, value: u64) -> Self {
        for rule in &mut self.rules {
            if rule.address[2] == Some((field, field))
                && matches!(rule.action, RuleAction::Value(_))
            {
                rule.action = RuleAction::Value(value);
            }
        }
        self
    }
}

/// Returns rules that pin the fields of the item at an address to these values.
fn pinned(
    family: Family,
    [a, b, _]: [u64; 3],
    pins: &[(u64, u64)],
) -> impl Iterator<Item = Rule> + '_ {
    let rule = move |(field, value): &(u64, u64)| {
        Rule::one(family, [a, b, *field], RuleAction::Value(*value))
    };
    pins.iter().map(rule)
}

/// Returns the word from which `below_of` draws `value` out of `of` values, with as few significant bits as possible, since
/// short words make short tokens. If `of` is at most 1, the choice is whether something happens at all, and the word is 0.
fn word_for(value: u64, of: u64) -> u64 {
    if of <= 1 {
        return 0;
    }
    let from = |value: u64| ((u128::from(value) << 64).div_ceil(u128::from(of))) as u64;
    let low = from(value.min(of - 1));
    let high = if value + 1 >= of { u64::MAX } else { from(value + 1) - 1 };
    (0..64).rev().map(|bit| high >> bit << bit).find(|word| *word >= low).unwrap_or(low)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn word_for_a_value_draws_it(of in 2..=u64::MAX, value in any::<u64>()) {
            let value = value % of;
            prop_assert_eq!(below_of(Some(word_for(value, of)), of), value);
        }
    }

    #[test]
    fn word_for_a_value_has_few_bits() {
        assert_eq!(word_for(1, 2), 1 << 63);
        assert_eq!(word_for(3, 7), 1 << 63);
        assert_eq!(word_for(1, 1), 0, "whether at all");
    }
}
