//! The engine: tasks, virtual time, draws and the trace of one run on one thread.
//!
//! This is the lowest layer. Networks, disks and machines are only numbers to it, apart from the names of their draws
//! (`Family`), events (`Event`) and effects (`Effect`). Other layers reach the run on this thread through the functions
//! below. Outside a run these do nothing and return `None`, zero or the calm value.

pub(crate) mod context;
pub(crate) mod draws;
pub(crate) mod executor;
pub(crate) mod failure;
pub(crate) mod ids;
mod map_keys;
mod name;
pub(crate) mod record;
#[cfg(test)]
pub(crate) mod rig;
mod state;
mod status;
pub(crate) mod time;

use std::task::Waker;

pub(crate) use crate::engine::context::{Engine, Slot};
pub(crate) use crate::engine::draws::family::Family;
pub(crate) use crate::engine::draws::{mix, mix_text};
pub(crate) use crate::engine::executor::identity::Role;
pub(crate) use crate::engine::executor::tasks::TaskKey;
pub(crate) use crate::engine::executor::waits::Wait;
pub(crate) use crate::engine::executor::waker::Waiter;
pub(crate) use crate::engine::ids::{MachineId, ProcessId, RunId, Scope};
pub(crate) use crate::engine::name::{Name, NameHasher};
pub(crate) use crate::engine::record::effects::Effect;
pub(crate) use crate::engine::record::event::{Event, NewEvent};
pub(crate) use crate::engine::time::timers::{Action, TimerKey};

use crate::engine::draws::address::Address;
use crate::engine::draws::overlay;
use crate::engine::failure::panics;
use crate::engine::record::log;
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::engine::context::try_with;
use crate::engine::failure::verdict::Verdict;
use crate::engine::record::deviations::Deviation;

/// The error of an operation on a handle outside its run, or in a destructor of a terminated process.
pub(crate) const OUTSIDE_RUN: &str =
    "simmach: handle used outside its simulation run, or by a terminated process";

/// Returns the id of the run on this thread.
pub(crate) fn run_id() -> Option<RunId> {
    try_with(|engine| engine.run)
}

/// The scope of the running code, or `None` outside a run.
pub(crate) fn scope() -> Option<Scope> {
    try_with(Engine::scope)
}

/// The scope of the running code, or `None` outside a run and in a terminated process's destructors.
pub(crate) fn live_scope() -> Option<Scope> {
    scope().filter(|scope| scope.alive)
}

/// Virtual nanoseconds since the run began; 0 outside a run.
pub(crate) fn now() -> u64 {
    try_with(|engine| engine.clock.now()).unwrap_or(0)
}

/// The monotonic clock of the running code's machine, in nanoseconds; 0 outside a run. Does not count as a reading by the
/// code under test (see [`time::clock`]).
pub(crate) fn local_now() -> u64 {
    try_with(Engine::local_now).unwrap_or(0)
}

/// Arms a timer; returns `None` outside a run. A timer that is already due fires after the tasks that are ready.
pub(crate) fn try_arm(at: u64, action: Action) -> Option<TimerKey> {
    try_with(|engine| engine.arm(at, action))
}

/// As [`try_arm`], for code that only runs inside a run. Panics elsewhere.
pub(crate) fn arm(at: u64, action: Action) -> TimerKey {
    try_arm(at, action).expect("a run on this thread")
}

/// Cancels a timer and returns its action, or `None` if it has fired or was cancelled.
pub(crate) fn cancel(key: TimerKey) -> Option<Action> {
    try_with(|engine| engine.cancel(key)).flatten()
}

/// Returns the running task if `waker` is the task's own, not one that wraps it.
pub(crate) fn own_task(waker: &Waker) -> Option<TaskKey> {
    try_with(|engine| engine.own_task(waker)).flatten()
}

/// Records what the running task is about to wait for.
pub(crate) fn record_wait(wait: Wait) {
    try_with(|engine| engine.record_wait(wait));
}

/// Notes progress of the run, for the detection of stalls.
pub(crate) fn note_progress() {
    try_with(Engine::note_progress);
}

/// Notes that a process began or ended, for the detection of stalls.
pub(crate) fn note_process_change() {
    try_with(Engine::note_process_change);
}

/// Registers a process as a client of the test.
pub(crate) fn add_client(process: ProcessId) {
    try_with(|engine| engine.add_client(process));
}

/// Counts `n` occurrences of an effect.
pub(crate) fn count_effect(effect: Effect, n: u64) {
    try_with(|engine| engine.count_effect(effect, n));
}

