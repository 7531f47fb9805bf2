//! Draws of the run on this thread.

use crate::engine::context::try_with;
use crate::engine::draws;
use crate::engine::draws::address::Address;
use crate::engine::draws::overlay;

/// Returns the raw word of a draw. `None` means calm. Outside a run and in a terminated process, every draw is calm.
pub(crate) fn word(address: Address) -> Option<u64> {
    try_with(|engine| engine.word(address)).flatten()
}

/// Draws a setting of the run in `0..n`. The setting depends only on the seed; overlays do not
/// change it.
pub(crate) fn setting_below(address: Address, n: u64) -> u64 {
    let word = try_with(|engine| engine.draws.setting(address));
    draws::below_of(word, n)
}

/// Draws true with probability `p`. Calm is false.
pub(crate) fn chance(address: Address, p: f64) -> bool {
    try_with(|engine| engine.chance(address, p)).unwrap_or(false)
}

/// Draws from `[0, 1)`. Calm is 0.5, the median.
pub(crate) fn unit(address: Address) -> f64 {
    try_with(|engine| engine.unit(address)).unwrap_or(draws::unit_of(None))
}

/// Draws from `0..n`. Calm is 0.
pub(crate) fn below(address: Address, n: u64) -> u64 {
    try_with(|engine| engine.below(address, n)).unwrap_or(0)
}

/// Whether the strike, step or fault at this address takes place; a calm one does not.
pub(crate) fn is_active(address: Address) -> bool {
    word(address).is_some()
}

/// Returns the number of the first strike or step that takes place, beginning with the one at
/// `address`.
pub(crate) fn next_active(address: Address) -> Option<u64> {
    let Address { family, words: [a, from, c] } = address;
    try_with(|engine| engine.draws.overlay().next_not_calm(family, a, from, c)).flatten()
}

/// Returns the word that the overlay sets for a draw, if it sets one.
pub(crate) fn pinned(address: Address) -> Option<u64> {
    let Address { family, words } = address;
    try_with(|engine| match engine.draws.overlay().action(family, words, engine.clock.now()) {
        overlay::RuleAction::Value(word) => Some(word),
        overlay::RuleAction::Seeded
        | overlay::RuleAction::Calm
        | overlay::RuleAction::Reseeded(_) => None,
    })
    .flatten()
}
