//! Which kinds of faults a run has.

use crate::chaos::swarm::fault::Kind;
use crate::engine::draws::address::Address;
use crate::engine::{self, mix};

/// Which kinds of faults a run has.
#[derive(Clone, Copy, Debug)]
pub(super) enum Mask {
    None,
    All,
    /// This number of kinds, selected by the word.
    Few(usize, u64),
    /// The kinds whose bits are set.
    Some(u64),
}

/// The field of a plan's settings that contains its mask, after its tempo.
const MASK: u64 = 64;

impl Mask {
    /// Draws which kinds a run has. Of 16 runs, one has no faults, three have all kinds, and six have
    /// one to four kinds. The others have each kind with probability 0.5.
    ///
    /// Some bugs need many faults of a single kind and no others; other bugs need many kinds.
    pub(super) fn drawn(plan: u64) -> Self {
        let below = |field, n| engine::setting_below(Address::plan_setting(plan, field), n);
        match below(MASK, 16) {
            0 => Self::None,
            1..=3 => Self::All,
            4..=9 => Self::Few(1 + below(MASK + 2, 4) as usize, below(MASK + 3, u64::MAX)),
            _ => Self::Some(below(MASK + 1, 1 << Kind::ALL.len())),
        }
    }

    /// Returns those of the kinds that the run has.
    pub(super) fn of(self, mut kinds: Vec<Kind>) -> Vec<Kind> {
        match self {
            Self::None => kinds.clear(),
            Self::All => {}
            Self::Few(count, word) => {
                kinds.sort_by_key(|kind| mix(word, *kind as u64));
                kinds.truncate(count);
                kinds.sort_by_key(|kind| *kind as u64);
            }
            Self::Some(bits) => kinds.retain(|kind| bits >> *kind as u64 & 1 == 1),
        }
        kinds
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mask_has_none_all_or_some_of_the_kinds() {
        let all = || Kind::ALL.to_vec();
        assert_eq!(Mask::None.of(all()), []);
        assert_eq!(Mask::All.of(all()), Kind::ALL);
        assert_eq!(Mask::Some(0b101).of(all()), [Kind::Stop, Kind::PowerOff]);
        let few: Vec<_> = (0..100).map(|word| Mask::Few(2, word).of(all())).collect();
        assert!(few.iter().all(|kinds| kinds.len() == 2));
        assert!(Kind::ALL.iter().all(|kind| few.iter().any(|kinds| kinds.contains(kind))));
        assert_eq!(Mask::Few(4, 7).of(vec![Kind::Kill]), [Kind::Kill]);
    }
}
