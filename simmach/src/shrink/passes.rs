//! The passes, and their order.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};

use crate::engine::draws::address::strike;
use crate::engine::draws::family::Family;
use crate::engine::draws::overlay::{Overlay, Position, Rule, RuleAction};
use crate::engine::draws::{below_of, mix};
use crate::engine::record::deviations::{Deviation, Kind, Size};
use crate::shrink::ddmin::ddmin;
use crate::shrink::items::{self, Item};
use crate::shrink::plan::{Mode, Plan};
use crate::shrink::{End, Oracle, Shrunk, Verdict};

/// What breaks something.
const FAULTS: &[Family] =
    &[Family::Strike, Family::Act, Family::Loss, Family::Reorder, Family::Duplicate];
/// What the test does.
const WORK: &[Family] = &[Family::Step, Family::Choice];
/// What the programs draw for themselves.
const KEYS: &[Family] = &[Family::Generator, Family::Entropy];
/// What only varies, in large numbers.
const NOISE: &[Family] = &[
    Family::Latency,
    Family::Commit,
    Family::Blocking,
    Family::Wake,
    Family::Select,
    Family::Start,
];

/// So many draws of one family are not looked at one by one.
const MOST_ITEMS: usize = 200;
/// Rounds, were one always to change something.
const ROUNDS: u32 = 12;
/// How often a removal is tried again with other draws, at most and at least, and in so many runs all of them.
const MOST_REDRAWS: u64 = 96;
const LEAST_REDRAWS: u64 = 4;
const REDRAWN: u64 = 576;
/// So many packets of each way are lost one by one, where nothing else happens; of all ways together no more than so many.
const PACKETS: u64 = 12;
const MOST_PACKETS: usize = 120;
/// With more than so many faults left, no two of them are replaced by one.
const MOST_REPLACED: usize = 6;
/// With more than so many things left, nothing is drawn again.
const FEW: usize = 32;

/// The state of one shrinking.
pub(super) struct Shrinker<'a> {
    oracle: &'a mut dyn Oracle,
    budget: u64,
    runs: u64,
    plan: Plan,
    /// `None` while nothing is smaller than the run as it was found.
    overlay: Option<Overlay>,
    size: Size,
    before: Size,
    /// What was not calm in the run of `seen_of`.
    seen: Vec<Deviation>,
    seen_of: Option<Plan>,
    /// What has been tried and is no better.
    tried: BTreeSet<u64>,
    /// The last strike of the run as it was found.
    model: Option<Item>,
    /// The ways from one machine to another on which it sent packets, if it lost one.
    lanes: BTreeSet<u64>,
}

impl<'a> Shrinker<'a> {
    pub(super) fn begin(oracle: &'a mut dyn Oracle, budget: u64) -> Option<Self> {
        let Verdict::Fails(seen) = oracle.look(&Overlay::default()) else { return None };
        let strikes = items::of_family(&seen.deviations, Family::Strike, RuleAction::Seeded);
        let is_lossy = seen.deviations.iter().any(|deviation| deviation.family == Family::Loss);
        let positions = seen.deviations.iter().filter_map(|deviation| deviation.position);
        let lanes = positions.map(|position| position.lane).filter(|_| is_lossy).collect();
        Some(Self {
            oracle,
            budget,
            runs: 1,
            plan: Plan::seeded(),
            overlay: None,
            size: seen.size,
            before: seen.size,
            seen: seen.deviations,
            seen_of: Some(Plan::seeded()),
            tried: BTreeSet::new(),
            model: strikes.into_iter().next_back(),
            lanes,
        })
    }

    pub(super) fn run(mut self) -> Shrunk {
        self.coarse();
        self.one_packet();
        for _ in 0..ROUNDS {
            let (before, size) = (self.plan.clone(), self.size);
            self.list();
            self.times();
            self.groups();
            self.faults();
            self.steps();
            self.choices();
            self.families();
            self.noise();
            self.fields();
            self.prune();
            let same = self.plan == before && self.size == size;
            if self.is_over() || (same && !self.redraw()) {
                break;
            }
        }
        self.sooner();
        let end = match () {
            () if self.oracle.is_over() => End::Time,
            () if self.runs >= self.budget => End::Budget,
            () => End::Minimal,
        };
        let Self { overlay, size, before, runs, .. } = self;
        Shrunk { overlay: overlay.unwrap_or_default(), size, before, runs, end }
    }

