//! One run: a function of plain data, on a fresh thread of its own.
//!
//! Everything that runs a test goes through [`run`]: the sweep, the replay of a failure, benchmarks. It fills the state
//! of every layer, drives the engine to a verdict, and empties the layers again, so that nothing outlives the run.

mod world;

#[cfg(test)]
mod tests;

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread;

use crate::engine::context::{self, Engine, RunStatus};
use crate::engine::draws::overlay::Overlay;
use crate::engine::draws::positions;
use crate::engine::executor::drive::Limits;
use crate::engine::failure::hook::HookGuard;
use crate::engine::failure::verdict::{Failure, Verdict};
use crate::engine::failure::{abort_report, backtrace, panics};
use crate::engine::record::log;
use crate::engine::record::trace::KeptTrace;
use crate::engine::{MachineId, Name};
use crate::outcome::{Keep, Outcome};
use crate::panic_message::panic_message;
use crate::sim::PlanActs;
use crate::spec::{SimTest, Spec};
use crate::storage::{self, RunFolder};
use crate::task::JoinHandle;
use crate::time::nanos;
use crate::{interpose, machine, net, sim};

/// As large as a main thread's usual stack; only what is touched is ever real memory.
const STACK: usize = 8 << 20;

static ROOT: OnceLock<Result<PathBuf, String>> = OnceLock::new();

/// Where this process's runs keep their disks: a folder of its own. The first call counts.
pub(crate) fn set_root(root: PathBuf) {
    let _ = ROOT.set(Ok(root));
}

/// The folder for the disks of this process's runs; why there is none, in words.
fn root() -> Result<&'static Path, String> {
    let root = ROOT.get_or_init(|| {
        let made = storage::memory_disk::pick(None).and_then(|folder| {
            let folder = folder.join(format!("simmach-{}", std::process::id()));
            std::fs::create_dir_all(&folder).map(|()| folder)
        });
        made.map_err(|error| error.to_string())
    });
    root.as_deref().map_err(Clone::clone)
}

/// Runs one seed of a test to its outcome.
///
/// `shared` is what a watchdog may read meanwhile.
pub(crate) fn run(
    test: &SimTest,
    seed: u64,
    overlay: &Overlay,
    keep: Keep,
    shared: Arc<RunStatus>,
) -> Outcome {
    let (spec, overlay) = (test.spec, overlay.clone());
    let (module_path, name) = (test.module_path, test.name);
    backtrace::set_sources(test.manifest_dir, test.file);
    let spec = move || {
        abort_report::set_test(module_path, name);
        spec()
    };
    run_spec(spec, seed, overlay, keep, shared)
}

/// As [`run`], for a spec that no test registered.
pub(crate) fn run_spec(
    spec: impl FnOnce() -> Spec + Send + 'static,
    seed: u64,
    overlay: Overlay,
    keep: Keep,
    shared: Arc<RunStatus>,
) -> Outcome {
    let _hooked = HookGuard::begin();
    log::install();
    interpose::keep();
    storage::prepare();
    let thread = thread::Builder::new().name("run".to_owned()).stack_size(STACK);
    let run = thread.spawn(move || {
        let ran = AssertUnwindSafe(|| on_thread(spec, seed, overlay, keep, shared));
        catch_unwind(ran).unwrap_or_else(|panic| {
            empty();
            resume_unwind(panic)
        })
    });
    let joined = match run {
        Ok(handle) => handle.join(),
        Err(error) => {
            let message = format!("no thread could be started for a run: {error}");
            return Outcome::without_a_run(seed, Verdict::Broken(message));
        }
    };
    joined.unwrap_or_else(|panic| {
        let message = panic_message(panic.as_ref());
        Outcome::without_a_run(seed, Verdict::Broken(format!("simmach itself panicked: {message}")))
    })
}

/// Takes out what a run that was not ended has left in its thread.
fn empty() {
    net::discard();
    storage::remove();
    machine::remove();
    sim::remove();
    context::remove();
    drop(log::take());
}

fn on_thread(
    spec: impl FnOnce() -> Spec,
    seed: u64,
    overlay: Overlay,
    keep: Keep,
    shared: Arc<RunStatus>,
) -> Outcome {
    let _log = log::begin(keep.log);
    abort_report::set_seed(seed);
    if keep.log {
        panics::capture_all();
    }
    shared.set_thread(thread_number());
    let engine =
        context::install(Engine::new(seed, &overlay, keep.events, keep.deviations, shared));
    engine.seed_thread();
    let mut outcome = match catch_unwind(AssertUnwindSafe(spec)) {
        Ok(spec) => match spec.mistakes() {
            mistakes if mistakes.is_empty() => run_installed_spec(&engine, spec, seed, keep),
            mistakes => Outcome::without_a_run(seed, Verdict::Broken(mistakes.join("\n"))),
        },
        Err(panic) => {
            let note = panics::note(panic.as_ref());
            // What was refused says more than the panic it led to.
            let mut failure = engine.take_refusal().unwrap_or_else(|| Failure::of_panic(note));
            failure.origin.resolve(failure.location.as_deref());
            let Failure { message, location, origin, .. } = failure;
            let at = [location, origin.called_from].into_iter().flatten().collect::<Vec<_>>();
            let at = if at.is_empty() {
                String::new()
            } else {
                format!(" ({})", at.join(", called from "))
            };
            let message = format!("the test's spec panicked: {message}{at}");
            Outcome::without_a_run(seed, Verdict::Broken(message))
        }
    };
    context::remove();
    outcome.log = log::take();
    outcome
}

