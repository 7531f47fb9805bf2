//! Overlays: ordered lists of rules that overrule a run's draws. The last rule that matches a draw
//! wins. An overlay may also have a script, which replaces the run's plans.
//!
//! An overlay is plain data. The shrinker creates overlays to leave out parts of a run, and a token
//! contains one. A run with an empty overlay depends only on its seed.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::engine::acts::Script;
use crate::engine::draws::family::Family;

/// An ordered list of rules and, optionally, a script. The last rule that matches a draw wins.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct Overlay {
    rules: Vec<Rule>,
    /// The script that replaces the plans; `None` if plans run.
    script: Option<Script>,
}

/// A rule: which draws it matches, and what it changes them to.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct Rule {
    /// The family; `None` means any.
    pub family: Option<Family>,
    /// The inclusive range of each word of the address; `None` means any.
    pub address: [Option<(u64, u64)>; 3],
    /// The inclusive range of the draw's virtual time in nanoseconds; `None` means any.
    pub time: Option<(u64, u64)>,
    /// The position of one draw, used instead of address and time.
    pub position: Option<Position>,
    /// What the rule does to the matching draws.
    pub action: RuleAction,
}

/// The position of a draw in the test: the nth draw of its family in a lane since a step began.
/// Unlike an address, a position does not change when earlier steps are left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(crate) struct Position {
    /// The step sequence; 0 before the first one.
    pub sequence: u64,
    /// The step of the sequence.
    pub step: u64,
    /// The lane: draws of different lanes are numbered separately. For packets it is the path between two machines.
    pub lane: u64,
    /// The number of the draw, from 0.
    pub nth: u64,
}

/// What a rule makes of a draw.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) enum RuleAction {
    /// The seed decides.
    Seeded,
    /// The draw has its calm value: no fault, first in first out, the median, the smallest choice.
    Calm,
    /// The draw has this value.
    Value(u64),
    /// The seed decides, with this salt: a different random value.
    Reseeded(u64),
}

impl Overlay {
    /// An overlay that makes every draw calm.
    pub(crate) fn calm() -> Self {
        Self { rules: vec![Rule::all(None, RuleAction::Calm)], script: None }
    }

    /// Adds a rule, which takes precedence over all earlier rules.
    pub(crate) fn push(&mut self, rule: Rule) {
        self.rules.push(rule);
    }

    /// Returns the same overlay, with a script that replaces the plans.
    pub(crate) fn with_script(self, script: Option<Script>) -> Self {
        Self { script, ..self }
    }

    /// Returns the script that replaces the plans; `None` if plans run.
    pub(crate) fn script(&self) -> Option<&Script> {
        self.script.as_ref()
    }

    /// The rules, in order.
    pub(crate) fn rules(&self) -> &[Rule] {
        &self.rules
    }
}

impl FromIterator<Rule> for Overlay {
    fn from_iter<I: IntoIterator<Item = Rule>>(rules: I) -> Self {
        Self { rules: rules.into_iter().collect(), script: None }
    }
}

impl Rule {
    /// A rule for all draws of a family, or of every family.
    pub(crate) fn all(family: Option<Family>, action: RuleAction) -> Self {
        Self { family, address: [None; 3], time: None, position: None, action }
    }

    /// A rule for one draw by its address.
    pub(crate) fn one(family: Family, address: [u64; 3], action: RuleAction) -> Self {
        let address = address.map(|word| Some((word, word)));
        Self { family: Some(family), address, time: None, position: None, action }
    }

    /// A rule for one draw by its position.
    pub(crate) fn at(family: Family, position: Position, action: RuleAction) -> Self {
        Self { position: Some(position), ..Self::all(Some(family), action) }
    }

    fn exact(&self) -> Option<(Family, [u64; 3])> {
        let word = |at: usize| self.address[at].filter(|(low, high)| low == high);
        match (self.family, self.time) {
            (Some(family), None) => Some((family, [word(0)?.0, word(1)?.0, word(2)?.0])),
            _ => None,
        }
    }

