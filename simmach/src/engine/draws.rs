//! Draws: every random decision of a run, as a hash of the run's key and the decision's address.
//!
//! Draws are stateless: leaving one out does not change any other, and a decision has the same value whatever happens in the
//! rest of the run. Each family has a calm value, which has no effect. ChaCha derives the key from the seed, and drives the
//! generators that users hold. The hash is a folded multiplication: fast, and good enough for a simulation. Nothing here is
//! cryptographically secure.

pub(crate) mod address;
pub(crate) mod family;
pub(crate) mod overlay;
pub(crate) mod positions;

use rand_chacha::ChaCha12Rng;
use rand_core::{Rng, SeedableRng};

use crate::engine::draws::address::Address;
#[cfg(test)]
use crate::engine::draws::family::Family;
use crate::engine::draws::overlay::{Overlay, OverlayIndex, Position, RuleAction};

/// The run's key and its overlay.
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

    /// The overlay, as an index.
    pub(crate) fn overlay(&self) -> &OverlayIndex {
        &self.overlay
    }

    /// Returns the raw word at an address, drawn at the virtual time `at` in nanoseconds. `None`
    /// means calm.
    pub(crate) fn word(&self, address: Address, at: u64) -> Option<u64> {
        self.word_at(address, at, None)
    }

    /// Like [`word`](Self::word), for a draw with a position.
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

    /// Returns the raw word at an address, ignoring the overlay. For settings of the run, which belong to its seed.
    pub(crate) fn setting(&self, address: Address) -> u64 {
        self.seeded(address, 0)
    }

    /// Returns the word that the overlay's rules yield.
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

/// Converts a word to true with probability `p`. Calm is false.
pub(crate) fn chance_of(word: Option<u64>, p: f64) -> bool {
    p > 0.0 && word.is_some_and(|word| unit_of(Some(word)) < p)
}

/// Converts a word to a number in `[0, 1)`. Calm is 0.5, the median.
pub(crate) fn unit_of(word: Option<u64>) -> f64 {
    // 53 bits: the mantissa of an `f64`, so every value is exact.
    word.map_or(0.5, |word| (word >> 11) as f64 * (1.0 / (1u64 << 53) as f64))
}

/// Converts a word to a number in `0..n`. Calm is 0. The result is always 0 if `n` is 0 or 1.
pub(crate) fn below_of(word: Option<u64>, n: u64) -> u64 {
    word.map_or(0, |word| ((u128::from(word) * u128::from(n)) >> 64) as u64)
}

/// Hashes two words into one, for addresses.
pub(crate) fn mix(a: u64, b: u64) -> u64 {
    fold(a ^ K[2], b ^ K[3])
}

/// Hashes a text into one word, for addresses. A name's word does not depend on other machines.
pub(crate) fn mix_text(text: &str) -> u64 {
    text.bytes().fold(text.len() as u64, |hash, byte| mix(hash, u64::from(byte)))
}

/// Mixing constants, from the digits of e, the golden ratio and the square roots of 2 and 3.
pub(crate) const K: [u64; 4] =
    [0xb7e1_5162_8aed_2a6b, 0x9e37_79b9_7f4a_7c15, 0x6a09_e667_f3bc_c909, 0xbb67_ae85_84ca_a73b];

/// Multiplies two words and folds the halves of the product into one by XOR.
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

    /// A change of these numbers changes every run and invalidates every seed that a user has noted.
    #[test]
    fn draws_are_stable_across_versions() {
        let draws = draws(7);
        let found: Vec<_> = (0..3)
            .map(|n| draws.word(Address::new(Family::Latency, [1, n, 0]), 0).expect("seeded"))
            .collect();
        assert_eq!(found, GOLDEN);
    }
    const GOLDEN: [u64; 3] =
        [2_053_424_987_855_945_892, 9_038_331_871_349_784_741, 12_844_583_200_275_022_912];

    /// Each bit is set about half of the time at neighbouring addresses, in every family.
    #[test]
    fn draw_bits_are_fair() {
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
    fn draw_depends_on_every_part_of_its_address() {
        let draws = draws(1);
        let base = draws.word(Address::new(Family::Loss, [1, 2, 3]), 0);
        assert_ne!(base, draws.word(Address::new(Family::Latency, [1, 2, 3]), 0));
        assert_ne!(base, draws.word(Address::new(Family::Loss, [2, 2, 3]), 0));
        assert_ne!(base, draws.word(Address::new(Family::Loss, [1, 3, 3]), 0));
        assert_ne!(base, draws.word(Address::new(Family::Loss, [1, 2, 4]), 0));
        assert_ne!(base, self::draws(2).word(Address::new(Family::Loss, [1, 2, 3]), 0));
    }

    #[test]
    fn conversions_stay_in_range() {
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
