//! The totals of many runs, and the line that a passed test prints.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::time::Duration;

use crate::engine::mix;
use crate::engine::record::effects::{Effect, Effects};
use crate::outcome::Outcome;
use crate::report::numbers::{count, span, speed_up, thousands};
use crate::sim::{A_PLAN, Idle, Kinds, PlanActivity, Want};

/// The totals of many runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct RunTotals {
    pub(crate) seeds: u64,
    pub(crate) virtual_nanos: u128,
    pub(crate) polls: u128,
    pub(crate) effects: Effects,
    /// Combined trace hash of all runs. It does not depend on the order of the runs.
    pub(crate) hash: u64,
    /// The plans from the library.
    pub(crate) plans: Vec<PlanTotals>,
    /// Warnings about private state that simmach must control to make runs repeat, but did not
    /// find.
    pub(crate) unmet: BTreeSet<String>,
}

/// How often a plan from the library had an effect, over many runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct PlanTotals {
    name: String,
    /// Number of runs in which the plan had an effect.
    effective: u64,
    /// Number of idle runs, in which the plan had no effect.
    idle: u64,
    /// Number of idle runs that ended before the first strike was due.
    not_due: u64,
    /// The earliest time at which a strike was due in these idle runs, in virtual nanoseconds.
    earliest: u64,
    /// Total virtual time of these idle runs, in nanoseconds.
    nanos: u128,
    /// Other reasons for idle runs, and how often each occurred.
    reasons: BTreeMap<Idle, u64>,
    /// What the plan needed of the program, and the number of runs in which it never occurred.
    unmet: BTreeMap<Want, u64>,
    /// The kinds of faults that any run has drawn for the plan.
    drawn: BTreeSet<String>,
    /// The kinds that some runs did not draw.
    undrawn: BTreeSet<String>,
    /// The kinds that the test must claim to survive.
    unclaimed: BTreeSet<String>,
}

/// A plan that has an effect in fewer than one of this many seeds causes a warning.
const RARE: u64 = 10;

/// The line of a passed test.
#[derive(Clone, Debug)]
pub(crate) struct PassReport<'a> {
    pub(crate) test: &'a str,
    /// The seed, if a single seed was selected.
    pub(crate) only: Option<u64>,
    pub(crate) totals: &'a RunTotals,
    pub(crate) wall: Duration,
    /// Whether every seed was run twice.
    pub(crate) twice: bool,
    /// Where the seeds come from, if not from the attribute.
    pub(crate) seed_source: Option<String>,
}

impl RunTotals {
    /// Adds a run.
    pub(crate) fn add(&mut self, outcome: &Outcome) {
        self.seeds += 1;
        self.virtual_nanos += u128::from(outcome.virtual_nanos);
        self.polls += u128::from(outcome.polls);
        self.hash = self.hash.wrapping_add(mix(outcome.seed, outcome.trace_hash));
        self.effects.add_all(&outcome.effects);
        self.unmet.extend(outcome.unmet.iter().cloned());
        // Every run of a test has the same plans; a broken run has none.
        self.plans.resize(self.plans.len().max(outcome.plans.len()), Default::default());
        for (plan, activity) in self.plans.iter_mut().zip(&outcome.plans) {
            plan.add(activity, outcome.virtual_nanos);
        }
    }

    /// Returns warnings about plans that had little or no effect, and about mechanisms that make runs repeat but were not
    /// found.
    pub(crate) fn warnings(&self) -> Vec<String> {
        let plans = self.plans.iter().flat_map(|plan| plan.warnings(self.seeds));
        plans.chain(self.unmet.iter().cloned()).collect()
    }
}

impl PlanTotals {
    fn add(&mut self, activity: &PlanActivity, nanos: u64) {
        self.name.clone_from(&activity.name);
        let Kinds { drawn, undrawn, unclaimed } = &activity.kinds;
        self.drawn.extend(drawn.iter().cloned());
        self.undrawn.extend(undrawn.iter().cloned());
        self.unclaimed.extend(unclaimed.iter().cloned());
        for want in &activity.unmet {
            *self.unmet.entry(want.clone()).or_default() += 1;
        }
        if activity.faults > 0 {
            self.effective += 1;
            return;
        }
        self.idle += 1;
        match &activity.idle {
            Some(Idle::NotDue(first)) => {
                self.earliest = if self.not_due == 0 { *first } else { self.earliest.min(*first) };
                self.not_due += 1;
                self.nanos += u128::from(nanos);
            }
            Some(reason) => *self.reasons.entry(reason.clone()).or_default() += 1,
            None => {}
        }
    }

