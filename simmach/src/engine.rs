//! The engine: tasks, virtual time, draws and the trace of one run on one thread.
//!
//! Below every other layer. It knows nothing of networks, disks or machines but their numbers. What the layers above
//! need of the run on this thread they reach by the functions here; outside a run these do nothing, and say so by what
//! they return.

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

/// What an operation answers that is used outside a run, or by the destructor of a dead process.
pub(crate) const OUTSIDE_RUN: &str =
    "simmach: used outside the run it belongs to, or by a process that is dead";

/// This thread's run.
pub(crate) fn run_id() -> Option<RunId> {
    try_with(|engine| engine.run)
}

/// Whose code runs now; `None` outside a run.
pub(crate) fn scope() -> Option<Scope> {
    try_with(Engine::scope)
}

/// Whose code runs now, if it may touch the run: `None` outside one and for a dead process's destructors.
pub(crate) fn live_scope() -> Option<Scope> {
    scope().filter(|scope| scope.alive)
}

/// Virtual nanoseconds since the run began; 0 outside.
pub(crate) fn now() -> u64 {
    try_with(|engine| engine.clock.now()).unwrap_or(0)
}

/// The monotonic clock of the machine that runs now, in nanoseconds; 0 outside a run. No reading of the user's.
pub(crate) fn local_now() -> u64 {
    try_with(Engine::local_now).unwrap_or(0)
}

/// Puts an action into the future; `None` outside a run. What is due already fires at once, after what is ready.
pub(crate) fn try_arm(at: u64, action: Action) -> Option<TimerKey> {
    try_with(|engine| engine.arm(at, action))
}

/// As [`try_arm`], for the layers' own code, which runs inside a run only.
pub(crate) fn arm(at: u64, action: Action) -> TimerKey {
    try_arm(at, action).expect("a layer arms its timers inside a run")
}

/// Takes an action out of the future; a key whose timer is gone does nothing.
pub(crate) fn cancel(key: TimerKey) -> Option<Action> {
    try_with(|engine| engine.cancel(key)).flatten()
}

/// The running task, if this is its own waker and not one that something in it made round that.
pub(crate) fn own_task(waker: &Waker) -> Option<TaskKey> {
    try_with(|engine| engine.own_task(waker)).flatten()
}

/// Tells what the running task is about to wait for.
pub(crate) fn record_wait(wait: Wait) {
    try_with(|engine| engine.record_wait(wait));
}

/// Something happened that a stalled run would lack.
pub(crate) fn note_progress() {
    try_with(Engine::note_progress);
}

/// A process began or ended.
pub(crate) fn note_process_change() {
    try_with(Engine::note_process_change);
}

/// Notes a process of the test's own.
pub(crate) fn add_client(process: ProcessId) {
    try_with(|engine| engine.add_client(process));
}

/// Counts something that took effect.
pub(crate) fn count_effect(effect: Effect, n: u64) {
    try_with(|engine| engine.count_effect(effect, n));
}

/// Counts a fault that took effect, and keeps a line about it.
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

/// Calls what the test gave to a layer below. A panic fails the run, and is answered with `otherwise`.
pub(crate) fn catch_test_panic<R>(otherwise: R, call: impl FnOnce() -> R) -> R {
    catch_unwind(AssertUnwindSafe(call)).unwrap_or_else(|panic| {
        try_with(|engine| engine.test_panicked(panic.as_ref()));
        otherwise
    })
}

/// Calls code of the user's whose panic goes no further, as in tokio: what is left of it is a line in the log. `what` says
/// whose panic it is.
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

/// Drops what was panicked with. That may panic, too; there it ends.
fn drop_payload(payload: Box<dyn Any + Send>) {
    if let Err(again) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
        std::mem::forget(again);
    }
}

/// Adds an event to the trace.
pub(crate) fn trace(event: NewEvent<'_>) {
    try_with(|engine| engine.trace(event));
}

/// Ends the run as broken: the machine it runs on, not the program, is at fault.
pub(crate) fn break_run(message: String) {
    try_with(|engine| engine.end(Verdict::Broken(message)));
}

/// The raw word of a draw; `None` is calm, as all is for a dead process and outside a run.
pub(crate) fn word(address: Address) -> Option<u64> {
    try_with(|engine| engine.word(address)).flatten()
}

/// In `0..n`, for a setting of the run: drawn by the seed, and the same whatever an overlay says.
pub(crate) fn setting_below(address: Address, n: u64) -> u64 {
    let word = try_with(|engine| engine.draws.setting(address));
    draws::below_of(word, n)
}

/// True with probability `p`; calm is false.
pub(crate) fn chance(address: Address, p: f64) -> bool {
    try_with(|engine| engine.chance(address, p)).unwrap_or(false)
}

/// In `[0, 1)`; calm is one half, the median.
pub(crate) fn unit(address: Address) -> f64 {
    try_with(|engine| engine.unit(address)).unwrap_or(draws::unit_of(None))
}

/// In `0..n`; calm is 0.
pub(crate) fn below(address: Address, n: u64) -> u64 {
    try_with(|engine| engine.below(address, n)).unwrap_or(0)
}

/// Whether a strike, a step or an act takes place; calm is no.
pub(crate) fn is_active(address: Address) -> bool {
    word(address).is_some()
}

/// The first number, from that of `address` on, whose strike or step takes place.
pub(crate) fn next_active(address: Address) -> Option<u64> {
    let Address { family, words: [a, from, c] } = address;
    try_with(|engine| engine.draws.overlay().next_not_calm(family, a, from, c)).flatten()
}

/// The word that the overlay gives to a draw, if it gives one.
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

/// Records something that was not calm, where such is recorded.
pub(crate) fn record_deviation(deviation: impl FnOnce() -> Deviation) {
    if try_with(Engine::is_recorded).unwrap_or(false) {
        let deviation = deviation();
        try_with(|engine| engine.record(|recorder| recorder.add(deviation)));
    }
}

/// Something happened to a machine.
pub(crate) fn mark_affected(machine: MachineId) {
    try_with(|engine| engine.record(|recorder| recorder.mark_affected(machine)));
}
