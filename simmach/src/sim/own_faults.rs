//! The user's own faults. They are registered by name, so that a script can begin them without their
//! plans.

use std::rc::Rc;

use crate::engine::acts::Act;
use crate::engine::{self, Effect, MachineId, context};
use crate::sim::world::{request_fault, with};
use crate::sim::{ControlError, acts};

/// Undoes a fault.
pub(crate) type Undo = Box<dyn FnOnce() -> Result<(), ControlError>>;

/// A fault that has begun.
pub(super) struct BegunFault {
    name: String,
    undo: Undo,
}

/// The method `end` of a fault returned an error.
#[derive(Debug, thiserror::Error)]
#[error("`end` of the fault `{name}` returned an error: {error}")]
pub(super) struct CannotEnd {
    name: String,
    error: ControlError,
}

/// Begins a fault, given its victims, the other machines and the drawn values. Returns what undoes it.
pub(crate) type BeginFault =
    Rc<dyn Fn(&[MachineId], &[MachineId], &[(u32, u64)]) -> Result<Undo, ControlError>>;

/// Registers a fault of a plan.
pub(crate) fn register(name: &str, begin: BeginFault) {
    with(|world| world.own_faults.insert(name.to_owned(), begin));
}

/// Begins a fault of a plan. `begin` begins it, and returns the drawn values and what undoes it.
pub(crate) fn begin(
    name: &str,
    number: u64,
    [victims, others]: [&[MachineId]; 2],
    begin: impl FnOnce() -> Result<(Vec<(u32, u64)>, Undo), ControlError>,
) -> Result<(), ControlError> {
    request_fault(true, victims, String::new);
    let (drawn, undo) = unrecorded(begin)?;
    let (name, victims, others) = (name.to_owned(), victims.to_vec(), others.to_vec());
    let act = Act::Own { number, name, victims, others, drawn };
    engine::record_act(None, &act, || acts::describe(&act));
    note_begun(&act, number, undo);
    Ok(())
}

/// Begins a fault of a script.
pub(super) fn begin_again(act: &Act) {
    let Act::Own { number, name, victims, others, drawn } = act else { return };
    let Some(begin) = with(|world| world.own_faults.get(name).cloned()).flatten() else {
        return engine::break_run(format!(
            "the recorded run contains the fault `{name}`, but no plan of the test has this fault now: \
             restore it, or run the seed instead of the token"
        ));
    };
    match unrecorded(|| begin(victims, others, drawn)) {
        Ok(undo) => note_begun(act, *number, undo),
        Err(error) => engine::break_run(format!("the fault `{name}` cannot begin: {error}")),
    }
}

fn note_begun(act: &Act, number: u64, undo: Undo) {
    let machine = act.affected().first().copied();
    engine::record_fault(Effect::Own, machine, || acts::describe(act));
    let Act::Own { name, .. } = act else { return };
    let begun = BegunFault { name: name.clone(), undo };
    let before = with(|world| world.begun_faults.insert(number, begun));
    drop(before);
}

/// The name of a fault that has begun and is not undone.
pub(super) fn name_of(number: u64) -> Option<String> {
    with(|world| world.begun_faults.get(&number).map(|fault| fault.name.clone())).flatten()
}

/// Whether a fault has begun and is not undone.
pub(super) fn has_begun(number: u64) -> bool {
    with(|world| world.begun_faults.contains_key(&number)).unwrap_or(false)
}

/// Undoes a fault of a plan, unless it is already undone.
pub(crate) fn end(number: u64) -> Result<(), ControlError> {
    if !has_begun(number) {
        return Ok(());
    }
    let act = Act::EndOwn { number };
    engine::record_act(None, &act, || acts::describe(&act));
    undo(number).map_err(|cannot| cannot.error)
}

/// Undoes a fault, unless it is already undone. The caller records it.
pub(super) fn undo(number: u64) -> Result<(), CannotEnd> {
    match with(|world| world.begun_faults.remove(&number)).flatten() {
        Some(BegunFault { name, undo }) => {
            unrecorded(undo).map_err(|error| CannotEnd { name, error })
        }
        None => Ok(()),
    }
}

/// Undoes all faults that have begun. Returns whether there were any.
pub(super) fn undo_all() -> bool {
    let numbers: Vec<u64> =
        with(|world| world.begun_faults.keys().copied().collect()).unwrap_or_default();
    for number in &numbers {
        if let Err(error) = undo(*number) {
            engine::break_run(error.to_string());
        }
    }
    !numbers.is_empty()
}

/// Calls `f` without recording acts: the calls of a fault on `Sim` are parts of the fault's own act.
fn unrecorded<R>(f: impl FnOnce() -> R) -> R {
    let count = |by: i32| context::try_with(|engine| engine.acts.add_unrecorded(by));
    count(1);
    let result = f();
    count(-1);
    result
}
