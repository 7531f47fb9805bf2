//! The steps of the test in this thread's run: which steps have begun, and which tasks wait for a step.

use std::future::poll_fn;
use std::task::{Poll, Waker};

use crate::engine::context::try_with;
use crate::engine::draws::positions::{StepSequence, StepStart};
use crate::engine::ids::ProcessId;
use crate::engine::tasks::table::TaskKey;
use crate::engine::tasks::wait::Wait;

/// Records that a step sequence begins.
pub(crate) fn begin_sequence(sequence: u64, steps: u64) {
    try_with(|engine| engine.positions.borrow_mut().begin_sequence(sequence, steps));
}

/// Records that the nth choice of a step has `of` possible values.
pub(crate) fn record_choice(sequence: u64, nth: u64, of: u64) {
    try_with(|engine| engine.positions.borrow_mut().record_choice(sequence, nth, of));
}

/// Takes the step sequences that have begun.
pub(crate) fn take_sequences() -> Vec<StepSequence> {
    try_with(|engine| engine.positions.borrow_mut().take_sequences()).unwrap_or_default()
}

/// Returns the step that began last.
pub(crate) fn last_step() -> Option<StepStart> {
    try_with(|engine| engine.positions.borrow().last_step()).flatten()
}

/// Begins a step in the running task, and wakes the tasks that wait for this step. Returns the
/// running task.
pub(crate) fn begin_step(sequence: u64, step: u64) -> Option<TaskKey> {
    let task = try_with(|engine| {
        engine.tasks.numbering(|numbering| numbering.begin_step(sequence, step));
        engine.current_task()
    });
    let waiting = try_with(|engine| {
        let start = StepStart { sequence, step, at: engine.clock.now() };
        let is_by_plan = engine.scope().process == ProcessId::HARNESS;
        if !is_by_plan {
            engine.acts.begin_step(engine, sequence, step);
        }
        engine.positions.borrow_mut().begin_step(start, is_by_plan)
    });
    waiting.into_iter().flatten().for_each(Waker::wake);
    task.flatten()
}

/// Ends the step of a sequence that began in a task. What the task does from here on is not numbered in the step.
pub(crate) fn end_steps(task: TaskKey, sequence: u64) {
    try_with(|engine| engine.tasks.with(task, |task| task.numbering.end_steps(sequence)));
}

/// The word of the step that the running task itself is in; 0 outside of steps.
pub(crate) fn own_step() -> u64 {
    try_with(|engine| engine.tasks.numbering(|numbering| numbering.own_step()))
        .flatten()
        .unwrap_or(0)
}

/// Waits until a step, or a later one of its sequence, has begun. Returns the time at which it began.
pub(crate) async fn wait_for_step(sequence: u64, step: u64) -> u64 {
    poll_fn(|cx| {
        let found = try_with(|engine| {
            engine.record_wait(Wait::Named("a step of the test to begin"));
            engine.positions.borrow_mut().begun_at(sequence, step, cx.waker())
        });
        found.flatten().map_or(Poll::Pending, Poll::Ready)
    })
    .await
}

/// Drops the wakers of tasks that wait for a step, at the end of the run.
pub(crate) fn clear_waiters() {
    drop(try_with(|engine| engine.positions.borrow_mut().take_waiting()));
}