/// Counts a fault and keeps its description with its time; logs it, too.
pub(crate) fn record_fault(
    effect: Effect,
    machine: Option<MachineId>,
    text: impl FnOnce() -> String,
) {
    try_with(|engine| {
        let text = text();
        log::write_line(log::Level::Fault, machine.unwrap_or(Scope::HARNESS.machine), || {
            text.clone()
        });
        engine.record_fault(effect, machine, text);
    });
}

/// Calls a closure of the test, such as a packet filter. A panic in it fails the run; `otherwise` is returned then.
pub(crate) fn catch_test_panic<R>(otherwise: R, call: impl FnOnce() -> R) -> R {
    catch_unwind(AssertUnwindSafe(call)).unwrap_or_else(|panic| {
        try_with(|engine| engine.test_panicked(panic.as_ref()));
        otherwise
    })
}

/// Calls user code and stops a panic in it, as tokio does: the panic is only logged. `what` names the code in the log, such
/// as "the destructor of a task's output".
pub(crate) fn catch_and_log_panic(what: &str, call: impl FnOnce()) {
    if let Err(payload) = catch_unwind(AssertUnwindSafe(call)) {
        log_panic(what, payload);
    }
}

#[cold]
fn log_panic(what: &str, payload: Box<dyn Any + Send>) {
    let note = panics::note(payload.as_ref());
    if let Some(scope) = live_scope() {
        log::write_line(log::Level::Error, scope.machine, || {
            let location =
                note.location.map(|location| format!(" at {location}")).unwrap_or_default();
            format!("{what} panicked{location}: {}", note.message)
        });
    }
    drop_payload(payload);
}

/// Drops the payload of a panic. If that panics too, the second payload is leaked.
fn drop_payload(payload: Box<dyn Any + Send>) {
    if let Err(again) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
        std::mem::forget(again);
    }
}

/// Adds an event to the trace.
pub(crate) fn trace(event: NewEvent<'_>) {
    try_with(|engine| engine.trace(event));
}

/// Ends the run as broken: the cause is outside the program under test, such as a full disk.
pub(crate) fn break_run(message: String) {
    try_with(|engine| engine.end(Verdict::Broken(message)));
}

/// Returns the raw word of a draw. `None` means calm; outside a run and in a terminated process every draw is.
pub(crate) fn word(address: Address) -> Option<u64> {
    try_with(|engine| engine.word(address)).flatten()
}

/// Draws a setting of the run in `0..n`. It depends on the seed only; overlays do not change it.
pub(crate) fn setting_below(address: Address, n: u64) -> u64 {
    let word = try_with(|engine| engine.draws.setting(address));
    draws::below_of(word, n)
}

/// Draws true with probability `p`. Calm is false.
pub(crate) fn chance(address: Address, p: f64) -> bool {
    try_with(|engine| engine.chance(address, p)).unwrap_or(false)
}

/// Draws from `[0, 1)`. Calm is 0.5, the median.
pub(crate) fn unit(address: Address) -> f64 {
    try_with(|engine| engine.unit(address)).unwrap_or(draws::unit_of(None))
}

/// Draws from `0..n`. Calm is 0.
pub(crate) fn below(address: Address, n: u64) -> u64 {
    try_with(|engine| engine.below(address, n)).unwrap_or(0)
}

/// Whether the strike, step or fault at this address takes place; a calm one does not.
pub(crate) fn is_active(address: Address) -> bool {
    word(address).is_some()
}

/// Returns the number of the first strike or step that takes place, starting at that of `address`.
pub(crate) fn next_active(address: Address) -> Option<u64> {
    let Address { family, words: [a, from, c] } = address;
    try_with(|engine| engine.draws.overlay().next_not_calm(family, a, from, c)).flatten()
}

/// Returns the word that the overlay sets for a draw, if it sets one.
pub(crate) fn pinned(address: Address) -> Option<u64> {
    let Address { family, words } = address;
    try_with(|engine| match engine.draws.overlay().action(family, words, engine.clock.now()) {
        overlay::RuleAction::Value(word) => Some(word),
        overlay::RuleAction::Seeded
        | overlay::RuleAction::Calm
        | overlay::RuleAction::Reseeded(_) => None,
    })
    .flatten()
}

/// Records a deviation, if the run records them.
pub(crate) fn record_deviation(deviation: impl FnOnce() -> Deviation) {
    if try_with(Engine::is_recorded).unwrap_or(false) {
        let deviation = deviation();
        try_with(|engine| engine.record(|recorder| recorder.add(deviation)));
    }
}

/// Counts a machine as affected by a fault, if the run records deviations.
pub(crate) fn mark_affected(machine: MachineId) {
    try_with(|engine| engine.record(|recorder| recorder.mark_affected(machine)));
}
