//! The sum of many runs, and the line that a passed test prints.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use crate::engine::mix;
use crate::engine::record::effects::{Effect, Effects};
use crate::outcome::Outcome;
use crate::report::numbers::{count, span, speed_up, thousands};
use crate::sim::{Idle, PlanActivity};

/// The sum of many runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) seeds: u64,
    pub(crate) virtual_nanos: u128,
    pub(crate) polls: u128,
    pub(crate) effects: Effects,
    /// Combined trace hash of all runs, independent of their order.
    pub(crate) hash: u64,
    /// The plans from the library.
    pub(crate) plans: Vec<PlanTally>,
}

/// How often a plan from the library had an effect, over many runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct PlanTally {
    name: String,
    /// Number of runs in which it had an effect.
    acted: u64,
    /// Number of runs in which it had none.
    idle: u64,
    /// Number of idle runs that ended before the first strike was due.
    not_due: u64,
    /// The earliest time at which a strike was due in those runs, in virtual nanoseconds.
    earliest: u64,
    /// Total virtual time of those runs.
    nanos: u128,
    /// Other reasons for idle runs, and how often each occurred.
    why: BTreeMap<Idle, u64>,
}

/// A plan that has an effect in fewer than one of this many seeds causes a warning.
const RARE: u64 = 10;

/// The line of a passed test.
#[derive(Clone, Debug)]
pub(crate) struct PassReport<'a> {
    pub(crate) test: &'a str,
    /// The seed, if a single one was asked for.
    pub(crate) only: Option<u64>,
    pub(crate) tally: &'a Tally,
    pub(crate) wall: Duration,
    /// Whether every seed was run twice.
    pub(crate) twice: bool,
    /// The selection of seeds, if it is not the attribute's.
    pub(crate) which: Option<String>,
}

impl Tally {
    /// Adds a run.
    pub(crate) fn add(&mut self, outcome: &Outcome) {
        self.seeds += 1;
        self.virtual_nanos += u128::from(outcome.virtual_nanos);
        self.polls += u128::from(outcome.polls);
        self.hash = self.hash.wrapping_add(mix(outcome.seed, outcome.trace_hash));
        self.effects.add_all(&outcome.effects);
        // Every run of a test has the same plans; a broken run has none.
        self.plans.resize(self.plans.len().max(outcome.plans.len()), Default::default());
        for (plan, acts) in self.plans.iter_mut().zip(&outcome.plans) {
            plan.add(acts, outcome.virtual_nanos);
        }
    }

    /// Warnings about plans that had little or no effect.
    pub(crate) fn warnings(&self) -> Vec<String> {
        self.plans.iter().filter_map(PlanTally::warning).collect()
    }
}

impl PlanTally {
    fn add(&mut self, acts: &PlanActivity, nanos: u64) {
        self.name.clone_from(&acts.name);
        if acts.faults > 0 {
            self.acted += 1;
            return;
        }
        self.idle += 1;
        match &acts.idle {
            Some(Idle::NotDue(first)) => {
                self.earliest = if self.not_due == 0 { *first } else { self.earliest.min(*first) };
                self.not_due += 1;
                self.nanos += u128::from(nanos);
            }
            Some(why) => *self.why.entry(why.clone()).or_default() += 1,
            None => {}
        }
    }

    /// A warning if the plan rarely or never had an effect: how often, why, and what to do.
    fn warning(&self) -> Option<String> {
        let (name, seeds) = (&self.name, self.acted + self.idle);
        let how = match self.acted {
            0 => "had no effect in any seed".to_owned(),
            acted if acted * RARE < seeds => {
                format!("had an effect in only {} of {}", thousands(acted), count(seeds, "seed"))
            }
            _ => return None,
        };
        let why = self.why().map(|why| format!(": {why}")).unwrap_or_default();
        Some(format!("plan {name} {how}{why}"))
    }

