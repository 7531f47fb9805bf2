//! The passes of the shrinker and their order.

mod redraws;
mod times;
mod work;

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};

use crate::engine::draws::family::Family;
use crate::engine::draws::overlay::{Overlay, Position, Rule, RuleAction};
use crate::engine::record::deviations::{Deviation, DeviationKind, Size};
use crate::shrink::candidate::{Candidate, FamilyMode};
use crate::shrink::ddmin::ddmin;
use crate::shrink::items::{self, ShrinkItem};
use crate::shrink::{ActsAlone, Answer, Oracle, ShrinkResult, StopReason, acts};

/// Families of faults.
const FAULTS: &[Family] = &[
    Family::Strike,
    Family::Fault,
    Family::Act,
    Family::DiskLoss,
    Family::Loss,
    Family::Reorder,
    Family::Duplicate,
];
/// Families of the plans' draws and acts, and of what the plans' power-offs take from disks.
const PLANS: &[Family] = &[Family::Strike, Family::Fault, Family::Act, Family::DiskLoss];
/// Families of the test's own steps and choices.
const WORK: &[Family] = &[Family::Step, Family::Choice];
/// Families that programs draw for their own use.
const KEYS: &[Family] = &[Family::Generator, Family::Entropy];
/// Families of small variations, which are drawn in large numbers.
const NOISE: &[Family] = &[
    Family::Latency,
    Family::Commit,
    Family::Blocking,
    Family::FileCall,
    Family::Wake,
    Family::Select,
    Family::Epoll,
    Family::Start,
    Family::Boot,
    Family::Oscillator,
];

/// Maximum number of items of a noise family that are listed one by one.
const MAX_ITEMS: usize = 200;
/// Maximum number of rounds.
const MAX_ROUNDS: u32 = 48;
/// Number of packets on each path whose loss is tried as the only fault.
const PACKETS_PER_PATH: u64 = 12;
/// Maximum number of such packets on all paths together.
const MAX_PACKETS: usize = 120;
/// Removals are retried if at most this many items remain.
const MAX_RETRIED: usize = 32;

/// State of the shrinker.
pub(super) struct Shrinker<'a> {
    oracle: &'a mut dyn Oracle,
    budget: u64,
    runs: u64,
    candidate: Candidate,
    /// Overlay of the best candidate; `None` while nothing is smaller than the original run.
    overlay: Option<Overlay>,
    size: Size,
    before: Size,
    /// Deviations in the run of `deviations_of`.
    deviations: Vec<Deviation>,
    deviations_of: Option<Candidate>,
    /// Hashes of overlays that were tried without success.
    tried: BTreeSet<u64>,
    /// The last strike of the original run.
    model: Option<ShrinkItem>,
    /// The acts of the original run, if they replace its plans.
    acts: Vec<ShrinkItem>,
    acts_alone: ActsAlone,
    /// The paths on which the original run sent packets, if it lost one.
    lanes: BTreeSet<u64>,
}

impl<'a> Shrinker<'a> {
    pub(super) fn begin(oracle: &'a mut dyn Oracle, budget: u64) -> Option<Self> {
        let Answer::Fails(seen) = oracle.inspect(&Overlay::default()) else { return None };
        let strikes = items::of_family(&seen.deviations, Family::Strike, RuleAction::Seeded);
        let is_lossy = seen.deviations.iter().any(|deviation| deviation.family == Family::Loss);
        let positions = seen.deviations.iter().filter_map(|deviation| deviation.position);
        let lanes = positions.map(|position| position.lane).filter(|_| is_lossy).collect();
        Some(Self {
            oracle,
            budget,
            runs: 1,
            candidate: Candidate::seeded(),
            overlay: None,
            size: seen.size,
            before: seen.size,
            deviations: seen.deviations,
            deviations_of: Some(Candidate::seeded()),
            tried: BTreeSet::new(),
            model: strikes.into_iter().next_back(),
            acts: acts::items(&seen.acts),
            acts_alone: ActsAlone::None,
            lanes,
        })
    }