    fn matches(&self, family: Family, address: [u64; 3], at: u64) -> bool {
        let within = |range: Option<(u64, u64)>, word| {
            range.is_none_or(|(low, high)| low <= word && word <= high)
        };
        self.family.is_none_or(|own| own == family)
            && within(self.time, at)
            && self.address.iter().zip(address).all(|(range, word)| within(*range, word))
    }
}

/// An overlay as an index: rules for a single draw are looked up in maps instead of being searched one by one.
#[derive(Debug, Default)]
pub(crate) struct OverlayIndex {
    exact: BTreeMap<(Family, [u64; 3]), (usize, RuleAction)>,
    by_position: BTreeMap<(Family, Position), (usize, RuleAction)>,
    rest: Vec<(usize, Rule)>,
}

impl OverlayIndex {
    pub(crate) fn is_empty(&self) -> bool {
        self.exact.is_empty() && self.by_position.is_empty() && self.rest.is_empty()
    }

    /// Whether there are rules by position.
    pub(crate) fn has_positions(&self) -> bool {
        !self.by_position.is_empty()
    }

    /// Like [`action`](Self::action), for a draw with a position.
    pub(crate) fn action_at(
        &self,
        family: Family,
        address: [u64; 3],
        at: u64,
        position: Option<Position>,
    ) -> RuleAction {
        match position.and_then(|position| self.by_position.get(&(family, position))) {
            Some((nth, action)) => {
                let wider = self.last_match(family, address, at);
                wider.filter(|(other, _)| other > nth).map_or(*action, |(_, action)| action)
            }
            None => self.action(family, address, at),
        }
    }

    /// Returns the action for a draw at this virtual time.
    pub(crate) fn action(&self, family: Family, address: [u64; 3], at: u64) -> RuleAction {
        self.last_match(family, address, at).map_or(RuleAction::Seeded, |(_, action)| action)
    }

    /// Returns the last rule that matches, with its index.
    fn last_match(
        &self,
        family: Family,
        address: [u64; 3],
        at: u64,
    ) -> Option<(usize, RuleAction)> {
        let exact = self.exact.get(&(family, address)).copied();
        let rest = self.rest.iter().rev().find(|(_, rule)| rule.matches(family, address, at));
        let rest = rest.map(|(nth, rule)| (*nth, rule.action));
        exact.into_iter().chain(rest).max_by_key(|(nth, _)| *nth)
    }

    /// Returns the first number, starting at `from`, for which the draw at (`a`, number, `c`) is not calm.
    pub(crate) fn next_not_calm(&self, family: Family, a: u64, from: u64, c: u64) -> Option<u64> {
        let is_not_calm =
            |number: u64| !matches!(self.action(family, [a, number, c], 0), RuleAction::Calm);
        if is_not_calm(from) {
            return Some(from);
        }
        // The action can change only where the range of a rule begins or has ended.
        let rest = self.rest.iter().filter_map(|(_, rule)| rule.address[1]);
        let exact =
            self.exact.keys().filter(|(own, _)| *own == family).map(|(_, [_, b, _])| (*b, *b));
        let mut changes: Vec<u64> = rest
            .chain(exact)
            .flat_map(|(low, high)| [Some(low), high.checked_add(1)])
            .flatten()
            .filter(|change| *change > from)
            .collect();
        changes.sort_unstable();
        changes.into_iter().find(|change| is_not_calm(*change))
    }
}