    /// Everything calm at once, but for what is needed.
    fn coarse(&mut self) {
        let with = |parts: &[&[Family]]| {
            let families = parts.iter().flat_map(|part| part.iter().copied());
            Plan::with(&families.collect::<Vec<_>>())
        };
        let strikes: &[Family] = &[Family::Strike, Family::Act];
        let packets: &[Family] = &[Family::Loss, Family::Reorder, Family::Duplicate];
        let orders: &[Family] = &[Family::Wake, Family::Select, Family::Start];
        let times: &[Family] = &[Family::Latency, Family::Commit, Family::Blocking];
        let sets = [
            with(&[]),
            with(&[&[Family::Step]]),
            with(&[WORK]),
            with(&[WORK, KEYS]),
            with(&[WORK, orders]),
            with(&[WORK, KEYS, strikes]),
            with(&[WORK, KEYS, packets]),
            with(&[WORK, KEYS, orders]),
            with(&[WORK, KEYS, times]),
            with(&[WORK, KEYS, packets, times]),
            with(&[WORK, KEYS, strikes, times]),
            with(&[WORK, KEYS, strikes, packets, times]),
            with(&[WORK, KEYS, strikes, packets, times, orders]),
        ];
        self.first(sets.into_iter());
    }

    /// One packet that is lost, and nothing else: no step either, so that its runs are short. That may be another way to
    /// the same failure than that of the run as it was found, of which no part can be left out.
    fn one_packet(&mut self) {
        if (self.size.faults, self.size.steps) <= (1, 0) {
            return;
        }
        let lanes = self.lanes.clone();
        let positions = (0..PACKETS).flat_map(|nth| {
            lanes.iter().map(move |lane| Position { sequence: 0, step: 0, lane: *lane, nth })
        });
        let plans = positions.take(MOST_PACKETS).map(|position| {
            Plan::with(&[]).set(Family::Loss, Mode::Only(vec![Item::lost(position)]))
        });
        self.first(plans);
    }

    /// What breaks something and what the test does, listed one by one.
    fn list(&mut self) {
        let families: Vec<Family> = [FAULTS, WORK].concat();
        let all = families.iter().filter_map(|family| Some((*family, self.listed(*family)?)));
        let all: Vec<(Family, Mode)> = all.collect();
        if all.is_empty() {
            return;
        }
        let mut plan = self.plan.clone();
        plan.modes.extend(all.iter().cloned());
        if self.first(std::iter::once(plan)).is_none() {
            for (family, mode) in all {
                let plan = self.plan.set(family, mode);
                self.first(std::iter::once(plan));
            }
        }
    }

    /// A family that is as the seed has it, as a list; `None` if it is one, or calm, or too long.
    fn listed(&mut self, family: Family) -> Option<Mode> {
        let drawn = match self.plan.modes.get(&family)? {
            Mode::Seeded { salt, .. } => salt.map_or(RuleAction::Seeded, RuleAction::Reseeded),
            Mode::Only(_) => return None,
        };
        let items = items::of_family(self.look(), family, drawn);
        let most = if NOISE.contains(&family) { MOST_ITEMS } else { usize::MAX };
        (items.len() <= most).then_some(Mode::Only(items))
    }

    /// Strikes are bound to the time at which they were seen: what held them up may then be left out.
    fn times(&mut self) {
        let seen: BTreeMap<[u64; 3], Vec<(u64, u64)>> = self
            .look()
            .iter()
            .filter(|deviation| deviation.kind == Kind::Strike && !deviation.pins.is_empty())
            .map(|deviation| (deviation.address, deviation.pins.clone()))
            .collect();
        let mut items = self.plan.items(&[Family::Strike]);
        for item in &mut items {
            if let Some(pins) = seen.get(&item.address) {
                *item = item.clone().with_pins(pins);
            }
        }
        let plan = self.plan.with_items(&[Family::Strike], &items);
        self.first(std::iter::once(plan));
    }

    /// At last strikes earlier in their steps, so that the test need not wait for them, and then what it chose in order to.
    fn sooner(&mut self) {
        const STRIKE: &[Family] = &[Family::Strike];
        for at in 0..self.plan.items(STRIKE).len().min(FEW) {
            let Some(item) = self.plan.items(STRIKE).get(at).cloned() else { return };
            let Some(when) = item.pin(strike::WHEN).filter(|when| *when > 0) else { continue };
            let plans = [64, 12, 6, 3, 1].into_iter().map(|half| {
                let mut items = self.plan.items(STRIKE);
                items[at] =
                    item.clone().with_pin(strike::WHEN, when.checked_shr(half).unwrap_or(0));
                self.plan.with_items(STRIKE, &items)
            });
            let plans: Vec<_> = plans.collect();
            self.first(plans.into_iter());
        }
        self.choices();
        self.prune();
    }

