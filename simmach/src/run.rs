//! Executes one run of a test, on a separate thread. The run is a function of plain data.
//!
//! Sweeps, replays and benchmarks all call [`run`]. It installs the state of every layer, drives
//! the engine to a verdict, and removes the state, so that nothing outlives the run.

mod guest_support;
mod setup;

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
use crate::engine::executor::drive::Limits;
use crate::engine::failure::backtrace;
use crate::engine::failure::verdict::{Failure, Verdict};
use crate::engine::log;
use crate::engine::panics::hook::HookGuard;
use crate::engine::panics::{self, abort_report};
use crate::engine::record::deviations::Recorded;
use crate::engine::record::trace::KeptTrace;
use crate::engine::steps;
use crate::engine::{MachineId, Name};
use crate::interpose::trap::Trap;
use crate::outcome::{Keep, Outcome};
use crate::panic_message::panic_message;
use crate::sim::PlanActivity;
use crate::spec::{SimTest, Spec};
use crate::storage::{self, RunFolder};
use crate::task::JoinHandle;
use crate::time::nanos;
use crate::{guest, interpose, machine, net, sim};

/// Stack size of a run's thread in bytes, equal to that of a main thread. Only pages that are used
/// take memory.
const STACK: usize = 8 << 20;

static ROOT: OnceLock<Result<PathBuf, String>> = OnceLock::new();

/// Sets the folder for the disks of this process's runs. Only the first call has an effect.
pub(crate) fn set_root(root: PathBuf) {
    let _ = ROOT.set(Ok(root));
}

/// Returns the folder for the disks of this process's runs. Creates one if none was set.
fn root() -> Result<&'static Path, String> {
    let root = ROOT.get_or_init(|| {
        let made = storage::memory_disk::choose_folder(None).and_then(|folder| {
            let folder = folder.join(format!("simmach-{}", std::process::id()));
            std::fs::create_dir_all(&folder).map(|()| folder)
        });
        made.map_err(|error| error.to_string())
    });
    root.as_deref().map_err(Clone::clone)
}

/// Runs one seed of a test. A watchdog may read `status` meanwhile.
pub(crate) fn run(
    test: &SimTest,
    seed: u64,
    overlay: &Overlay,
    keep: Keep,
    status: Arc<RunStatus>,
) -> Outcome {
    let (spec, overlay) = (test.spec, overlay.clone());
    let (module_path, name) = (test.module_path, test.name);
    backtrace::set_sources(test.manifest_dir, test.file);
    let spec = move || {
        abort_report::set_test(module_path, name);
        spec()
    };
    run_spec(spec, seed, overlay, keep, status)
}

/// Like [`run`], for a spec that is not a registered test.
pub(crate) fn run_spec(
    spec: impl FnOnce() -> Spec + Send + 'static,
    seed: u64,
    overlay: Overlay,
    keep: Keep,
    status: Arc<RunStatus>,
) -> Outcome {
    let _hooked = HookGuard::begin();
    log::install();
    interpose::keep();
    guest_support::prepare();
    storage::prepare();
    let thread = thread::Builder::new().name("run".to_owned()).stack_size(STACK);
    let run = thread.spawn(move || {
        let ran = AssertUnwindSafe(|| on_thread(spec, seed, overlay, keep, status));
        catch_unwind(ran).unwrap_or_else(|panic| {
            empty();
            resume_unwind(panic)
        })
    });
    let joined = match run {
        Ok(handle) => handle.join(),
        Err(error) => {
            let message = format!("cannot start a thread for a run: {error}");
            return Outcome::without_a_run(seed, Verdict::Broken(message));
        }
    };
    joined.unwrap_or_else(|panic| {
        let message = panic_message(panic.as_ref());
        Outcome::without_a_run(
            seed,
            Verdict::Broken(format!(
                "the run's set-up panicked: {message}. Check whether the methods `name` or `settings` of a plan that you wrote \
                 panic. If not, this is a bug in simmach."
            )),
        )
    })
}

