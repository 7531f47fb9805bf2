//! A minimal run for unit tests of the engine and the layers above it: one thread, one body, no machines.

use std::future::Future;
use std::panic::Location;
use std::sync::Arc;

use crate::engine::context::{self, Engine, RunStatus};
use crate::engine::draws::overlay::Overlay;
use crate::engine::executor::drive::Limits;
use crate::engine::failure::verdict::Verdict;
use crate::engine::ids::{MachineId, ProcessId, Scope};
use crate::engine::log;
use crate::engine::panics::hook::HookGuard;
use crate::engine::record::deviations::RecordLevel;
use crate::engine::tasks::identity::Role;

/// Creates an engine with an empty overlay and no recording.
pub(crate) fn engine(seed: u64) -> Engine {
    Engine::new(seed, &Overlay::default(), false, RecordLevel::Nothing, Arc::<RunStatus>::default())
}

/// The result of a run of the rig.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) verdict: Verdict,
    pub(crate) hash: u64,
    pub(crate) nanos: u64,
    pub(crate) timers_left: usize,
}

/// The scope of the body.
pub(crate) const SCOPE: Scope =
    Scope { machine: MachineId(0), process: ProcessId(1), task: 1, alive: true };

pub(crate) const LIMITS: Limits =
    Limits { time: 3_600_000_000_000, polls: 100_000_000, stall: 600_000_000_000 };

/// Runs `body` on a fresh thread with `seed`. `set_up` and `tear_down` install and remove the state of a layer.
pub(crate) fn run_with<F: Future<Output = ()> + 'static>(
    seed: u64,
    overlay: Overlay,
    set_up: impl FnOnce() + Send,
    body: impl FnOnce() -> F + Send + 'static,
    tear_down: impl FnOnce() + Send,
) -> Ran {
    run_within(&LIMITS, seed, overlay, set_up, body, tear_down)
}

/// Like [`run_with`], with given limits.
pub(crate) fn run_within<F: Future<Output = ()> + 'static>(
    limits: &Limits,
    seed: u64,
    overlay: Overlay,
    set_up: impl FnOnce() + Send,
    body: impl FnOnce() -> F + Send + 'static,
    tear_down: impl FnOnce() + Send,
) -> Ran {
    let _hooked = HookGuard::begin();
    std::thread::scope(|threads| {
        let thread = threads.spawn(move || {
            let _log = log::begin(false);
            let engine = context::install(Engine::new(
                seed,
                &overlay,
                false,
                RecordLevel::Nothing,
                Arc::<RunStatus>::default(),
            ));
            set_up();
            let scope = engine.as_scope(SCOPE, || engine.child_scope());
            let (task, handle) =
                crate::task::spawn_as(Role::Spawned, scope, Location::caller(), async move {
                    body().await;
                    context::try_with(|engine| engine.end(Verdict::Passed));
                });
            engine.add_client(SCOPE.process);
            engine.set_body(task.expect("the body's scope is alive"));
            let verdict = engine.drive(limits);
            let hash = engine.trace_state().hash();
            engine.end_all_tasks();
            drop(handle);
            tear_down();
            let left = engine.timers.borrow().len();
            let nanos = engine.clock.now();
            let verdict = match (verdict, engine.take_unobserved()) {
                (Verdict::Passed, Some(panic)) => Verdict::Failed(panic),
                (verdict, _) => verdict,
            };
            context::remove();
            Ran { verdict, hash, nanos, timers_left: left }
        });
        thread.join().expect("a run's panics are caught inside it")
    })
}

/// Like [`run_with`], without other layers.
pub(crate) fn run<F: Future<Output = ()> + 'static>(
    seed: u64,
    body: impl FnOnce() -> F + Send + 'static,
) -> Ran {
    run_with(seed, Overlay::default(), || {}, body, || {})
}

/// Like [`run`]; panics unless the run passes.
pub(crate) fn pass<F: Future<Output = ()> + 'static>(
    seed: u64,
    body: impl FnOnce() -> F + Send + 'static,
) -> Ran {
    let ran = run(seed, body);
    assert_eq!(ran.verdict, Verdict::Passed);
    ran
}