    /// Replaces the plans with their acts, if the run still fails then.
    fn take_acts(&mut self) {
        if self.acts.is_empty() || self.is_over() {
            return;
        }
        let candidate = self.candidate.clone().scripted(&self.acts);
        let overlay = candidate.overlay();
        self.runs += 1;
        let Answer::Fails(seen) = self.oracle.inspect(&overlay) else {
            self.acts_alone = ActsAlone::Pass;
            self.acts.clear();
            return;
        };
        self.acts_alone = ActsAlone::Fail;
        (self.size, self.deviations) = (seen.size, seen.deviations);
        self.deviations_of = Some(candidate.clone());
        (self.candidate, self.overlay) = (candidate, Some(overlay));
    }

    pub(super) fn run(mut self) -> ShrinkResult {
        self.take_acts();
        self.calm_most_families();
        self.try_single_loss();
        for _ in 0..MAX_ROUNDS {
            let (before, size) = (self.candidate.clone(), self.size);
            self.list_items();
            self.pin_strike_times();
            self.remove_groups();
            self.remove_faults();
            self.remove_steps();
            self.lower_choices();
            self.calm_families();
            self.remove_noise();
            self.calm_strike_fields();
            self.drop_unused_items();
            let same = self.candidate == before && self.size == size;
            if self.is_over() || (same && !self.retry_removals() && !self.bind_to_events()) {
                break;
            }
        }
        self.move_strikes_earlier();
        self.weaken_acts();
        let end = match () {
            () if self.oracle.is_over() => StopReason::Time,
            () if self.runs >= self.budget => StopReason::Budget,
            () => StopReason::Minimal,
        };
        let Self { overlay, size, before, runs, acts_alone: acts, .. } = self;
        ShrinkResult { overlay: overlay.unwrap_or_default(), size, before, runs, end, acts }
    }

    /// Makes all families but a few calm at once.
    fn calm_most_families(&mut self) {
        let with = |parts: &[&[Family]]| {
            let families = parts.iter().flat_map(|part| part.iter().copied());
            let candidate = Candidate::with_families(&families.collect::<Vec<_>>());
            match self.candidate.is_scripted {
                true => candidate.scripted(&self.acts),
                false => candidate.without(Family::Act),
            }
        };
        let strikes = PLANS;
        let packets: &[Family] = &[Family::Loss, Family::Reorder, Family::Duplicate];
        let orders: &[Family] = &[Family::Wake, Family::Select, Family::Epoll, Family::Start];
        let times: &[Family] =
            &[Family::Latency, Family::Commit, Family::Blocking, Family::FileCall];
        let hardware: &[Family] = &[Family::Boot, Family::Oscillator];
        let sets = [
            with(&[]),
            with(&[&[Family::Step]]),
            with(&[WORK]),
            with(&[WORK, KEYS]),
            with(&[WORK, orders]),
            with(&[WORK, hardware]),
            with(&[WORK, KEYS, strikes]),
            with(&[WORK, KEYS, packets]),
            with(&[WORK, KEYS, orders]),
            with(&[WORK, KEYS, times]),
            with(&[WORK, KEYS, packets, times]),
            with(&[WORK, KEYS, strikes, times]),
            with(&[WORK, KEYS, strikes, packets, times]),
            with(&[WORK, KEYS, strikes, hardware]),
            with(&[WORK, KEYS, strikes, packets, times, orders, hardware]),
        ];
        self.try_candidates(sets.into_iter());
    }