/// Removes the layers' state after a panic in simmach itself.
fn empty() {
    guest_support::remove();
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
    status: Arc<RunStatus>,
) -> Outcome {
    let _log = log::begin(keep.log);
    abort_report::set_seed(seed);
    if keep.log {
        panics::capture_all();
    }
    status.set_thread(thread_number());
    let engine =
        context::install(Engine::new(seed, &overlay, keep.events, keep.deviations, status));
    engine.seed_thread();
    // This happens before the spec is built, whose code may make system calls.
    guest_support::install(engine.run);
    let _trap = Trap::set();
    let mut outcome = match catch_unwind(AssertUnwindSafe(spec)) {
        Ok(spec) => match spec.mistakes() {
            mistakes if mistakes.is_empty() => run_installed_spec(&engine, spec, seed, keep),
            mistakes => Outcome::without_a_run(seed, Verdict::Broken(mistakes.join("\n"))),
        },
        Err(panic) => {
            let note = panics::note(panic.as_ref());
            // A refused call is more informative than the panic that it led to.
            let mut failure = engine.take_refusal().unwrap_or_else(|| Failure::of_panic(note));
            // The program's own file is the host's, here and below.
            context::outside(|| failure.origin.resolve(failure.location.as_deref()));
            let Failure { message, location, origin, .. } = failure;
            let at = [location, origin.called_from].into_iter().flatten().collect::<Vec<_>>();
            let at = if at.is_empty() {
                String::new()
            } else {
                format!(" ({})", at.join(", called from "))
            };
            let message = format!(
                "an argument of `#[sim_test]` or of a `Scenario`, such as `topology` or `chaos`, panicked: {message}{at}. \
                 Correct the code that it calls."
            );
            Outcome::without_a_run(seed, Verdict::Broken(message))
        }
    };
    guest_support::remove();
    context::remove();
    outcome.log = log::take();
    outcome
}

/// Installs the layers' state as `spec` says, drives the run to its verdict and tears it down.
fn run_installed_spec(engine: &Rc<Engine>, spec: Spec, seed: u64, keep: Keep) -> Outcome {
    let (machines, client) = spec.machines();
    let disks = match context::outside(run_folder) {
        Ok(folder) => folder,
        Err(message) => return Outcome::without_a_run(seed, Verdict::Broken(message)),
    };
    let limits = Limits {
        time: nanos(spec.time_limit),
        polls: spec.poll_limit,
        stall: nanos(spec.stall_limit),
    };
    let client = MachineId(client as u32);
    let has_guests = spec.has_guests(&machines);
    engine.map_keys.uncounted(|| context::outside(|| guest::prepare(has_guests)));
    set_up(engine, &spec, &machines, client, disks);
    engine.map_keys.uncounted(|| guest::reset(seed, has_guests));
    if keep.packets {
        net::control::capture();
    }
    let sim = sim::install(seed, client);
    let (plans, body, shape) = spec.into_parts();
    let body = setup::begin(engine, plans, body, sim, client, &limits);
    let verdict = engine.drive(&limits);
    let reached = Outcome {
        disks: keep.disks.then(machine::disk_images),
        ..take_trace_and_deviations(engine, seed, keep)
    };
    let left = tear_down(engine, body, keep);
    let verdict = final_verdict(engine, verdict, left.panic, keep);
    // The shape is needed for the token of a failure, and to compare a token with a run that is reported.
    let is_shape_needed = verdict != Verdict::Passed || keep != Keep::default();
    let (shape, machines) = if is_shape_needed {
        (
            shape.word(!engine.acts.has_script()),
            machines.iter().map(|name| name.to_string()).collect(),
        )
    } else {
        (0, Vec::new())
    };
    let (effects, faults) = engine.take_effects();
    let (events, task_names) = match engine.trace_state().take_kept() {
        Some(KeptTrace { events, tasks }) => {
            let named =
                tasks.into_iter().map(|(path, task)| (path, task.name(&engine.status.names)));
            (Some(events), named.collect())
        }
        None => (None, Vec::new()),
    };
    Outcome {
        verdict,
        polls: engine.counters.polls.get(),
        clock_advances: engine.counters.clock_advances.get(),
        sockets: left.sockets,
        effects,
        plans: left.plans,
        faults,
        machines,
        shape,
        threads: engine.refusals.has_started_threads(),
        threads_left: left.threads,
        unmet: if has_guests { guest::not_found() } else { Vec::new() },
        events,
        task_names,
        packets: left.packets,
        ..reached
    }
}