/// Makes the world of a run, drives it to a verdict, and takes it down again.
fn run_installed_spec(engine: &Rc<Engine>, spec: Spec, seed: u64, keep: Keep) -> Outcome {
    let (machines, client) = spec.machines();
    let disks = match run_folder() {
        Ok(folder) => folder,
        Err(message) => return Outcome::without_a_run(seed, Verdict::Broken(message)),
    };
    let limits = Limits {
        time: nanos(spec.time_limit),
        steps: spec.step_limit,
        stall: nanos(spec.stall_limit),
    };
    let client = MachineId(client as u32);
    set_up(engine, &spec, &machines, client, disks);
    if keep.packets {
        net::control::capture();
    }
    let sim = sim::install(seed, client);
    let (plans, body, shape) = spec.into_parts();
    let body = world::begin(engine, plans, body, sim, client);
    let verdict = engine.drive(&limits);
    let reached = take_trace_and_deviations(engine, seed, keep);
    let left = tear_down(engine, body, keep);
    let verdict = final_verdict(engine, verdict, left.panic, keep);
    // A token is made of a run that did not pass; where something is kept of one, a token may be held against it.
    let is_looked_at = verdict != Verdict::Passed || keep != Keep::default();
    let (shape, machines) = if is_looked_at {
        (shape.word(), machines.iter().map(|name| name.to_string()).collect())
    } else {
        (0, Vec::new())
    };
    let (effects, faults) = engine.take_effects();
    let (events, places) = match engine.trace_state().take_kept() {
        Some(KeptTrace { events, tasks }) => {
            let named = tasks.into_iter().map(|(path, task)| (path, task.name(&engine.status)));
            (Some(events), named.collect())
        }
        None => (None, Vec::new()),
    };
    Outcome {
        verdict,
        steps: engine.counters.steps.get(),
        jumps: engine.counters.jumps.get(),
        sockets: left.sockets,
        effects,
        plans: left.plans,
        faults,
        machines,
        shape,
        threads: engine.refusals.has_started_threads(),
        events,
        places,
        packets: left.packets,
        ..reached
    }
}

/// Fills every layer's state as the spec has it.
fn set_up(engine: &Engine, spec: &Spec, machines: &[Name], client: MachineId, disks: RunFolder) {
    engine.names.replace(machines.to_vec());
    engine.status.set_names(machines.to_vec());
    engine.clock.machine_clocks.install(machines.len());
    engine.clock.set_epoch(spec.epoch);
    world::install(spec, machines, client, disks);
}

/// What a run came to before it is torn down: the trace as it is at the verdict, and what was not calm.
fn take_trace_and_deviations(engine: &Engine, seed: u64, keep: Keep) -> Outcome {
    let trace_hash = engine.trace_state().hash();
    let (trace_events, checkpoints) = engine.trace_state().take_checkpoints();
    let early_checkpoints = match keep.early_checkpoints {
        true => engine.trace_state().take_early_checkpoints(),
        false => Vec::new(),
    };
    let virtual_nanos = engine.clock.now();
    let (size, deviations) = engine.take_deviations();
    let sequences = positions::take_sequences();
    positions::clear_waiters();
    Outcome {
        trace_hash,
        trace_events,
        checkpoints,
        early_checkpoints,
        virtual_nanos,
        sequences,
        size,
        deviations,
        ..Outcome::without_a_run(seed, Verdict::Passed)
    }
}

/// What is taken out of the layers as they are emptied.
struct Remains {
    sockets: u64,
    plans: Vec<PlanActs>,
    packets: Option<Vec<u8>>,
    /// A panic of a destructor of what the test's code kept in the run.
    panic: Option<Failure>,
}

/// Ends every process and empties the layers. From here on nothing that a destructor does can reach the run.
fn tear_down(engine: &Engine, body: JoinHandle<()>, keep: Keep) -> Remains {
    engine.end_all_tasks();
    drop(body);
    let packets = if keep.packets { net::control::captured() } else { None };
    let sockets = net::remove().sockets;
    storage::remove();
    machine::remove();
    let plans = sim::acts();
    // Memory of the run that the test's code made: its destructors are the test's too.
    let dropped = catch_unwind(AssertUnwindSafe(sim::remove));
    let panic = dropped.err().map(|panic| Failure::of_panic(panics::note(panic.as_ref())));
    let timers = engine.timers.borrow_mut().drain();
    drop(timers);
    Remains { sockets, plans, packets, panic }
}

/// The verdict, with what came to light as the run was torn down: a run that passed fails by what was refused in it, by a
/// task's panic that nobody observed, or by a panic as it was torn down.
fn final_verdict(engine: &Engine, verdict: Verdict, panic: Option<Failure>, keep: Keep) -> Verdict {
    let late = engine.take_refusal().or_else(|| engine.take_unobserved()).or(panic);
    let mut verdict = match (verdict, late) {
        (Verdict::Passed, Some(failure)) => Verdict::Failed(failure),
        (verdict, _) => verdict,
    };
    // To find symbols takes a third of a second in a process that has not yet: only for a run that is reported.
    if let Verdict::Failed(failure) = &mut verdict
        && keep.log
    {
        failure.origin.resolve(failure.location.as_deref());
    }
    verdict
}

/// This thread, by the system's number; 0 where there is none.
fn thread_number() -> u32 {
    #[cfg(target_os = "linux")]
    let number = rustix::thread::gettid().as_raw_nonzero().get().unsigned_abs();
    #[cfg(not(target_os = "linux"))]
    let number = 0;
    number
}

/// The folder for one run's disks.
fn run_folder() -> Result<RunFolder, String> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    Ok(RunFolder { parent: root()?, number: NEXT.fetch_add(1, Ordering::Relaxed) })
}
