//! What many runs come to, added up.

use std::fmt::Write as _;
use std::time::Duration;

use super::numbers::{count, span, speed_up, thousands};
use crate::engine::effects::{Effect, Effects};
use crate::engine::mix;
use crate::outcome::Outcome;

/// The sum of many runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) seeds: u64,
    pub(crate) virtual_nanos: u128,
    pub(crate) steps: u128,
    pub(crate) effects: Effects,
    /// All their traces as one number, in whatever order they came.
    pub(crate) hash: u64,
    /// The plans of the library, and how often each did something.
    pub(crate) plans: Vec<(String, u64)>,
}

/// A test that passed.
#[derive(Clone, Debug)]
pub(crate) struct Green<'a> {
    pub(crate) test: &'a str,
    /// The only seed, if there was but one asked for by number.
    pub(crate) only: Option<u64>,
    pub(crate) tally: &'a Tally,
    pub(crate) wall: Duration,
    /// Every seed was run twice.
    pub(crate) twice: bool,
    /// Which seeds, where that is not what the attribute says.
    pub(crate) which: Option<String>,
}

impl Tally {
    /// Adds a run.
    pub(crate) fn add(&mut self, outcome: &Outcome) {
        self.seeds += 1;
        self.virtual_nanos += u128::from(outcome.virtual_nanos);
        self.steps += u128::from(outcome.steps);
        self.hash = self.hash.wrapping_add(mix(outcome.seed, outcome.trace_hash));
        self.effects.add_all(&outcome.effects);
        // The same in every run of a test, but for one that was none.
        self.plans.resize(self.plans.len().max(outcome.plans.len()), Default::default());
        for (sum, (name, acts)) in self.plans.iter_mut().zip(&outcome.plans) {
            sum.0.clone_from(name);
            sum.1 += acts;
        }
    }

    /// What the reader of a green line should mind.
    pub(crate) fn warnings(&self) -> Vec<String> {
        let idle = self.plans.iter().filter(|(_, acts)| *acts == 0);
        let warning = |(name, _): &(String, u64)| {
            format!(
                "the plan {name} did nothing in any seed: are there machines of the names it is given, and is the test \
                 long enough for it to begin?"
            )
        };
        idle.map(warning).collect()
    }
}

impl Green<'_> {
    /// One line, and one for each warning.
    pub(crate) fn text(&self) -> String {
        let tally = self.tally;
        let seeds = match self.only {
            Some(seed) => format!("seed {seed}"),
            None => count(tally.seeds, "seed"),
        };
        let mut text = format!("{}: {seeds} passed", self.test);
        if let Some(which) = &self.which {
            let _ = write!(text, " ({which})");
        }
        let _ = write!(
            text,
            ", {} of virtual time in {} ({}): {}",
            span(tally.virtual_nanos),
            span(self.wall.as_nanos()),
            speed_up(tally.virtual_nanos, self.wall),
            effects(&tally.effects).unwrap_or_else(|| "no faults".to_owned()),
        );
        if self.twice {
            let _ = write!(text, "; each twice, hash {:016x}", tally.hash);
        }
        for warning in tally.warnings() {
            let _ = write!(text, "\n{}: warning: {warning}", self.test);
        }
        text
    }
}

/// `512 partitions, 88 power-offs (31 commits lost)`; `None` when nothing took effect.
pub(crate) fn effects(effects: &Effects) -> Option<String> {
    let item = |effect: Effect, n: u64| format!("{} {}", thousands(n), effect.label(n));
    let lost = effects.count(Effect::CommitLost);
    let mut items = Vec::new();
    for (effect, n) in effects.iter() {
        match effect {
            Effect::PowerOff if lost > 0 => {
                let lost = item(Effect::CommitLost, lost);
                items.push(format!("{} ({lost})", item(effect, n)));
            }
            Effect::CommitLost if effects.count(Effect::PowerOff) > 0 => {}
            _ => items.push(item(effect, n)),
        }
    }
    (!items.is_empty()).then(|| items.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn green_is_not_hollow() {
        let mut effects = Effects::default();
        effects.add(Effect::Partition, 512);
        effects.add(Effect::PowerOff, 88);
        effects.add(Effect::CommitLost, 31);
        effects.add(Effect::PacketLost, 12_345);
        let plans = vec![("Partitions".to_owned(), 512)];
        let tally = Tally {
            seeds: 1000,
            virtual_nanos: 100_080_000_000_000,
            steps: 1,
            hash: 7,
            effects,
            plans,
        };
        let mut green = Green {
            test: "nothing_is_lost",
            only: None,
            tally: &tally,
            wall: Duration::from_millis(3200),
            twice: false,
            which: None,
        };
        assert_eq!(
            green.text(),
            "nothing_is_lost: 1,000 seeds passed, 27.8 h of virtual time in 3.2 s (x31,300): \
             88 power-offs (31 commits lost), 512 partitions, 12,345 packets lost"
        );
        green.twice = true;
        assert!(
            green.text().ends_with(" packets lost; each twice, hash 0000000000000007"),
            "{}",
            green.text()
        );
        green.twice = false;
        let plans = vec![("GracefulMonkey".to_owned(), 0)];
        let none = Tally { seeds: 1, plans, ..Tally::default() };
        green.tally = &none;
        green.only = Some(417);
        green.which = Some("shard 1/2".to_owned());
        let text = green.text();
        assert!(text.starts_with("nothing_is_lost: seed 417 passed (shard 1/2), 0 s"), "{text}");
        assert!(
            text.contains(
                ": no faults\nnothing_is_lost: warning: the plan GracefulMonkey did nothing"
            ),
            "{text}"
        );
    }
}
