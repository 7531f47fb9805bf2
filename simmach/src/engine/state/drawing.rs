//! Typed draws. Draws that are not calm are recorded.

use crate::engine::draws;
use crate::engine::draws::address::Address;
use crate::engine::draws::family::Family;
use crate::engine::record::deviations::{Deviation, DeviationKind};
use crate::engine::state::Engine;

impl Engine {
    /// Draws true with probability `p`. Calm is false.
    pub(crate) fn chance(&self, address: Address, p: f64) -> bool {
        p > 0.0
            // The addresses of disk losses do not depend on what was left out.
            && self.drawn(address, address.family != Family::DiskLoss, |word| {
                let chance = draws::chance_of(word, p);
                (chance, u64::from(chance), 1)
            })
    }

    /// Draws from `[0, 1)`. Calm is 0.5, the median.
    pub(crate) fn unit(&self, address: Address) -> f64 {
        // The latency of a packet's copy is not counted, since it is only drawn if there is a copy.
        let is_counted = address.family == Family::Latency && !address.is_second();
        self.drawn(address, is_counted, |word| {
            (draws::unit_of(word), word.map_or(0, |word| word.max(1)), 0)
        })
    }

    /// Draws from `0..n`. Calm is 0.
    pub(crate) fn below(&self, address: Address, n: u64) -> u64 {
        self.drawn(address, false, |word| {
            let below = draws::below_of(word, n);
            (below, below, n)
        })
    }

    /// Draws from `1..=n` with probability `p`, and 0 otherwise. Calm is 0.
    pub(crate) fn sometimes(&self, address: Address, p: f64, n: u64) -> u64 {
        self.drawn(address, false, |word| {
            let unit = word.map_or(1.0, |word| draws::unit_of(Some(word)));
            // What is below `p`, stretched to the whole range.
            let drawn = if unit < p { ((unit / p * n as f64) as u64 + 1).min(n) } else { 0 };
            (drawn, drawn, n + 1)
        })
    }

    /// Shuffles `items`. `address` returns the address of the draw for a position. The calm order
    /// is the given one.
    pub(crate) fn shuffle<T>(&self, items: &mut [T], address: impl Fn(u64) -> Address) {
        for at in 1..items.len() {
            let address = address(at as u64);
            // The calm value 0 leaves the item in place.
            let back = draws::below_of(self.word(address), at as u64 + 1);
            if back > 0 {
                let now = self.clock.now();
                self.record(|recorder| {
                    recorder.add(Deviation::new(address, DeviationKind::Order, back, now));
                });
            }
            items.swap(at, at - back as usize);
        }
    }

    /// Makes a draw and records it unless its value is 0, which is calm. `convert` returns the result and, for the record, the
    /// value and the number of possible values.
    fn drawn<T>(
        &self,
        address: Address,
        is_counted: bool,
        convert: impl Fn(Option<u64>) -> (T, u64, u64),
    ) -> T {
        let position = if is_counted { self.next_position(address.family) } else { None };
        let (result, value, of) = convert(self.word_at(address, position));
        if value > 0 {
            self.record(|recorder| {
                let at = self.clock.now();
                let deviation = Deviation::new(address, kind_of(address.family, of), value, at);
                recorder.add(Deviation { of, position, ..deviation });
            });
        }
        result
    }
}

fn kind_of(family: Family, of: u64) -> DeviationKind {
    match family {
        Family::Loss | Family::Duplicate => DeviationKind::PacketFault,
        // Whether a packet is held back. The other draw of the family decides for how long.
        Family::Reorder if of > 0 => DeviationKind::PacketFault,
        Family::Strike => DeviationKind::Field,
        Family::Choice => DeviationKind::Choice,
        Family::Wake | Family::Start | Family::Select | Family::Epoll => DeviationKind::Order,
        Family::Step => DeviationKind::Step,
        Family::DiskLoss => DeviationKind::DiskLoss,
        Family::Fault | Family::Act => DeviationKind::Strike,
        Family::Reorder
        | Family::Latency
        | Family::Commit
        | Family::Blocking
        | Family::FileCall
        | Family::Boot
        | Family::Oscillator
        | Family::Isn
        | Family::Generator
        | Family::Entropy => DeviationKind::Delay,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::engine::draws::overlay::Overlay;
    use crate::engine::record::deviations::RecordLevel;

    fn engine(overlay: &Overlay) -> Engine {
        Engine::new(7, overlay, false, RecordLevel::All, Arc::default())
    }

    #[test]
    fn sometimes_draws_the_whole_range() {
        let engine = engine(&Overlay::default());
        let mut counts = [0; 5];
        for nth in 0..4_000 {
            counts[engine.sometimes(Address::boot(nth), 0.6, 4) as usize] += 1;
        }
        assert!((1_500..1_700).contains(&counts[0]), "{counts:?}");
        assert!(counts[1..].iter().all(|count| (540..660).contains(count)), "{counts:?}");
        let deviations = engine.take_deviations().deviations;
        assert_eq!(deviations.len(), 4_000 - counts[0], "0 is no deviation");
        assert_eq!(engine.sometimes(Address::boot(1), 0.0, 4), 0);
        assert!((0..99).all(|nth| engine.sometimes(Address::boot(nth), 1.0, 4) > 0));
    }

    #[test]
    fn calm_draws_have_no_effect() {
        let engine = engine(&Overlay::calm());
        let calm =
            (engine.sometimes(Address::boot(1), 1.0, 9), engine.unit(Address::oscillator(1)));
        assert_eq!(calm, (0, 0.5));
        assert_eq!(engine.take_deviations().deviations, []);
    }
}
