//! Draws which changes a power failure undoes, among those that are not durable.
//!
//! One fate is drawn for each file, and one for all names. A fate is a setting of the run: the
//! probability that each change is lost. Each loss is then a separate draw whose calm value keeps
//! the change, so that the shrinker can leave out lost writes one by one. Several kinds of fates
//! are needed: independent draws for each sector almost never lose exactly the end of a file, and
//! losing only the last changes never shows a reordering.

/// The source of decisions about changes that are not durable.
pub(crate) trait LossDraws {
    /// Draws a number below `n` that depends only on the seed.
    fn setting(&mut self, at: LossAddress, n: u64) -> u64;

    /// Draws whether something is lost, with probability `chance`. Calm is false.
    fn is_lost(&mut self, at: LossAddress, chance: f64, describe: &dyn Fn() -> String) -> bool;

    /// Draws how many of at most `n` units are lost. Calm is 0.
    fn lost_units(&mut self, at: LossAddress, n: u64, describe: &dyn Fn(u64) -> String) -> u64;
}

/// The address of one decision of a power failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct LossAddress {
    /// The word of the file, or [`NAMES`].
    pub(crate) subject: u64,
    /// The change, counted from the newest one, and the part of the change.
    pub(crate) part: u64,
}

/// The subject of draws about names.
pub(super) const NAMES: u64 = 0;

/// Number of bits for the part of a change. Parts are numbered from 1; 0 is the whole change.
const PART_BITS: u32 = 44;

/// The part of the address that stands for the size of a file after a change.
const SIZE: u64 = (1 << PART_BITS) - 1;

/// The part of the address that stands for whether a change is torn.
const TORN: u64 = SIZE - 1;

/// The probability of a loss that no seed causes, but that an overlay can cause.
pub(super) const UNLIKELY: f64 = f64::MIN_POSITIVE;

impl LossAddress {
    /// A whole change; `age` is 0 for the newest.
    pub(super) fn change(subject: u64, age: usize) -> Self {
        Self { subject, part: (age as u64) << PART_BITS }
    }

    /// A sector of the file, as a change left it.
    pub(super) fn sector(subject: u64, age: usize, sector: u64) -> Self {
        let whole = Self::change(subject, age);
        Self { part: whole.part | (sector + 1).min(TORN - 1), ..whole }
    }

    /// Whether a change is torn.
    pub(super) fn torn(subject: u64, age: usize) -> Self {
        let whole = Self::change(subject, age);
        Self { part: whole.part | TORN, ..whole }
    }

    /// The size of the file, as a change left it.
    pub(super) fn size(subject: u64, age: usize) -> Self {
        let whole = Self::change(subject, age);
        Self { part: whole.part | SIZE, ..whole }
    }

    fn fate(subject: u64, word: u64) -> Self {
        Self { subject, part: u64::MAX - word }
    }
}

/// What becomes of the changes of a file, or of names, that are not durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// All reached the disk.
    All,
    /// None did.
    Nothing,
    /// The oldest did; the one after them may be torn.
    Prefix { kept: usize, is_torn: bool },
    /// Some did, in any order, and parts of others.
    Scattered,
}

/// What a fate holds for one change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outlook {
    Kept,
    Lost,
    Torn,
}

impl Fate {
    /// Draws the fate of `count` changes.
    pub(super) fn draw(draws: &mut dyn LossDraws, subject: u64, count: usize) -> Self {
        match draws.setting(LossAddress::fate(subject, 0), 6) {
            0 => Self::All,
            1 => Self::Nothing,
            2 | 3 => {
                let kept = draws.setting(LossAddress::fate(subject, 1), count as u64) as usize;
                let is_torn = draws.setting(LossAddress::fate(subject, 2), 2) == 1;
                Self::Prefix { kept, is_torn }
            }
            _ => Self::Scattered,
        }
    }

    /// What it holds for the change with this index; 0 is the oldest.
    pub(super) fn outlook(self, index: usize) -> Outlook {
        match self {
            Self::All => Outlook::Kept,
            Self::Nothing => Outlook::Lost,
            Self::Prefix { kept, .. } if index < kept => Outlook::Kept,
            Self::Prefix { kept, is_torn: true } if index == kept => Outlook::Torn,
            Self::Prefix { .. } => Outlook::Lost,
            Self::Scattered => Outlook::Torn,
        }
    }
}