    /// All that happens to one machine, or to one direction of a connection.
    fn groups(&mut self) {
        let mut groups: BTreeMap<(u64, u64), usize> = BTreeMap::new();
        for item in self.plan.items(FAULTS) {
            keys(&item).into_iter().flatten().for_each(|key| *groups.entry(key).or_default() += 1);
        }
        let groups: Vec<_> = groups.into_iter().filter(|(_, count)| *count > 1).collect();
        self.one_by_one(groups, |plan, (key, _)| {
            let mut items = plan.items(FAULTS);
            items.retain(|item| !keys(item).contains(&Some(*key)));
            plan.with_items(FAULTS, &items)
        });
    }

    fn faults(&mut self) {
        self.reduce(FAULTS);
    }

    /// Steps. What is bound to one that is left out is bound to another.
    fn steps(&mut self) {
        let items = self.plan.items(&[Family::Step]);
        ddmin(items, |lists| {
            let plan = self.plan.clone();
            self.first(lists.map(|items| plan.with_steps(&items)))
        });
    }

    /// Choices that need not be, then lower ones.
    fn choices(&mut self) {
        const CHOICE: &[Family] = &[Family::Choice];
        self.reduce(CHOICE);
        for at in 0..self.plan.items(CHOICE).len() {
            // One that is out of the list is as low as can be.
            while let Some(item) = self.plan.items(CHOICE).get(at).cloned() {
                let (value, _) = item.choice;
                // Ever nearer to what it is: as a search by halves, but that it may fail here and there.
                let nearer = (1..u64::BITS).map(|half| value - (value >> half));
                let lower: BTreeSet<u64> = [1, value / 4, value.saturating_sub(1)]
                    .into_iter()
                    .chain(nearer)
                    .filter(|lower| (1..value).contains(lower))
                    .collect();
                let plans = lower.into_iter().map(|lower| {
                    let mut items = self.plan.items(CHOICE);
                    items[at] = item.lowered(lower);
                    self.plan.with_items(CHOICE, &items)
                });
                let plans: Vec<_> = plans.collect();
                if self.first(plans.into_iter()).is_none() {
                    break;
                }
            }
        }
    }

    /// Whole families calm.
    fn families(&mut self) {
        let families = [NOISE, &[Family::Isn], KEYS, FAULTS, WORK].concat();
        let there = families.into_iter().filter(|family| self.plan.modes.contains_key(family));
        let there: Vec<_> = there.collect();
        self.one_by_one(there, |plan, family| plan.without(*family));
    }

    /// What only varies: calm outside of a window of time, then one by one.
    fn noise(&mut self) {
        for family in NOISE {
            self.window(*family);
            if let Some(mode) = self.listed(*family) {
                let plan = self.plan.set(*family, mode);
                if self.first(std::iter::once(plan)).is_some() {
                    self.reduce(&[*family]);
                }
            } else if matches!(self.plan.modes.get(family), Some(Mode::Only(_))) {
                self.reduce(&[*family]);
            }
        }
    }

    fn window(&mut self, family: Family) {
        let Some(Mode::Seeded { salt, .. }) = self.plan.modes.get(&family).cloned() else { return };
        let mut times: Vec<u64> = self
            .look()
            .iter()
            .filter(|deviation| deviation.family == family)
            .map(|deviation| deviation.at)
            .collect();
        times.sort_unstable();
        let mut part = 2;
        while part <= 32 && times.len() > 1 {
            let cut = times.len().div_ceil(part);
            let shorter = [&times[..times.len() - cut], &times[cut..]].map(<[u64]>::to_vec);
            let plans = shorter.iter().filter(|times| !times.is_empty()).map(|times| {
                let window = Some((times[0], times[times.len() - 1]));
                self.plan.set(family, Mode::Seeded { salt, window })
            });
            let plans: Vec<_> = plans.collect();
            match self.first(plans.into_iter()) {
                Some(0) => times.truncate(times.len() - cut),
                Some(_) => drop(times.drain(..cut)),
                None => part *= 2,
            }
        }
    }