    /// Tries the loss of a single packet and nothing else, not even a step, so that runs are short. Such a run may reach the
    /// same failure in a different way from the original run, of which no part can be removed.
    fn try_single_loss(&mut self) {
        if (self.size.faults, self.size.steps) <= (1, 0) {
            return;
        }
        let lanes = self.lanes.clone();
        let positions = (0..PACKETS_PER_PATH).flat_map(|nth| {
            lanes.iter().map(move |lane| Position { sequence: 0, step: 0, lane: *lane, nth })
        });
        let is_scripted = self.candidate.is_scripted;
        let candidates = positions.take(MAX_PACKETS).map(|position| {
            let calm = Candidate { is_scripted, ..Candidate::with_families(&[]) };
            calm.set(Family::Loss, FamilyMode::Only(vec![ShrinkItem::packet_loss(position)]))
        });
        self.try_candidates(candidates);
    }

    /// Lists faults, steps and choices as items.
    fn list_items(&mut self) {
        let families: Vec<Family> = [FAULTS, WORK].concat();
        let all = families.iter().filter_map(|family| Some((*family, self.items_of(*family)?)));
        let all: Vec<(Family, FamilyMode)> = all.collect();
        if all.is_empty() {
            return;
        }
        let mut candidate = self.candidate.clone();
        candidate.modes.extend(all.iter().cloned());
        if self.try_one(candidate).is_none() {
            for (family, mode) in all {
                let candidate = self.candidate.set(family, mode);
                self.try_one(candidate);
            }
        }
    }

    /// Returns the items of a family that the seed decides; `None` if the family is already listed, is calm, or has too many
    /// items.
    fn items_of(&mut self, family: Family) -> Option<FamilyMode> {
        let drawn = match self.candidate.modes.get(&family)? {
            FamilyMode::Seeded { salt, .. } => {
                salt.map_or(RuleAction::Seeded, RuleAction::Reseeded)
            }
            FamilyMode::Only(_) => return None,
        };
        let items = items::of_family(self.deviations(), family, drawn);
        let most = if NOISE.contains(&family) { MAX_ITEMS } else { usize::MAX };
        (items.len() <= most).then_some(FamilyMode::Only(items))
    }

    /// Pins strikes to the times at which they happened, so that the strikes before them can be removed.
    fn pin_strike_times(&mut self) {
        let seen: BTreeMap<[u64; 3], Vec<(u64, u64)>> = self
            .deviations()
            .iter()
            .filter(|deviation| {
                deviation.kind == DeviationKind::Strike && !deviation.pins.is_empty()
            })
            .map(|deviation| (deviation.address, deviation.pins.clone()))
            .collect();
        let mut items = self.candidate.items(&[Family::Strike]);
        for item in &mut items {
            if let Some(pins) = seen.get(&item.address) {
                *item = item.clone().with_pins(pins);
            }
        }
        let candidate = self.candidate.with_items(&[Family::Strike], &items);
        self.try_one(candidate);
        self.pin_act_times();
    }

    /// Removes all faults of a machine, or of one direction of a connection, at once.
    fn remove_groups(&mut self) {
        let mut groups: BTreeMap<(u64, u64), usize> = BTreeMap::new();
        for item in self.candidate.items(FAULTS) {
            keys(&item).into_iter().flatten().for_each(|key| *groups.entry(key).or_default() += 1);
        }
        let groups: Vec<_> = groups.into_iter().filter(|(_, count)| *count > 1).collect();
        self.try_each(groups, |candidate, (key, _)| {
            let mut items = candidate.items(FAULTS);
            items.retain(|item| !keys(item).contains(&Some(*key)));
            candidate.with_items(FAULTS, &items)
        });
    }

    fn remove_faults(&mut self) {
        self.reduce(FAULTS);
    }

    /// Makes whole families calm.
    fn calm_families(&mut self) {
        let families = [NOISE, &[Family::Isn], KEYS, FAULTS, WORK].concat();
        let there = families.into_iter().filter(|family| self.candidate.modes.contains_key(family));
        let there: Vec<_> = there.collect();
        self.try_each(there, |candidate, family| candidate.without(*family));
    }

