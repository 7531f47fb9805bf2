//! Every random decision of a run: a keyed mix of the run's key and the decision's address.
//!
//! Stateless: what is not drawn shifts nothing, and the same decision has the same value however the rest of the run
//! goes. Each family has a calm value, the one that does nothing. ChaCha derives the key from the seed, and drives the
//! generators that users hold; the mix itself is a folded multiplication, which is fast and good enough for a simulation
//! and no more: nothing here is meant to be unpredictable to an adversary.

pub(crate) mod address;
mod drawing;
pub(crate) mod family;
pub(crate) mod overlay;
pub(crate) mod positions;

use rand_chacha::ChaCha12Rng;
use rand_core::{Rng, SeedableRng};

use crate::engine::draws::address::Address;
#[cfg(test)]
use crate::engine::draws::family::Family;
use crate::engine::draws::overlay::{Overlay, OverlayIndex, Position, RuleAction};

/// The run's key, and what overrules it.
#[derive(Debug)]
pub(crate) struct Draws {
    key: [u64; 2],
    overlay: OverlayIndex,
}

impl Draws {
    pub(crate) fn new(seed: u64, overlay: &Overlay) -> Self {
        let mut rng = ChaCha12Rng::seed_from_u64(seed);
        Self { key: [rng.next_u64(), rng.next_u64()], overlay: OverlayIndex::from(overlay) }
    }

    /// What overrules them.
    pub(crate) fn overlay(&self) -> &OverlayIndex {
        &self.overlay
    }

    /// The raw word at an address, drawn at this virtual time; `None` is the calm value.
    pub(crate) fn word(&self, address: Address, at: u64) -> Option<u64> {
        self.word_at(address, at, None)
    }

    /// As [`word`](Self::word), where it is known where in the test it is drawn.
    #[inline]
    pub(crate) fn word_at(
        &self,
        address: Address,
        at: u64,
        position: Option<Position>,
    ) -> Option<u64> {
        if self.overlay.is_empty() {
            return Some(self.seeded(address, 0));
        }
        self.word_by_overlay(address, at, position)
    }

    /// The raw word at an address that no overlay touches: of a setting, which is the run's own like its seed.
    pub(crate) fn setting(&self, address: Address) -> u64 {
        self.seeded(address, 0)
    }

    /// As the overlay has it.
    #[inline(never)]
    fn word_by_overlay(
        &self,
        address: Address,
        at: u64,
        position: Option<Position>,
    ) -> Option<u64> {
        match self.overlay.action_at(address.family, address.words, at, position) {
            RuleAction::Seeded => Some(self.seeded(address, 0)),
            RuleAction::Reseeded(salt) => Some(self.seeded(address, salt)),
            RuleAction::Value(word) => Some(word),
            RuleAction::Calm => None,
        }
    }

    #[inline]
    fn seeded(&self, address: Address, salt: u64) -> u64 {
        let Address { family, words: [a, b, c] } = address;
        let mut h = fold(self.key[0] ^ (family as u64), self.key[1] ^ salt ^ K[0]);
        h = fold(h ^ a, K[1] ^ self.key[0]);
        h = fold(h ^ b, K[2] ^ self.key[1]);
        h = fold(h ^ c, K[3] ^ self.key[0]);
        fold(h ^ K[1], K[0])
    }
}

/// True with probability `p`, decided by `word`; calm is false.
pub(crate) fn chance_of(word: Option<u64>, p: f64) -> bool {
    p > 0.0 && word.is_some_and(|word| unit_of(Some(word)) < p)
}

/// In `[0, 1)`; calm is one half, the median.
pub(crate) fn unit_of(word: Option<u64>) -> f64 {
    // 53 bits: every such number is exact in a double.
    word.map_or(0.5, |word| (word >> 11) as f64 * (1.0 / (1u64 << 53) as f64))
}

/// In `0..n`; calm is 0, and so is any draw below 0 or 1.
pub(crate) fn below_of(word: Option<u64>, n: u64) -> u64 {
    word.map_or(0, |word| ((u128::from(word) * u128::from(n)) >> 64) as u64)
}

/// Two words into one, for addresses.
pub(crate) fn mix(a: u64, b: u64) -> u64 {
    fold(a ^ K[2], b ^ K[3])
}

/// A text into one word, for addresses: names stay the same when machines are added.
pub(crate) fn mix_text(text: &str) -> u64 {
    text.bytes().fold(text.len() as u64, |hash, byte| mix(hash, u64::from(byte)))
}

/// The odd digits of e, the golden ratio, the square roots of 2 and 3: numbers with no pattern of their own.
pub(crate) const K: [u64; 4] =
    [0xb7e1_5162_8aed_2a6b, 0x9e37_79b9_7f4a_7c15, 0x6a09_e667_f3bc_c909, 0xbb67_ae85_84ca_a73b];

/// The full product of two words, its halves folded into one.
pub(crate) fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    (product as u64) ^ ((product >> 64) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draws(seed: u64) -> Draws {
        Draws::new(seed, &Overlay::default())
    }

    /// Golden: a change of these numbers changes every run there is, and every seed that a user wrote down.
    #[test]
    fn values_are_fixed_for_ever() {
        let draws = draws(7);
        let found: Vec<_> = (0..3)
            .map(|n| draws.word(Address::new(Family::Latency, [1, n, 0]), 0).expect("seeded"))
            .collect();
        assert_eq!(found, GOLDEN);
    }
    const GOLDEN: [u64; 3] =
        [2_053_424_987_855_945_892, 9_038_331_871_349_784_741, 12_844_583_200_275_022_912];

    /// Neighbouring addresses share no visible pattern: each bit is set about half of the time, in every family.
    #[test]
    fn bits_are_fair() {
        for family in [Family::Wake, Family::Latency, Family::Loss, Family::Choice] {
            for bit in 0..64 {
                let ones = (0..4_000u64)
                    .filter(|n| {
                        let word =
                            draws(n / 1_000).word(Address::new(family, [n % 10, n / 10, 0]), 0);
                        word.expect("seeded") >> bit & 1 == 1
                    })
                    .count();
                assert!((1_800..2_200).contains(&ones), "{family:?} bit {bit}: {ones} of 4000");
            }
        }
    }

    #[test]
    fn every_part_of_an_address_counts() {
        let draws = draws(1);
        let base = draws.word(Address::new(Family::Loss, [1, 2, 3]), 0);
        assert_ne!(base, draws.word(Address::new(Family::Latency, [1, 2, 3]), 0));
        assert_ne!(base, draws.word(Address::new(Family::Loss, [2, 2, 3]), 0));
        assert_ne!(base, draws.word(Address::new(Family::Loss, [1, 3, 3]), 0));
        assert_ne!(base, draws.word(Address::new(Family::Loss, [1, 2, 4]), 0));
        assert_ne!(base, self::draws(2).word(Address::new(Family::Loss, [1, 2, 3]), 0));
    }

    #[test]
    fn ranges_hold() {
        for n in 0..1_000 {
            let word = draws(3).word(Address::new(Family::Choice, [n, 0, 0]), 0);
            assert!(below_of(word, 7) < 7);
            assert!((0.0..1.0).contains(&unit_of(word)));
        }
        assert_eq!(below_of(Some(u64::MAX), 0), 0);
        assert_eq!((below_of(None, 7), chance_of(None, 1.0)), (0, false), "calm");
        assert!(chance_of(Some(u64::MAX), 1.0), "certain is certain");
    }
}
