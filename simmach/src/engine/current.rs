//! The run on this thread, as other layers see it: its scope, time, timers and progress.
//!
//! Outside a run these functions do nothing and return `None`, zero or the calm value.

pub(crate) mod catch;
pub(crate) mod draw;
pub(crate) mod events;
pub(crate) mod note;

use crate::engine::acts::PointFault;
use crate::engine::context::{is_here, try_with};
use crate::engine::failure::verdict::Verdict;
use crate::engine::ids::{MachineId, ProcessId, RunId, Scope};
use crate::engine::roles::Holder;
use crate::engine::state::Engine;
use crate::engine::tasks::wait::Wait;
use crate::engine::time::timers::{Action, TimerKey};

/// The error of an operation on a handle outside its run, or in a destructor of a terminated process.
pub(crate) const OUTSIDE_RUN: &str = "simmach: this socket or store belongs to a run or a simulated process that has ended: \
     do not keep sockets and stores in a static, and do not pass them between processes";

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

/// When the test's body began, in virtual nanoseconds: when all machines had booted.
pub(crate) fn body_began() -> u64 {
    try_with(|engine| engine.acts.body_began()).unwrap_or(0)
}

/// The monotonic clock of the running code's machine, in nanoseconds; 0 outside a run. This does
/// not count as a reading by the code under test (see `time/clock.rs`).
pub(crate) fn local_now() -> u64 {
    try_with(Engine::local_now).unwrap_or(0)
}

/// Arms a timer; returns `None` outside a run. A timer that is already due fires after the tasks that are ready.
pub(crate) fn try_arm(at: u64, action: Action) -> Option<TimerKey> {
    try_with(|engine| engine.arm(at, action))
}

/// Like [`try_arm`], for code that only runs inside a run. Panics elsewhere.
pub(crate) fn arm(at: u64, action: Action) -> TimerKey {
    try_arm(at, action).expect("a run on this thread")
}

/// Cancels a timer and returns its action, or `None` if it has fired or was cancelled.
pub(crate) fn cancel(key: TimerKey) -> Option<Action> {
    try_with(|engine| engine.cancel(key)).flatten()
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

/// Ends the run as broken: the cause is outside the program under test, such as a full disk.
pub(crate) fn break_run(message: String) {
    try_with(|engine| engine.end(Verdict::Broken(message)));
}

/// Gives a role to the running process. Has no effect in the harness, which is not a machine.
#[inline]
pub(crate) fn enter_role(role: &str) {
    with_program(|engine, scope| engine.roles.enter(role, Holder::of_process(scope)));
}

/// Takes a role from the running process.
#[inline]
pub(crate) fn leave_role(role: &str) {
    with_program(|engine, scope| engine.roles.leave(role, Holder::of_process(scope)));
}

/// Returns the machines that have a role. The one that entered it last comes last.
pub(crate) fn role_holders(role: &str) -> Vec<MachineId> {
    try_with(|engine| engine.roles.holders(role)).unwrap_or_default()
}

/// Returns the roles that any machine has or had in this run, in the order of their names.
pub(crate) fn known_roles() -> Vec<String> {
    try_with(|engine| engine.roles.names()).unwrap_or_default()
}

/// Handles a pass of a fault point by the running process. Costs one load outside a run.
#[inline]
pub(crate) fn pass_point(name: &str) -> PointFault {
    with_program(|engine, _| engine.pass_point(name)).unwrap_or_default()
}

/// Calls `f` if the code of a process is running. Costs one load outside a run.
#[inline]
fn with_program<R>(f: impl FnOnce(&Engine, Scope) -> R) -> Option<R> {
    if !is_here() {
        return None;
    }
    try_with(|engine| {
        let scope = engine.scope();
        (scope.alive && scope.process != ProcessId::HARNESS).then(|| f(engine, scope))
    })
    .flatten()
}