    /// Restricts noise to a window of time, then removes its items one by one.
    fn remove_noise(&mut self) {
        for family in NOISE {
            self.narrow_window(*family);
            if let Some(mode) = self.items_of(*family) {
                let candidate = self.candidate.set(*family, mode);
                if self.try_one(candidate).is_some() {
                    self.reduce(&[*family]);
                }
            } else if matches!(self.candidate.modes.get(family), Some(FamilyMode::Only(_))) {
                self.reduce(&[*family]);
            }
        }
    }

    fn narrow_window(&mut self, family: Family) {
        let Some(FamilyMode::Seeded { salt, .. }) = self.candidate.modes.get(&family).cloned()
        else {
            return;
        };
        let mut times: Vec<u64> = self
            .deviations()
            .iter()
            .filter(|deviation| deviation.family == family)
            .map(|deviation| deviation.at)
            .collect();
        times.sort_unstable();
        let mut part = 2;
        while part <= 32 && times.len() > 1 {
            let cut = times.len().div_ceil(part);
            let shorter = [&times[..times.len() - cut], &times[cut..]].map(<[u64]>::to_vec);
            let candidates = shorter.iter().filter(|times| !times.is_empty()).map(|times| {
                let window = Some((times[0], times[times.len() - 1]));
                self.candidate.set(family, FamilyMode::Seeded { salt, window })
            });
            let candidates: Vec<_> = candidates.collect();
            match self.try_candidates(candidates.into_iter()) {
                Some(0) => times.truncate(times.len() - cut),
                Some(_) => drop(times.drain(..cut)),
                None => part *= 2,
            }
        }
    }

    /// Makes fields of strikes calm: which machines are partitioned, for how long, whether a disk is wiped.
    fn calm_strike_fields(&mut self) {
        let fields: Vec<[u64; 3]> = self
            .deviations()
            .iter()
            .filter(|deviation| deviation.kind == DeviationKind::Field)
            .map(|deviation| deviation.address)
            .collect();
        let is_new = |address: &[u64; 3]| {
            let rule = Rule::one(Family::Strike, *address, RuleAction::Calm);
            !self.candidate.calm.contains(&rule)
        };
        let fields: Vec<_> = fields.into_iter().filter(is_new).collect();
        self.try_each(fields, |candidate, address| {
            let mut candidate = candidate.clone();
            candidate.calm.push(Rule::one(Family::Strike, *address, RuleAction::Calm));
            candidate
        });
    }

    /// Drops listed items that no longer happen.
    fn drop_unused_items(&mut self) {
        let seen = self.deviations();
        let there: BTreeSet<(Family, [u64; 3])> =
            seen.iter().map(|deviation| (deviation.family, deviation.address)).collect();
        let positions: BTreeSet<(Family, Position)> = seen
            .iter()
            .filter_map(|deviation| Some((deviation.family, deviation.position?)))
            .collect();
        let families: Vec<Family> = [FAULTS, WORK, NOISE].concat();
        let mut items = self.candidate.items(&families);
        let count = items.len();
        items.retain(|item| match item.position {
            Some(position) => positions.contains(&(item.family, position)),
            None => there.contains(&(item.family, item.address)),
        });
        if items.len() < count {
            let candidate = self.candidate.with_items(&families, &items);
            self.try_one(candidate);
        }
    }

    /// Removes as many items of these families as possible.
    fn reduce(&mut self, families: &[Family]) {
        let items = self.candidate.items(families);
        ddmin(items, |lists| {
            let candidate = self.candidate.clone();
            self.try_candidates(lists.map(|items| candidate.with_items(families, &items)))
        });
    }

    /// Tries each change in turn, on top of the successful ones before it.
    fn try_each<T>(&mut self, changes: Vec<T>, change: impl Fn(&Candidate, &T) -> Candidate) {
        let mut from = 0;
        while from < changes.len() {
            let candidate = self.candidate.clone();
            let candidates = changes[from..].iter().map(|to| change(&candidate, to));
            match self.try_candidates(candidates).and_then(|at| usize::try_from(at).ok()) {
                Some(at) => from += at + 1,
                None => return,
            }
        }
    }