    /// Returns warnings about a plan that rarely had an effect, and about what it needed and mostly did not get.
    fn warnings(&self, seeds: u64) -> Vec<String> {
        let unmet = self.unmet.iter().filter(|(_, runs)| **runs * 2 > seeds);
        let unmet = unmet.map(|(want, runs)| describe_unmet(&self.name, want, *runs, seeds));
        let effect = self.warning().filter(|_| self.name != A_PLAN);
        effect.into_iter().chain(unmet).collect()
    }

    /// Returns a line about the kinds of faults that the runs have drawn, if the plan draws them.
    fn kinds(&self) -> Option<String> {
        let list = |kinds: &mut dyn Iterator<Item = &String>| {
            kinds.map(String::as_str).collect::<Vec<_>>().join(", ")
        };
        let never = list(&mut self.undrawn.difference(&self.drawn));
        let all = self.drawn.union(&self.undrawn).count();
        let mut text = match never.as_str() {
            _ if all == 0 => return None,
            "" => format!("{} drew all {all} kinds of faults", self.name),
            never => format!(
                "{} drew {} of {all} kinds of faults; not drawn: {never}",
                self.name,
                self.drawn.len()
            ),
        };
        if !self.unclaimed.is_empty() {
            let off = list(&mut self.unclaimed.iter());
            let _ = write!(text, "; left out (add them with `survives`): {off}");
        }
        Some(text)
    }

    /// Returns a warning if the plan rarely or never had an effect: how often, why, and what to do.
    fn warning(&self) -> Option<String> {
        let (name, seeds) = (&self.name, self.effective + self.idle);
        let how_often = match self.effective {
            0 => "had no effect in any seed".to_owned(),
            effective if effective * RARE < seeds => {
                format!(
                    "had an effect in only {} of {}",
                    thousands(effective),
                    count(seeds, "seed")
                )
            }
            _ => return None,
        };
        let reason = self.main_reason().map(|reason| format!(": {reason}")).unwrap_or_default();
        Some(format!("plan {name} {how_often}{reason}"))
    }

    /// The most frequent reason of the idle runs.
    fn main_reason(&self) -> Option<String> {
        let other = self.reasons.iter().max_by_key(|(_, seeds)| **seeds);
        let other = other.filter(|(_, seeds)| **seeds >= self.not_due);
        match other.map(|(reason, _)| reason) {
            Some(Idle::TooFew(words)) => Some(words.clone()),
            Some(Idle::Spared) => Some(
                "none of these seeds selected any kind of fault (by design, one seed in sixteen selects none): run more seeds"
                    .to_owned(),
            ),
            Some(Idle::AllDown) => Some(
                "whenever a fault was due, all machines that the plan may take down were already down: select \
                 machines that no other plan takes down, or set a shorter time until they start again"
                    .to_owned(),
            ),
            Some(Idle::OneSide) => Some(
                "whenever a partition was due, the plan put all machines on the same side: set a shorter `every`, \
                 or select more machines"
                    .to_owned(),
            ),
            Some(Idle::NoRoom) => Some(
                "whenever a fault was due, as many machines were down or hit as the budget allows: raise the budget, \
                 or set a shorter time until machines start again"
                    .to_owned(),
            ),
            Some(Idle::NotDrawn) => Some(
                "other plans were drawn in its place: run more seeds, or give fewer plans to choose from".to_owned(),
            ),
            Some(Idle::NoEvent(why)) => Some(why.clone()),
            Some(Idle::NoRole(role)) => Some(format!(
                "whenever a fault was due, no running machine that the plan may hit had the role `{role}`: \
                 select more machines, use `prefer_role`, or set a shorter `every`"
            )),
            Some(Idle::NotDue(_)) | None => (self.not_due > 0).then(|| {
                format!(
                    "{} ended, or called `Sim::settle`, before the plan's first fault was due (at {} or later); \
                     these runs took {} on average: set a shorter `every`, or make the test longer",
                    count(self.not_due, "run"),
                    span(self.earliest.into()),
                    span(self.nanos / u128::from(self.not_due)),
                )
            }),
        }
    }
}