    /// The parts of strikes: who is cut off, for how long, whether a disk is wiped.
    fn fields(&mut self) {
        let fields: Vec<[u64; 3]> = self
            .look()
            .iter()
            .filter(|deviation| deviation.kind == Kind::Field)
            .map(|deviation| deviation.address)
            .collect();
        let is_new = |address: &[u64; 3]| {
            let rule = Rule::one(Family::Strike, *address, RuleAction::Calm);
            !self.plan.calm.contains(&rule)
        };
        let fields: Vec<_> = fields.into_iter().filter(is_new).collect();
        self.one_by_one(fields, |plan, address| {
            let mut plan = plan.clone();
            plan.calm.push(Rule::one(Family::Strike, *address, RuleAction::Calm));
            plan
        });
    }

    /// What is listed and no longer takes place.
    fn prune(&mut self) {
        let seen = self.look();
        let there: BTreeSet<(Family, [u64; 3])> =
            seen.iter().map(|deviation| (deviation.family, deviation.address)).collect();
        let positions: BTreeSet<(Family, Position)> = seen
            .iter()
            .filter_map(|deviation| Some((deviation.family, deviation.position?)))
            .collect();
        let families: Vec<Family> = [FAULTS, WORK, NOISE].concat();
        let mut items = self.plan.items(&families);
        let count = items.len();
        items.retain(|item| match item.position {
            Some(position) => positions.contains(&(item.family, position)),
            None => there.contains(&(item.family, item.address)),
        });
        if items.len() < count {
            let plan = self.plan.with_items(&families, &items);
            self.first(std::iter::once(plan));
        }
    }

    /// Removals that failed to fail, with other draws and at other times. True if one was found.
    fn redraw(&mut self) -> bool {
        let mut fewer: Vec<Plan> = Vec::new();
        for families in [FAULTS, &[Family::Step]] {
            let items = self.plan.items(families);
            if families == [Family::Step] && items.len() > 1 {
                fewer.push(self.plan.with_steps(&[]));
            }
            for at in 0..if items.len() <= FEW { items.len() } else { 0 } {
                let mut fewer_items = items.clone();
                fewer_items.remove(at);
                fewer.push(match families {
                    [Family::Step] => self.plan.with_steps(&fewer_items),
                    _ => self.plan.with_items(families, &fewer_items),
                });
            }
        }
        let varies = |family: &&Family| NOISE.contains(family) || **family == Family::Choice;
        for family in self.plan.modes.keys().filter(varies) {
            fewer.push(self.plan.without(*family));
        }
        let parts = self.parts_of_strikes();
        self.first_redrawn(&fewer, |plan, salt| redrawn(plan, &parts, salt)) || self.replace()
    }

    /// Two faults replaced by one strike that no seed had. True if one was found.
    fn replace(&mut self) -> bool {
        let faults = self.plan.items(FAULTS);
        let latest = self.look().iter().map(|deviation| deviation.at).max().unwrap_or(0);
        let Some(model) = self.model.clone().filter(|_| faults.len() <= MOST_REPLACED) else {
            return false;
        };
        let mut fewer = Vec::new();
        for (nth, _) in faults.iter().enumerate() {
            for other in nth + 1..faults.len() {
                let mut left = faults.clone();
                left.remove(other);
                left.remove(nth);
                fewer.push(self.plan.with_items(FAULTS, &left));
            }
        }
        self.first_redrawn(&fewer, |plan, salt| {
            let Mode::Only(mut strikes) =
                plan.modes.get(&Family::Strike).cloned().unwrap_or_else(|| Mode::Only(Vec::new()))
            else {
                return plan.clone();
            };
            let number = strikes.iter().map(|strike| strike.address[1]).max();
            let number = number.unwrap_or(0).max(model.address[1]) + 1;
            let word = |nth| mix(mix(salt, nth), number);
            let when = below_of(Some(word(0)), (latest >> below_of(Some(word(1)), 3)) + 1);
            strikes.push(model.clone().anew(number, word(2), when));
            plan.set(Family::Strike, Mode::Only(strikes))
        })
    }

    /// The first of these plans that does, with draws by one salt after the other.
    fn first_redrawn(&mut self, plans: &[Plan], redrawn: impl Fn(&Plan, u64) -> Plan) -> bool {
        let often = REDRAWN / (plans.len() as u64).max(1);
        let often = often.clamp(LEAST_REDRAWS, MOST_REDRAWS);
        let salts = (1..=often).flat_map(|salt| plans.iter().map(move |plan| (plan, salt)));
        let plans: Vec<_> = salts.map(|(plan, salt)| redrawn(plan, salt)).collect();
        self.first(plans.into_iter()).is_some()
    }

    /// Rules by which the parts of the strikes that are left are calm.
    fn parts_of_strikes(&mut self) -> Vec<Rule> {
        let fields = self.look().iter().filter(|deviation| deviation.kind == Kind::Field);
        fields.map(|field| Rule::one(field.family, field.address, RuleAction::Calm)).collect()
    }