    /// Tries a candidate. Returns `None` if it does not fail.
    fn try_one(&mut self, candidate: Candidate) -> Option<u64> {
        self.try_candidates(std::iter::once(candidate))
    }

    /// Tries the best candidate with the item at `at` of these families replaced: by each of `items` in turn, until one still
    /// fails.
    fn try_replacing(
        &mut self,
        families: &[Family],
        at: usize,
        items: impl IntoIterator<Item = ShrinkItem>,
    ) -> Option<u64> {
        let current = self.candidate.clone();
        let all = current.items(families);
        self.try_candidates(items.into_iter().map(|item| {
            let mut items = all.clone();
            if let Some(replaced) = items.get_mut(at) {
                *replaced = item;
            }
            current.with_items(families, &items)
        }))
    }

    /// Tries these candidates. The first that still fails becomes the best so far; returns its index.
    fn try_candidates(&mut self, candidates: impl Iterator<Item = Candidate>) -> Option<u64> {
        if self.is_over() {
            return None;
        }
        let left = usize::try_from(self.budget - self.runs).unwrap_or(usize::MAX);
        let (tried, current, size) = (&self.tried, &self.candidate, self.size);
        let mut made: Vec<(u64, Candidate, u64)> = Vec::new();
        let mut overlays = (0u64..)
            .zip(candidates)
            .filter_map(|(position, candidate)| {
                let overlay = candidate.overlay();
                let hash = hash(&overlay);
                if candidate == *current || tried.contains(&hash) {
                    return None;
                }
                made.push((position, candidate, hash));
                Some(overlay)
            })
            .take(left);
        let most = (self.before.faults, self.before.steps);
        let fits = |other: &Size| *other <= size && other.faults <= most.0 && other.steps <= most.1;
        let found = self.oracle.first_failing(&mut overlays, &fits);
        let index = found.and_then(|(index, _)| usize::try_from(index).ok());
        let failed = index.unwrap_or(made.len());
        self.tried.extend(made[..failed].iter().map(|(.., hash)| *hash));
        self.runs += (failed + usize::from(index.is_some())) as u64;
        let (_, size) = found?;
        let (position, candidate, _) = made.swap_remove(index?);
        let overlay = candidate.overlay();
        self.oracle.found_smaller(&overlay, &size, self.runs);
        (self.candidate, self.size, self.overlay) = (candidate, size, Some(overlay));
        Some(position)
    }

    /// Deviations in the best run so far.
    fn deviations(&mut self) -> &[Deviation] {
        if self.deviations_of.as_ref() != Some(&self.candidate) && !self.is_over() {
            self.runs += 1;
            let overlay = self.overlay.clone().unwrap_or_default();
            if let Answer::Fails(seen) = self.oracle.inspect(&overlay) {
                self.deviations = seen.deviations;
                self.deviations_of = Some(self.candidate.clone());
            }
        }
        &self.deviations
    }

    fn is_over(&self) -> bool {
        self.runs >= self.budget || self.oracle.is_over()
    }
}

/// The groups that a fault belongs to: its machine, and its direction of a connection or its file.
fn keys(item: &ShrinkItem) -> [Option<(u64, u64)>; 2] {
    let machine = item.machine.map(|machine| (0, u64::from(machine.0)));
    let part = match item.kind {
        DeviationKind::PacketFault => Some((1, item.address[0])),
        DeviationKind::DiskLoss => Some((2, item.address[1])),
        _ => None,
    };
    [machine, part]
}

fn hash(overlay: &Overlay) -> u64 {
    let mut hasher = DefaultHasher::new();
    overlay.hash(&mut hasher);
    hasher.finish()
}