/// Returns the warning that what a plan needs of the program did not occur in these runs, and what to
/// do.
fn describe_unmet(plan: &str, want: &Want, runs: u64, seeds: u64) -> String {
    let in_runs = match runs {
        _ if runs == seeds => "in any seed".to_owned(),
        runs => format!("in {} of {}", thousands(runs), count(seeds, "seed")),
    };
    let plan = if plan == A_PLAN { A_PLAN.to_owned() } else { format!("plan {plan}") };
    match want {
        Want::Point(point) => format!(
            "{plan} waits for the fault point `{point}`, which no code passed {in_runs}: name it in the code under test \
             with `simmach::fault_point!(\"{point}\")`, or correct its name in the plan",
        ),
        Want::Role(role) => format!(
            "{plan} aims at the role `{role}`, which no machine had {in_runs}: declare the role in the code under \
             test with `simmach::role::enter(\"{role}\")`, or in the test with `sim.role(\"{role}\", machine)`"
        ),
    }
}

impl PassReport<'_> {
    /// Formats the line, and one more for each warning.
    pub(crate) fn text(&self) -> String {
        let totals = self.totals;
        let seeds = match self.only {
            Some(seed) => format!("seed {seed}"),
            None => count(totals.seeds, "seed"),
        };
        let mut text = format!("{}: {seeds} passed", self.test);
        if let Some(source) = &self.seed_source {
            let _ = write!(text, " ({source})");
        }
        let _ = write!(
            text,
            ", {} of virtual time in {} ({}): {}",
            span(totals.virtual_nanos),
            span(self.wall.as_nanos()),
            speed_up(totals.virtual_nanos, self.wall),
            effects(&totals.effects).unwrap_or_else(|| "no faults".to_owned()),
        );
        if self.twice {
            let _ = write!(
                text,
                "; every seed was run twice; trace hash {:016x} (on another computer, the hash should be the same)",
                totals.hash
            );
        }
        for kinds in totals.plans.iter().filter_map(PlanTotals::kinds) {
            let _ = write!(text, "\n{}: {kinds}", self.test);
        }
        for warning in totals.warnings() {
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
    use crate::engine::failure::verdict::Verdict;

    #[test]
    fn passed_line_counts_effects() {
        let mut effects = Effects::default();
        effects.add(Effect::Partition, 512);
        effects.add(Effect::PowerOff, 88);
        effects.add(Effect::CommitLost, 31);
        effects.add(Effect::PacketLost, 12_345);
        let plans = vec![PlanTotals {
            name: "Partitions".to_owned(),
            effective: 512,
            ..PlanTotals::default()
        }];
        let totals = RunTotals {
            seeds: 1000,
            virtual_nanos: 100_080_000_000_000,
            polls: 1,
            hash: 7,
            effects,
            plans,
            ..RunTotals::default()
        };
        let mut report = PassReport {
            test: "nothing_is_lost",
            only: None,
            totals: &totals,
            wall: Duration::from_millis(3200),
            twice: false,
            seed_source: None,
        };
        assert_eq!(
            report.text(),
            "nothing_is_lost: 1,000 seeds passed, 27.8 h of virtual time in 3.2 s (x31,300): \
             88 power-offs (31 commits lost), 512 partitions, 12,345 packets lost"
        );
        report.twice = true;
        assert!(
            report.text().ends_with(
                " packets lost; every seed was run twice; trace hash 0000000000000007 (on another \
                 computer, the hash should be the same)"
            ),
            "{}",
            report.text()
        );
        report.twice = false;
        let plans = vec![PlanTotals {
            name: "GracefulMonkey".to_owned(),
            idle: 1,
            ..PlanTotals::default()
        }];
        let none = RunTotals { seeds: 1, plans, ..RunTotals::default() };
        report.totals = &none;
        report.only = Some(417);
        report.seed_source = Some("shard 1/2".to_owned());
        let text = report.text();
        assert!(text.starts_with("nothing_is_lost: seed 417 passed (shard 1/2), 0 s"), "{text}");
        assert!(
            text.contains(
                ": no faults\nnothing_is_lost: warning: plan GracefulMonkey had no effect"
            ),
            "{text}"
        );
    }

    /// The totals of a plan that did something in `effective` runs, and was idle for these reasons in others of 2 s.
    fn warning(effective: u64, idle: &[(u64, Option<Idle>)]) -> Option<String> {
        let mut plan = PlanTotals::default();
        let mut add = |runs, faults, idle: &Option<Idle>| {
            for _ in 0..runs {
                let activity = PlanActivity {
                    name: "PowerOffs".to_owned(),
                    faults,
                    idle: idle.clone(),
                    ..PlanActivity::default()
                };
                plan.add(&activity, 2_000_000_000);
            }
        };
        add(effective, 3, &None);
        idle.iter().for_each(|(runs, idle)| add(*runs, 0, idle));
        plan.warning()
    }

    #[test]
    fn what_was_not_found_is_a_warning() {
        let mut totals = RunTotals::default();
        for unmet in [&["tokio's count"][..], &[], &["tokio's count"]] {
            let unmet = unmet.iter().map(|text| (*text).to_owned()).collect();
            totals.add(&Outcome { unmet, ..Outcome::without_a_run(0, Verdict::Passed) });
        }
        assert_eq!(totals.warnings(), ["tokio's count"]);
    }

    #[test]
    fn kinds_of_faults_are_drawn_not_drawn_or_off() {
        let line = |runs: &[(&[&str], &[&str])], unclaimed: &[&str]| {
            let all = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
            let mut plan = PlanTotals::default();
            for (drawn, undrawn) in runs {
                let unclaimed = all(unclaimed);
                let kinds = Kinds { drawn: all(drawn), undrawn: all(undrawn), unclaimed };
                let name = "Swarm".to_owned();
                plan.add(&PlanActivity { name, kinds, ..PlanActivity::default() }, 1);
            }
            plan.kinds()
        };
        assert_eq!(line(&[(&[], &[])], &[]), None, "a plan that draws no kinds");
        assert_eq!(
            line(&[(&["kills"], &["pauses"]), (&["pauses"], &["kills"])], &[]).as_deref(),
            Some("Swarm drew all 2 kinds of faults")
        );
        assert_eq!(
            line(&[(&["kills"], &["pauses", "stops"])], &["wipes", "blackouts"]).as_deref(),
            Some(
                "Swarm drew 1 of 3 kinds of faults; not drawn: pauses, stops; left out (add them with \
                 `survives`): blackouts, wipes"
            )
        );
    }

    #[test]
    fn role_that_no_machine_had_in_most_seeds_is_a_warning() {
        let warnings = |missed: u64| {
            let mut plan = PlanTotals::default();
            for run in 0..10 {
                let wants = (run < missed).then(|| Want::Role("leader".to_owned()));
                let (name, unmet) = ("PowerOffs".to_owned(), wants.into_iter().collect());
                plan.add(&PlanActivity { name, faults: 1, unmet, ..PlanActivity::default() }, 1);
            }
            plan.warnings(10)
        };
        assert_eq!(warnings(5), Vec::<String>::new());
        let warning = "plan PowerOffs aims at the role `leader`, which no machine had in 6 of 10 seeds: declare the role";
        assert!(warnings(6)[0].starts_with(warning), "{:?}", warnings(6));
        assert!(warnings(10)[0].contains("no machine had in any seed: "), "{:?}", warnings(10));
    }

    #[test]
    fn plan_warning_has_figures_and_reason() {
        let late = |secs: u64| Some(Idle::NotDue(secs * 1_000_000_000));
        let few = || Some(Idle::TooFew("there is only `x`".to_owned()));
        assert_eq!(warning(1, &[]), None);
        assert_eq!(warning(100, &[(900, late(30))]), None, "one in ten is often enough");
        assert_eq!(
            warning(3, &[(996, late(30)), (1, late(12))]).as_deref(),
            Some(
                "plan PowerOffs had an effect in only 3 of 1,000 seeds: 997 runs ended, or called `Sim::settle`, \
                 before the plan's first fault was due (at 12.0 s or later); these runs took 2.0 s on average: set \
                 a shorter `every`, or make the test longer"
            )
        );
        for (idle, words) in [
            (&[(5, late(30))][..], "had no effect in any seed: 5 runs ended"),
            (&[(1, late(30))], "had no effect in any seed: 1 run ended"),
            (&[(5, few())], "had no effect in any seed: there is only `x`"),
            (&[(3, few()), (2, late(1))], "there is only `x`"),
            (
                &[(3, Some(Idle::AllDown)), (2, late(1))],
                "all machines that the plan may take down were already down",
            ),
            (&[(2, Some(Idle::AllDown)), (3, late(1))], "3 runs ended, or called"),
            (&[(4, Some(Idle::OneSide)), (3, late(1))], "all machines on the same side"),
            (&[(4, None)], "had no effect in any seed"),
        ] {
            let warning = warning(0, idle).expect(words);
            assert!(warning.contains(words), "{warning}");
        }
    }
}
