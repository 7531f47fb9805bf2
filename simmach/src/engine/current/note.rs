//! Records of the run on this thread: events, effects, faults and deviations.

use crate::engine::acts::{Act, PacketVerdict};
use crate::engine::context::try_with;
use crate::engine::ids::{MachineId, Scope};
use crate::engine::log;
use crate::engine::record::deviations::Deviation;
use crate::engine::record::effects::Effect;
use crate::engine::record::event::NewEvent;
use crate::engine::state::Engine;

/// Adds an event to the trace.
pub(crate) fn trace(event: NewEvent<'_>) {
    try_with(|engine| engine.trace(event));
}

/// Adds an event to the trace, unless the process of the running code has ended. Returns the scope of the code if the event was
/// added.
pub(crate) fn trace_if_alive(event: NewEvent<'_>) -> Option<Scope> {
    try_with(|engine| {
        let scope = engine.scope();
        if !scope.alive {
            return None;
        }
        engine.trace_as(scope, event);
        Some(scope)
    })
    .flatten()
}

/// Counts `n` occurrences of an effect.
pub(crate) fn count_effect(effect: Effect, n: u64) {
    try_with(|engine| engine.count_effect(effect, n));
}

/// Counts a fault, keeps its description and time, and logs it.
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

/// Records a deviation, if the run records them.
pub(crate) fn record_deviation(deviation: impl FnOnce() -> Deviation) {
    if try_with(Engine::is_recorded).unwrap_or(false) {
        let deviation = deviation();
        try_with(|engine| engine.record(|recorder| recorder.add(deviation)));
    }
}

/// Records an act of the running plan, or of the script, if the run records deviations. `owner` is the plan of the library
/// that does it.
pub(crate) fn record_act(owner: Option<u64>, act: &Act, text: impl FnOnce() -> String) {
    try_with(|engine| engine.record_act(owner, act, text));
}

/// Records what a packet filter decided about a packet, if the filter is an act of a plan.
pub(crate) fn record_verdict(filter: u64, verdict: PacketVerdict) {
    try_with(|engine| engine.record(|recorder| recorder.record_verdict(filter, verdict)));
}

/// Sets the machine and the description of the disk loss that was just drawn.
pub(crate) fn describe_disk_loss(machine: MachineId, text: impl FnOnce() -> String) {
    try_with(|engine| engine.record(|recorder| recorder.describe_disk_loss(machine, text)));
}

/// Counts a machine as affected by a fault, if the run records deviations.
pub(crate) fn mark_affected(machine: MachineId) {
    try_with(|engine| engine.record(|recorder| recorder.mark_affected(machine)));
}
