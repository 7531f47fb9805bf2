//! Carries out a script: finds the act that is due, at its time and at its position among the events of that time.

use std::collections::BTreeSet;

use crate::engine::acts::{Act, AnchorEvent, Script, When};

/// The pending acts of a script.
#[derive(Debug, Default)]
pub(crate) struct ScriptRunner {
    script: Script,
    /// Indices of the acts that wait for their step.
    waiting: Vec<usize>,
    /// Indices of the acts that wait for an event, with the number of events until then.
    anchored: Vec<(usize, u32)>,
    /// Acts and repairs whose time is known: the time, the place at that time, the index of the
    /// act, and a part. Part 0 is the act itself, 1 is the end of a stop, and parts from 2 on are
    /// its repairs.
    timed: BTreeSet<(u64, u32, usize, usize)>,
}

/// An act that is due.
#[derive(Debug)]
pub(crate) struct DueAct {
    pub(crate) id: u32,
    pub(crate) owner: Option<u64>,
    /// When the act was to take place; `None` for a repair.
    pub(crate) when: Option<When>,
    pub(crate) act: Act,
}

impl ScriptRunner {
    pub(crate) fn new(script: &Script) -> Self {
        let mut runner = Self { script: script.clone(), ..Self::default() };
        for (index, act) in script.acts.iter().enumerate() {
            // Events count from the start of the run, but times from the start of the test's body.
            match (act.when.step, act.when.anchor) {
                (None, Some(_)) => runner.begin_act(index, 0),
                (Some(_), _) | (None, None) => runner.waiting.push(index),
            }
        }
        runner
    }

    /// The test's body begins: the acts that are counted from there have their times.
    pub(crate) fn begin_body(&mut self, now: u64) {
        let acts = &self.script.acts;
        let (begun, waiting): (Vec<usize>, _) =
            self.waiting.iter().partition(|index| acts[**index].when.step.is_none());
        self.waiting = waiting;
        begun.into_iter().for_each(|index| self.begin_act(index, now));
    }

    /// Whether any act of the script waits for an event, now or later.
    pub(crate) fn has_anchors(&self) -> bool {
        self.script.acts.iter().any(|act| act.when.is_anchored())
    }

    /// An event happens that acts may wait for.
    pub(crate) fn note_event(&mut self, event: AnchorEvent, now: u64) {
        let (acts, timed) = (&self.script.acts, &mut self.timed);
        self.anchored.retain_mut(|(index, left)| {
            let when = acts[*index].when;
            if when.anchor.is_none_or(|anchor| anchor.event != event) {
                return true;
            }
            *left = left.saturating_sub(1);
            if *left == 0 {
                timed.insert((now.saturating_add(when.offset), when.place, *index, 0));
            }
            *left > 0
        });
    }

    /// The step of an act has begun, or the test's body.
    fn begin_act(&mut self, index: usize, now: u64) {
        let when = self.script.acts[index].when;
        match when.anchor {
            Some(anchor) => self.anchored.push((index, anchor.nth)),
            None => {
                self.timed.insert((now.saturating_add(when.offset), when.place, index, 0));
            }
        }
    }

    /// A step has begun: the acts that are counted from it, or from one before it that is left out, have their times.
    pub(crate) fn begin_step(&mut self, sequence: u64, step: u64, now: u64) {
        let acts = &self.script.acts;
        let begins = |index: &usize| {
            acts[*index].when.step.is_some_and(|(of, from)| of == sequence && from <= step)
        };
        let (begun, waiting) = self.waiting.iter().partition(|index| begins(index));
        self.waiting = waiting;
        let begun: Vec<usize> = begun;
        begun.into_iter().for_each(|index| self.begin_act(index, now));
    }

    /// The time of the next act, if it is known.
    pub(crate) fn next_at(&self) -> Option<u64> {
        self.timed.first().map(|(at, ..)| *at)
    }

    /// Takes an act that is bound to this event, which happens `now`, without an offset.
    pub(crate) fn take_at(&mut self, event: AnchorEvent, now: u64) -> Option<DueAct> {
        let acts = &self.script.acts;
        let is_bound = |(at, _, index, repair): &&(u64, u32, usize, usize)| {
            let when = acts[*index].when;
            let is_here = when.anchor.is_some_and(|anchor| anchor.event == event);
            (*at, *repair, when.offset) == (now, 0, 0) && is_here
        };
        let (at, place, index, repair) =
            *self.timed.iter().take_while(|(at, ..)| *at <= now).find(is_bound)?;
        self.timed.remove(&(at, place, index, repair));
        Some(self.begin(index, now))
    }

    /// Takes the next act, if it is due `now`. `place` is the number of polls of the program so far at this time; `None`
    /// means that no further polls will come.
    pub(crate) fn take_due(&mut self, now: u64, place: Option<u32>) -> Option<DueAct> {
        let next = self.timed.first().copied();
        let is_due = |(at, at_place, ..): &(u64, u32, usize, usize)| {
            *at < now || *at == now && place.is_none_or(|place| *at_place <= place)
        };
        let (at, place, index, repair) = next.filter(is_due)?;
        self.timed.remove(&(at, place, index, repair));
        let timed = &self.script.acts[index];
        if let (1, Act::Stop { who, .. }) = (repair, &timed.act) {
            let act = Act::EndStop { machine: who.machine };
            return Some(DueAct { id: timed.id, owner: timed.owner, when: None, act });
        }
        Some(match repair.checked_sub(2).and_then(|nth| timed.repairs.get(nth)) {
            Some(repair) => {
                DueAct { id: timed.id, owner: repair.owner, when: None, act: repair.act.clone() }
            }
            None => return Some(self.begin(index, now)),
        })
    }