/// Installs every layer's state as the spec says.
fn set_up(engine: &Engine, spec: &Spec, machines: &[Name], client: MachineId, disks: RunFolder) {
    engine.names.replace(machines.to_vec());
    engine.status.names.set_machines(machines.to_vec());
    engine.clock.machine_clocks.install(machines.len());
    engine.clock.set_epoch(spec.epoch);
    setup::install(spec, machines, client, disks);
}

/// Takes the trace and the deviations as they are at the verdict, before the run is torn down.
fn take_trace_and_deviations(engine: &Engine, seed: u64, keep: Keep) -> Outcome {
    let trace_hash = engine.trace_state().hash();
    let (trace_events, checkpoints) = engine.trace_state().take_checkpoints();
    let early_checkpoints = match keep.early_checkpoints {
        true => engine.trace_state().take_early_checkpoints(),
        false => Vec::new(),
    };
    let virtual_nanos = engine.clock.now();
    let Recorded { size, deviations, acts } = engine.take_deviations();
    let sequences = steps::take_sequences();
    steps::clear_waiters();
    Outcome {
        trace_hash,
        trace_events,
        checkpoints,
        early_checkpoints,
        virtual_nanos,
        sequences,
        size,
        deviations,
        acts,
        ..Outcome::without_a_run(seed, Verdict::Passed)
    }
}

/// The values that the layers return when they are removed.
struct Remains {
    /// Number of threads that did not end with their process.
    threads: u64,
    sockets: u64,
    plans: Vec<PlanActivity>,
    packets: Option<Vec<u8>>,
    /// A panic in a destructor of state that the test kept in the run.
    panic: Option<Failure>,
}

/// Ends every process and removes the layers. Destructors cannot reach the run any more.
fn tear_down(engine: &Engine, body: JoinHandle<()>, keep: Keep) -> Remains {
    engine.end_all_tasks();
    drop(body);
    let threads = guest_support::remove();
    let packets = if keep.packets { net::control::captured() } else { None };
    let sockets = net::remove().sockets;
    storage::remove();
    machine::remove();
    let plans = sim::take_plan_activity();
    // `Sim::state` holds values of the test, whose destructors may panic.
    let dropped = catch_unwind(AssertUnwindSafe(sim::remove));
    let panic = dropped.err().map(|panic| Failure::of_panic(panics::note(panic.as_ref())));
    let timers = engine.timers.borrow_mut().drain();
    drop(timers);
    Remains { threads, sockets, plans, packets, panic }
}

/// Returns the verdict after the tear-down. A run that passed still fails by a refused call, by an unobserved panic of a
/// task, or by a panic during the tear-down.
fn final_verdict(engine: &Engine, verdict: Verdict, panic: Option<Failure>, keep: Keep) -> Verdict {
    let late = engine.take_refusal().or_else(|| engine.take_unobserved()).or(panic);
    let mut verdict = match (verdict, late) {
        (Verdict::Passed, Some(failure)) => Verdict::Failed(failure),
        (verdict, _) => verdict,
    };
    // Resolving symbols takes a third of a second the first time, so it is only done for a run that is reported.
    if let Verdict::Failed(failure) = &mut verdict
        && keep.log
    {
        context::outside(|| failure.origin.resolve(failure.location.as_deref()));
    }
    verdict
}

/// Returns this thread's id in the operating system; 0 where that is not supported.
fn thread_number() -> u32 {
    #[cfg(target_os = "linux")]
    let number = rustix::thread::gettid().as_raw_nonzero().get().unsigned_abs();
    #[cfg(not(target_os = "linux"))]
    let number = 0;
    number
}

/// Returns the folder for one run's disks.
fn run_folder() -> Result<RunFolder, String> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    Ok(RunFolder { parent: root()?, number: NEXT.fetch_add(1, Ordering::Relaxed) })
}
