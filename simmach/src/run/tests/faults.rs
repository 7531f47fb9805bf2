//! The library of faults: what each fault does, that it is undone, and that the acts of its strikes do the same.

mod clocks;
mod cpu;
mod disks;
mod flapping;
mod network;

use crate::chaos::{Cadence, Fault, FaultPlan};
use crate::engine::acts::{Act, Script};
use crate::engine::record::deviations::RecordLevel;
use crate::program::{Program, Scenario};
use crate::run::tests::*;

type MakePlan = fn() -> FaultPlan;

/// A plan that strikes once, 100 ms after the start of the run, for 200 ms.
fn once(fault: impl Fault) -> FaultPlan {
    FaultPlan::new(fault).when(Cadence::once(100.millis())).lasting(200.millis())
}

/// The virtual time in milliseconds.
fn now() -> u64 {
    crate::engine::now() / 1_000_000
}

/// Runs a test with its plans, and then with the script of their acts, which must do the same. Returns the first of the runs.
#[track_caller]
fn repeats(seed: u64, spec: impl Fn() -> Spec + Send + Clone + 'static) -> Outcome {
    let kept = |overlay| {
        let keep = Keep { deviations: RecordLevel::All, log: true, ..Keep::default() };
        run_spec(spec.clone(), seed, overlay, keep, Arc::default())
    };
    let whole = kept(Overlay::default());
    let scripted = kept(Overlay::default().with_script(Some(Script::of(&whole.acts))));
    assert_eq!((&whole.verdict, &scripted.verdict), (&Verdict::Passed, &Verdict::Passed));
    let faults = |run: &Outcome| -> Vec<_> {
        run.faults.iter().map(|fault| (fault.at, fault.effect, fault.machine)).collect()
    };
    assert_eq!(faults(&whole), faults(&scripted), "{:?}", whole.acts);
    assert_eq!(whole.effects, scripted.effects, "{:?}", whole.acts);
    assert_eq!(logged(&whole), logged(&scripted), "{:?}", whole.acts);
    whole
}

/// What the test logged.
fn logged(run: &Outcome) -> Vec<String> {
    let own = run.log.iter().filter(|line| line.level == crate::engine::log::Level::Info);
    own.map(|line| line.text.clone()).collect()
}

/// The acts of a run.
fn acts(run: &Outcome) -> Vec<&Act> {
    run.acts.iter().map(|one| &one.act).collect()
}

/// Finds a seed with which the test fails, and shrinks its run to this number of faults, without its plans. Returns the story.
#[track_caller]
fn shrinks(faults: u64, scenario: impl Fn() -> Spec + Send + Sync + 'static) -> String {
    let program = Program::new(scenario).log(false);
    let seed = program.find(0..20).expect("a seed fails");
    let smaller = program.shrink(seed, 200).expect("it fails");
    let story = smaller.story();
    assert_eq!(smaller.after().faults, faults, "{story}");
    assert!(!smaller.needs_plans(), "{story}");
    story.to_owned()
}