    /// An act takes place: its repairs have their times.
    fn begin(&mut self, index: usize, now: u64) -> DueAct {
        let timed = &self.script.acts[index];
        if let Act::Stop { grace, end_place, .. } = timed.act {
            self.timed.insert((now.saturating_add(grace), end_place, index, 1));
        }
        for (nth, repair) in (2..).zip(&timed.repairs) {
            self.timed.insert((now.saturating_add(repair.after), repair.place, index, nth));
        }
        let (when, act) = (Some(timed.when), timed.act.clone());
        DueAct { id: timed.id, owner: timed.owner, when, act }
    }

    /// Drops the pending acts, since their plans have ended.
    pub(crate) fn clear(&mut self) {
        self.waiting.clear();
        self.anchored.clear();
        self.timed.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::acts::{Anchor, Repair, TimedAct};
    use crate::engine::ids::MachineId;

    fn timed(
        id: u32,
        step: Option<(u64, u64)>,
        offset: u64,
        place: u32,
        repairs: &[u64],
    ) -> TimedAct {
        let repair =
            |after: &u64| Repair { owner: None, after: *after, place: 0, act: Act::HealAll };
        TimedAct {
            id,
            owner: None,
            when: When { step, offset, place, anchor: None },
            act: Act::PowerOff { machine: MachineId(id) },
            repairs: repairs.iter().map(repair).collect(),
        }
    }

    /// A script of a test whose body begins at once.
    fn begun(script: &Script) -> ScriptRunner {
        let mut runner = ScriptRunner::new(script);
        runner.begin_body(0);
        runner
    }

    /// Takes what is due at each time, with no more polls at it.
    fn run(runner: &mut ScriptRunner, until: u64) -> Vec<(u64, u32, bool)> {
        let mut done = Vec::new();
        while let Some(at) = runner.next_at().filter(|at| *at <= until) {
            while let Some(due) = runner.take_due(at, None) {
                done.push((at, due.id, due.act.is_fault()));
            }
        }
        done
    }

    #[test]
    fn acts_come_in_order_each_with_its_repairs() {
        let acts = vec![timed(0, None, 30, 0, &[5, 40]), timed(1, None, 10, 0, &[20])];
        let mut runner = begun(&Script { acts });
        assert_eq!(
            run(&mut runner, 100),
            [(10, 1, true), (30, 0, true), (30, 1, false), (35, 0, false), (70, 0, false)]
        );
        assert_eq!(runner.next_at(), None);
    }

    #[test]
    fn time_of_an_act_counts_from_the_start_of_the_body() {
        let mut runner = ScriptRunner::new(&Script { acts: vec![timed(0, None, 30, 0, &[5])] });
        assert_eq!(runner.next_at(), None, "the machines are still booting");
        runner.begin_body(7);
        assert_eq!(run(&mut runner, 100), [(37, 0, true), (42, 0, false)]);
    }

    #[test]
    fn act_keeps_its_place_among_the_polls_of_its_time() {
        let acts = vec![timed(0, None, 10, 2, &[]), timed(1, None, 10, 0, &[])];
        let mut runner = begun(&Script { acts });
        let mut take = |now, place| runner.take_due(now, place).map(|due| due.id);
        assert_eq!(take(9, None), None);
        assert_eq!(take(10, Some(0)), Some(1));
        assert_eq!([take(10, Some(0)), take(10, Some(1))], [None, None]);
        assert_eq!(take(10, Some(2)), Some(0));
    }

    /// The events are counted from the step.
    #[test]
    fn act_waits_for_the_nth_event_of_its_step() {
        let commit = AnchorEvent::Commit { machine: MachineId(3) };
        let mut act = timed(0, Some((7, 1)), 5, 0, &[]);
        act.when.anchor = Some(Anchor { event: commit, nth: 2 });
        let mut runner = begun(&Script { acts: vec![act] });
        assert!(runner.has_anchors());
        runner.note_event(commit, 10);
        runner.begin_step(7, 1, 20);
        runner.note_event(commit, 30);
        runner.note_event(AnchorEvent::Commit { machine: MachineId(4) }, 35);
        assert_eq!(runner.next_at(), None);
        runner.note_event(commit, 40);
        runner.note_event(commit, 41);
        assert_eq!(run(&mut runner, 100), [(45, 0, true)]);
    }

    /// An act whose step is left out takes place in the next one of the sequence.
    #[test]
    fn act_waits_for_its_step_or_a_later_one() {
        let acts = vec![timed(0, Some((7, 3)), 5, 0, &[]), timed(1, Some((8, 0)), 0, 0, &[])];
        let mut runner = begun(&Script { acts });
        runner.begin_step(7, 2, 100);
        assert_eq!(runner.next_at(), None);
        runner.begin_step(7, 4, 200);
        assert_eq!(run(&mut runner, 1_000), [(205, 0, true)]);
        runner.begin_step(8, 0, 300);
        runner.clear();
        assert_eq!(runner.next_at(), None);
    }
}
