//! The strikes of a [`Swarm`] in one run.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use crate::chaos::budget::Groups;
use crate::chaos::fault::Fault;
use crate::chaos::hit::Hit;
use crate::chaos::pace::{Strike, Strikes};
use crate::chaos::strike::Begun;
use crate::chaos::swarm::aim::Aim;
use crate::chaos::swarm::fault::Kind;
use crate::chaos::swarm::moments::{Moment, Moments};
use crate::chaos::swarm::{Swarm, fault};
use crate::engine::{MachineId, wait_for_event};
use crate::machine;
use crate::sim::points::strike_at;
use crate::sim::{self, Idle, Sim, name_of};
use crate::time::timeout;

/// How long a strike waits for its event, since the program may have no such events. Then it takes
/// place without one.
const LONGEST_WAIT: Duration = Duration::from_secs(2);

/// One run of the plan.
pub(super) struct Run {
    pub(super) sim: Sim,
    pub(super) plan: Swarm,
    pub(super) groups: Groups,
    pub(super) aim: Aim,
    pub(super) moments: Moments,
    /// The kinds of faults of this run.
    pub(super) kinds: Vec<Kind>,
}

impl Run {
    /// Strikes repeatedly with faults of one kind, which is one of `parts`.
    pub(super) async fn strikes(self: Rc<Self>, kind: Kind, parts: usize) -> Result<(), String> {
        let mut strikes = Strikes::of_part(kind as u64 + 1, parts);
        let lasting = strikes.down(None, fault::USUAL);
        while let Some(strike) = strikes.next().await {
            let kind = self.possible(kind, strike);
            let begun = match self.moments.of(strike) {
                Moment::Now => self.begin(kind, strike, None),
                Moment::Event(event, nth) => {
                    let event = wait_for_event(event(self.plan.machines.candidates()), nth);
                    let at = timeout(LONGEST_WAIT, event).await.unwrap_or(None);
                    self.begin(kind, strike, at)
                }
                Moment::Point(point, nth) => self.begin_at_point(kind, strike, &point, nth).await,
            };
            if let Some(begun) = begun {
                begun?.finish(kind.lasting(strike, lasting)).await?;
            }
        }
        Ok(())
    }

    /// Returns the kind of fault, or another one in its place if the program has nothing that it could
    /// affect at present: one of the run's kinds, or of all kinds if the run has no other.
    ///
    /// So kinds that need files or connections do not thin out the others in a program that has none.
    fn possible(&self, kind: Kind, strike: Strike) -> Kind {
        if self.can_affect_any(kind) {
            return kind;
        }
        let others = |kinds: &[Kind]| -> Vec<Kind> {
            kinds.iter().copied().filter(|other| other.need().is_none()).collect()
        };
        let mut among = others(&self.kinds);
        if among.is_empty() {
            among = others(&self.plan.kinds());
        }
        let chosen = strike.below(fault::SUBSTITUTE, among.len() as u64) as usize;
        among.get(chosen).copied().unwrap_or(kind)
    }

    /// Whether a fault of this kind can have an effect on any machine at present.
    fn can_affect_any(&self, kind: Kind) -> bool {
        if kind.need().is_none() {
            return true;
        }
        let all = self.plan.machines.candidates();
        all.iter().any(|machine| kind.can_affect(*machine, &all))
    }

    /// Strikes within the code that passes a point, or after [`LONGEST_WAIT`].
    async fn begin_at_point(
        self: &Rc<Self>,
        kind: Kind,
        strike: Strike,
        point: &str,
        nth: u32,
    ) -> Option<Result<Begun, String>> {
        let begun = Rc::new(RefCell::new(None));
        let (run, there) = (Rc::clone(self), Rc::clone(&begun));
        let at = move |machine| *there.borrow_mut() = run.begin(kind, strike, Some(machine));
        let passed = strike_at(point, self.plan.machines.candidates(), nth, at);
        match timeout(LONGEST_WAIT, passed).await {
            Ok(_) => begun.take(),
            Err(_) => self.begin(kind, strike, None),
        }
    }

    /// Strikes now, preferably the machine `at`. Returns `None` if there is no machine to hit.
    fn begin(
        &self,
        kind: Kind,
        strike: Strike,
        at: Option<MachineId>,
    ) -> Option<Result<Begun, String>> {
        let faults = self.faults(kind, strike);
        let victims = self.choose(kind, &faults, strike, at);
        if victims.is_empty() {
            return None;
        }
        let others = self.others(&victims);
        let hit = |nth| Hit::of_plan(self.sim, strike, nth, victims.clone(), others.clone());
        let hits = (0..).zip(faults).map(|(nth, fault)| (fault, Rc::new(hit(nth))));
        Some(Begun::begin(hits))
    }

    /// Draws the faults of a strike: one, or two at the same time.
    fn faults(&self, kind: Kind, strike: Strike) -> Vec<Rc<dyn Fault>> {
        let mut faults = vec![kind.fault()];
        if kind != Kind::Blackout && strike.below(fault::SECOND, 4) == 3 {
            let can_follow =
                |second: &&Kind| kind.goes_with(**second) && self.can_affect_any(**second);
            let among: Vec<Kind> = self.kinds.iter().filter(can_follow).copied().collect();
            let chosen = strike.below(fault::SECOND + 1, among.len() as u64) as usize;
            faults.extend(among.get(chosen).map(|second| second.fault()));
        }
        faults
    }

    /// Draws the machines that a strike hits, among those that run and for which the budget has room.
    ///
    /// The first one is `at` or a machine at which the strike aims, if there is any.
    fn choose(
        &self,
        kind: Kind,
        faults: &[Rc<dyn Fault>],
        strike: Strike,
        at: Option<MachineId>,
    ) -> Vec<MachineId> {
        let can_hit = |machine: MachineId| {
            let name = name_of(machine).unwrap_or_default();
            faults.iter().all(|fault| fault.can_hit(&name))
        };
        let all = self.plan.machines.candidates();
        let mut running = all.clone();
        running.retain(|machine| {
            machine::has_running_service(*machine)
                && can_hit(*machine)
                && kind.can_affect(*machine, &all)
        });
        if running.is_empty() {
            sim::record_idle(Idle::AllDown);
            return running;
        }
        if kind == Kind::Blackout {
            return running;
        }
        let mut aimed = match self.plan.machines.has_aim() {
            true => self.plan.machines.aimed(running.clone()),
            false => self.aim.aimed(strike, &running),
        };
        if self.plan.machines.is_strict() {
            running.clone_from(&aimed);
        }
        if let Some(at) = at.filter(|at| running.contains(at)) {
            aimed = vec![at];
        }
        let takes_down = faults.iter().any(|fault| fault.takes_down());
        let mut victims = Vec::new();
        let most = if kind.hits_several() { 1 + strike.below(fault::SIZE, 4) as usize } else { 1 };
        for nth in 0..running.len() as u64 {
            let among = if aimed.is_empty() { &running } else { &aimed };
            let chosen = strike.below(fault::VICTIMS + nth, among.len() as u64) as usize;
            let machine = among[chosen];
            running.retain(|other| *other != machine);
            victims.push(machine);
            if takes_down && !self.groups.has_room(&victims) {
                victims.pop();
                aimed.retain(|other| *other != machine);
            } else {
                aimed.clear();
            }
            if victims.len() == most {
                break;
            }
        }
        victims
    }

    /// Returns the other machines that the plan may hit.
    fn others(&self, victims: &[MachineId]) -> Vec<MachineId> {
        let mut others = self.plan.machines.candidates();
        others.retain(|machine| !victims.contains(machine));
        others
    }
}