    /// The most frequent reason of the idle runs.
    fn why(&self) -> Option<String> {
        let other = self.why.iter().max_by_key(|(_, seeds)| **seeds);
        let other = other.filter(|(_, seeds)| **seeds >= self.not_due);
        match other.map(|(why, _)| why) {
            Some(Idle::TooFew(words)) => Some(words.clone()),
            Some(Idle::AllDown) => Some(
                "all machines that it may hit were down at every strike; give it machines that nothing else takes down, or \
                 restore them sooner"
                    .to_owned(),
            ),
            Some(Idle::OneSide) => Some(
                "by chance, all machines fell on one side at every strike; set a shorter `every` for more partitions, or let \
                 it part more machines"
                    .to_owned(),
            ),
            Some(Idle::NotDue(_)) | None => (self.not_due > 0).then(|| {
                format!(
                    "{} ended or settled before the first strike (due at {} or later; the average run took {}); set \
                     a shorter `every`, or make the test longer",
                    count(self.not_due, "run"),
                    span(self.earliest.into()),
                    span(self.nanos / u128::from(self.not_due)),
                )
            }),
        }
    }
}

impl PassReport<'_> {
    /// Formats the line, and one more for each warning.
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

/// Formats effects: `512 partitions, 88 power-offs (31 commits lost)`. None if there are none.
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
    fn passed_line_counts_effects() {
        let mut effects = Effects::default();
        effects.add(Effect::Partition, 512);
        effects.add(Effect::PowerOff, 88);
        effects.add(Effect::CommitLost, 31);
        effects.add(Effect::PacketLost, 12_345);
        let plans =
            vec![PlanTally { name: "Partitions".to_owned(), acted: 512, ..PlanTally::default() }];
        let tally = Tally {
            seeds: 1000,
            virtual_nanos: 100_080_000_000_000,
            polls: 1,
            hash: 7,
            effects,
            plans,
        };
        let mut green = PassReport {
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
        let plans =
            vec![PlanTally { name: "GracefulMonkey".to_owned(), idle: 1, ..PlanTally::default() }];
        let none = Tally { seeds: 1, plans, ..Tally::default() };
        green.tally = &none;
        green.only = Some(417);
        green.which = Some("shard 1/2".to_owned());
        let text = green.text();
        assert!(text.starts_with("nothing_is_lost: seed 417 passed (shard 1/2), 0 s"), "{text}");
        assert!(
            text.contains(
                ": no faults\nnothing_is_lost: warning: plan GracefulMonkey had no effect"
            ),
            "{text}"
        );
    }

    /// The tally of a plan that did something in `acted` runs, and was idle for these reasons in others of 2 s.
    fn warning(acted: u64, idle: &[(u64, Option<Idle>)]) -> Option<String> {
        let mut plan = PlanTally::default();
        let mut add = |runs, acts, idle: &Option<Idle>| {
            for _ in 0..runs {
                let acts =
                    PlanActivity { name: "PowerOffs".to_owned(), faults: acts, idle: idle.clone() };
                plan.add(&acts, 2_000_000_000);
            }
        };
        add(acted, 3, &None);
        idle.iter().for_each(|(runs, idle)| add(*runs, 0, idle));
        plan.warning()
    }

    #[test]
    fn warning_of_a_plan_has_figures_and_reason() {
        let late = |secs: u64| Some(Idle::NotDue(secs * 1_000_000_000));
        let few = || Some(Idle::TooFew("there is only `x`".to_owned()));
        assert_eq!(warning(1, &[]), None);
        assert_eq!(warning(100, &[(900, late(30))]), None, "one in ten is often enough");
        assert_eq!(
            warning(3, &[(996, late(30)), (1, late(12))]).as_deref(),
            Some(
                "plan PowerOffs had an effect in only 3 of 1,000 seeds: 997 runs ended or settled before the first \
                 strike (due at 12.0 s or later; the average run took 2.0 s); set a shorter `every`, or make the test longer"
            )
        );
        for (idle, words) in [
            (&[(5, late(30))][..], "had no effect in any seed: 5 runs ended"),
            (&[(1, late(30))], "had no effect in any seed: 1 run ended"),
            (&[(5, few())], "had no effect in any seed: there is only `x`"),
            (&[(3, few()), (2, late(1))], "there is only `x`"),
            (&[(3, Some(Idle::AllDown)), (2, late(1))], "all machines that it may hit were down"),
            (&[(2, Some(Idle::AllDown)), (3, late(1))], "3 runs ended or settled"),
            (&[(4, Some(Idle::OneSide)), (3, late(1))], "all machines fell on one side"),
            (&[(4, None)], "had no effect in any seed"),
        ] {
            let warning = warning(0, idle).expect(words);
            assert!(warning.contains(words), "{warning}");
        }
    }
}
