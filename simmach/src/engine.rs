//! The engine: tasks, virtual time, draws and the trace of one run on one thread.
//!
//! The engine is the lowest layer. It knows networks, disks and machines only as numbers, apart
//! from the names of their draws (`Family`), events (`Event`) and effects (`Effect`). Other layers
//! use the run on this thread through the functions of [`current`].

pub(crate) mod acts;
pub(crate) mod context;
mod current;
pub(crate) mod draws;
pub(crate) mod event_waits;
pub(crate) mod executor;
pub(crate) mod failure;
#[cfg(all(target_os = "linux", target_env = "gnu", target_pointer_width = "64"))]
mod futures_random;
pub(crate) mod ids;
pub(crate) mod log;
mod map_keys;
mod name;
mod names;
pub(crate) mod panics;
pub(crate) mod points;
pub(crate) mod record;
#[cfg(test)]
pub(crate) mod rig;
mod roles;
pub(crate) mod slot;
mod state;
mod status;
pub(crate) mod steps;
pub(crate) mod tasks;
#[cfg(all(target_os = "linux", target_env = "gnu", target_pointer_width = "64"))]
mod thread_storage;
pub(crate) mod time;

pub(crate) use crate::engine::acts::PointFault;
pub(crate) use crate::engine::context::{Engine, Slot};
pub(crate) use crate::engine::current::catch::{catch_and_log_panic, catch_test_panic};
pub(crate) use crate::engine::current::draw::{
    below, chance, is_active, next_active, pinned, setting_below, unit, word,
};
pub(crate) use crate::engine::current::events::wait_for_event;
pub(crate) use crate::engine::current::note::{
    count_effect, describe_disk_loss, mark_affected, record_act, record_deviation, record_fault,
    record_verdict, trace, trace_if_alive,
};
pub(crate) use crate::engine::current::{
    OUTSIDE_RUN, add_client, arm, body_began, break_run, cancel, enter_role, known_roles,
    leave_role, live_scope, local_now, note_process_change, note_progress, now, pass_point,
    record_wait, role_holders, run_id, scope,
};
pub(crate) use crate::engine::draws::family::Family;
pub(crate) use crate::engine::draws::{mix, mix_text};
pub(crate) use crate::engine::ids::{MachineId, ProcessId, RunId, Scope};
pub(crate) use crate::engine::name::{Name, NameHasher};
pub(crate) use crate::engine::record::effects::Effect;
pub(crate) use crate::engine::record::event::Event;
pub(crate) use crate::engine::tasks::identity::Role;
pub(crate) use crate::engine::tasks::wait::Wait;
pub(crate) use crate::engine::tasks::waiter::Waiter;
pub(crate) use crate::engine::time::timers::{Action, TimerKey};
