//! What overrules a run's draws: an ordered list of rules, of which the last that fits wins.
//!
//! Plain data, so that a run can be told from outside what to leave out. The shrinker writes overlays, a token carries
//! one; a run with an empty one is just its seed.

use serde::{Deserialize, Serialize};

use super::family::Family;

/// An ordered list of rules; the last that fits an address wins.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Overlay {
    rules: Vec<Rule>,
}

/// For the draws of a family, or of all, within ranges of the address: how they are made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rule {
    /// `None` means every family.
    pub family: Option<Family>,
    /// The inclusive range of each word of the address; `None` means any.
    pub address: [Option<(u64, u64)>; 3],
    /// What becomes of them.
    pub ruling: Ruling,
}

/// How a draw is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ruling {
    /// By the seed.
    Seeded,
    /// Its calm value: no fault, first in first out, the median, the smallest choice.
    Calm,
    /// This word.
    Value(u64),
    /// By the seed, with this salt: another value of the same kind.
    Again(u64),
}

impl Overlay {
    /// Nothing happens that does not have to.
    #[cfg_attr(not(test), expect(dead_code, reason = "a shrinker starts from it"))]
    pub fn calm() -> Self {
        Self { rules: vec![Rule { family: None, address: [None; 3], ruling: Ruling::Calm }] }
    }

    /// Adds a rule that wins over all before it.
    #[cfg_attr(not(test), expect(dead_code, reason = "a shrinker writes rules"))]
    pub fn push(&mut self, rule: Rule) {
        self.rules.push(rule);
    }

    /// True when the run is just its seed.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    pub(crate) fn ruling(&self, family: Family, a: u64, b: u64, c: u64) -> Ruling {
        self.rules
            .iter()
            .rev()
            .find(|rule| rule.fits(family, [a, b, c]))
            .map_or(Ruling::Seeded, |rule| rule.ruling)
    }
}

impl Rule {
    fn fits(&self, family: Family, address: [u64; 3]) -> bool {
        self.family.is_none_or(|own| own == family)
            && self
                .address
                .iter()
                .zip(address)
                .all(|(range, word)| range.is_none_or(|(low, high)| (low..=high).contains(&word)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_rule_that_fits_wins() {
        let mut overlay = Overlay::calm();
        overlay.push(Rule {
            family: Some(Family::Loss),
            address: [Some((5, 6)), None, None],
            ruling: Ruling::Seeded,
        });
        overlay.push(Rule {
            family: Some(Family::Loss),
            address: [Some((6, 6)), None, Some((1, 1))],
            ruling: Ruling::Value(9),
        });
        assert_eq!(overlay.ruling(Family::Loss, 4, 0, 0), Ruling::Calm);
        assert_eq!(overlay.ruling(Family::Latency, 5, 0, 0), Ruling::Calm);
        assert_eq!(overlay.ruling(Family::Loss, 5, 0, 1), Ruling::Seeded);
        assert_eq!(overlay.ruling(Family::Loss, 6, 0, 0), Ruling::Seeded);
        assert_eq!(overlay.ruling(Family::Loss, 6, 0, 1), Ruling::Value(9));
        assert_eq!(Overlay::default().ruling(Family::Loss, 6, 0, 1), Ruling::Seeded);
    }
}