    /// Leaves out what can be left out of the lists of these families.
    fn reduce(&mut self, families: &[Family]) {
        let items = self.plan.items(families);
        ddmin(items, |lists| {
            let plan = self.plan.clone();
            self.first(lists.map(|items| plan.with_items(families, &items)))
        });
    }

    /// Tries each change in turn, on top of those before it that did.
    fn one_by_one<T>(&mut self, changes: Vec<T>, change: impl Fn(&Plan, &T) -> Plan) {
        let mut from = 0;
        while from < changes.len() {
            let plan = self.plan.clone();
            let plans = changes[from..].iter().map(|to| change(&plan, to));
            match self.first(plans).and_then(|at| usize::try_from(at).ok()) {
                Some(at) => from += at + 1,
                None => return,
            }
        }
    }

    /// Makes the first of the plans that does the best so far; its place.
    fn first(&mut self, plans: impl Iterator<Item = Plan>) -> Option<u64> {
        if self.is_over() {
            return None;
        }
        let left = usize::try_from(self.budget - self.runs).unwrap_or(usize::MAX);
        let (tried, current, size) = (&self.tried, &self.plan, self.size);
        let mut made: Vec<(u64, Plan, u64)> = Vec::new();
        let mut overlays = (0u64..)
            .zip(plans)
            .filter_map(|(place, plan)| {
                let overlay = plan.overlay();
                let hash = hash(&overlay);
                if plan == *current || tried.contains(&hash) {
                    return None;
                }
                made.push((place, plan, hash));
                Some(overlay)
            })
            .take(left);
        let found = self.oracle.first(&mut overlays, &|other| *other <= size);
        let index = found.and_then(|(index, _)| usize::try_from(index).ok());
        let failed = index.unwrap_or(made.len());
        self.tried.extend(made[..failed].iter().map(|(.., hash)| *hash));
        self.runs += (failed + usize::from(index.is_some())) as u64;
        let (_, size) = found?;
        let (place, plan, _) = made.swap_remove(index?);
        let overlay = plan.overlay();
        self.oracle.best(&overlay, &size, self.runs);
        (self.plan, self.size, self.overlay) = (plan, size, Some(overlay));
        Some(place)
    }

    /// What is not calm in the best so far.
    fn look(&mut self) -> &[Deviation] {
        if self.seen_of.as_ref() != Some(&self.plan) && !self.is_over() {
            self.runs += 1;
            let overlay = self.overlay.clone().unwrap_or_default();
            if let Verdict::Fails(seen) = self.oracle.look(&overlay) {
                self.seen = seen.deviations;
                self.seen_of = Some(self.plan.clone());
            }
        }
        &self.seen
    }

    fn is_over(&self) -> bool {
        self.runs >= self.budget || self.oracle.is_over()
    }
}

/// What a fault has in common with others: its machine, its direction of a connection.
fn keys(item: &Item) -> [Option<(u64, u64)>; 2] {
    let machine = item.machine.map(|machine| (0, u64::from(machine.0)));
    let flow = (item.kind == Kind::Fault).then_some((1, item.address[0]));
    [machine, flow]
}

/// The same with other draws in what the seed decides, strikes at other times and by turns with their `parts` as they are,
/// calm, or drawn again, and faults of other packets.
fn redrawn(plan: &Plan, parts: &[Rule], salt: u64) -> Plan {
    const STRIKE: &[Family] = &[Family::Strike];
    let (round, turn) = (salt / 3, salt % 3);
    let mut plan = plan.clone();
    if turn == 2 {
        plan.calm.retain(|rule| rule.family != Some(Family::Strike));
    }
    if turn == 1 {
        let more: Vec<_> = parts.iter().filter(|part| !plan.calm.contains(part)).collect();
        plan.calm.extend(more.into_iter().cloned());
        // Of those that are left.
        plan = plan.with_items(STRIKE, &plan.items(STRIKE));
    }
    for mode in plan.modes.values_mut() {
        match mode {
            Mode::Seeded { salt: own, .. } => *own = Some(mix(own.unwrap_or(0), salt)),
            Mode::Only(items) => {
                for item in items {
                    *item = item.clone().redrawn(round, (turn == 2).then_some(salt));
                }
            }
        }
    }
    plan
}

fn hash(overlay: &Overlay) -> u64 {
    let mut hasher = DefaultHasher::new();
    overlay.hash(&mut hasher);
    hasher.finish()
}