impl From<&Overlay> for OverlayIndex {
    fn from(overlay: &Overlay) -> Self {
        let mut index = Self::default();
        for (nth, rule) in overlay.rules.iter().enumerate() {
            match (rule.family.zip(rule.position), rule.exact()) {
                (Some(position), _) => {
                    index.by_position.insert(position, (nth, rule.action));
                }
                (None, Some(address)) => {
                    index.exact.insert(address, (nth, rule.action));
                }
                (None, None) => index.rest.push((nth, rule.clone())),
            }
        }
        index
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn overlay() -> Overlay {
        let mut overlay = Overlay::calm();
        overlay.push(Rule {
            family: Some(Family::Loss),
            address: [Some((5, 6)), None, None],
            time: None,
            position: None,
            action: RuleAction::Seeded,
        });
        overlay.push(Rule {
            family: Some(Family::Loss),
            address: [Some((6, 6)), None, Some((1, 1))],
            time: Some((10, 20)),
            position: None,
            action: RuleAction::Value(9),
        });
        overlay
    }

    #[test]
    fn last_matching_rule_wins() {
        let index = OverlayIndex::from(&overlay());
        let action = |family, address| index.action(family, address, 10);
        assert_eq!(action(Family::Loss, [4, 0, 0]), RuleAction::Calm);
        assert_eq!(action(Family::Latency, [5, 0, 0]), RuleAction::Calm);
        assert_eq!(action(Family::Loss, [5, 0, 1]), RuleAction::Seeded);
        assert_eq!(action(Family::Loss, [6, 0, 0]), RuleAction::Seeded);
        assert_eq!(action(Family::Loss, [6, 0, 1]), RuleAction::Value(9));
        assert_eq!(
            index.action(Family::Loss, [6, 0, 1], 21),
            RuleAction::Seeded,
            "outside its range of time"
        );
        assert_eq!(OverlayIndex::default().action(Family::Loss, [6, 0, 1], 10), RuleAction::Seeded);
    }

    /// A rule for one draw is found in a map, and still keeps its order among the other rules.
    #[test]
    fn exact_rule_before_and_after_a_wider_rule() {
        let one = |action| Rule::one(Family::Loss, [5, 7, 1], action);
        let mut before: Overlay = [one(RuleAction::Value(3))].into_iter().collect();
        before.push(Rule::all(Some(Family::Loss), RuleAction::Calm));
        assert_eq!(
            OverlayIndex::from(&before).action(Family::Loss, [5, 7, 1], 0),
            RuleAction::Calm
        );
        let mut behind = before.clone();
        behind.push(one(RuleAction::Value(4)));
        assert_eq!(
            OverlayIndex::from(&behind).action(Family::Loss, [5, 7, 1], 0),
            RuleAction::Value(4)
        );
        assert_eq!(
            OverlayIndex::from(&behind).action(Family::Loss, [5, 7, 2], 0),
            RuleAction::Calm
        );
    }

    #[test]
    fn rule_by_position_overrules_the_address() {
        let position = Position { sequence: 1, step: 2, lane: 3, nth: 4 };
        let mut overlay = Overlay::calm();
        overlay.push(Rule::at(Family::Loss, position, RuleAction::Value(0)));
        let at = |overlay: &Overlay, position| {
            OverlayIndex::from(overlay).action_at(Family::Loss, [5, 6, 7], 8, position)
        };
        assert_eq!(at(&overlay, Some(position)), RuleAction::Value(0));
        assert_eq!(at(&overlay, Some(Position { nth: 5, ..position })), RuleAction::Calm);
        assert_eq!(at(&overlay, None), RuleAction::Calm);
        overlay.push(Rule::all(Some(Family::Loss), RuleAction::Seeded));
        assert_eq!(at(&overlay, Some(position)), RuleAction::Seeded, "the last wins");
    }

    #[test]
    fn next_not_calm_skips_calm_ranges() {
        let mut overlay = Overlay::calm();
        let next = |overlay: &Overlay, from| {
            OverlayIndex::from(overlay).next_not_calm(Family::Step, 1, from, 0)
        };
        assert_eq!(next(&overlay, 0), None);
        let mut keep = |low, high, action| {
            overlay.push(Rule {
                family: Some(Family::Step),
                address: [Some((1, 1)), Some((low, high)), None],
                time: None,
                position: None,
                action,
            });
        };
        keep(3, 9, RuleAction::Seeded);
        keep(4, 7, RuleAction::Calm);
        keep(6, 6, RuleAction::Seeded);
        overlay.push(Rule::one(Family::Step, [1, 20, 0], RuleAction::Seeded));
        let found: Vec<_> = [0, 3, 4, 6, 7, 9, 10, 20, 21].map(|from| next(&overlay, from)).into();
        let expected = [3, 3, 6, 6, 8, 9, 20, 20];
        assert_eq!(found[..8], expected.map(Some));
        assert_eq!(found[8], None);
        assert_eq!(next(&Overlay::default(), 17), Some(17));
    }
}
