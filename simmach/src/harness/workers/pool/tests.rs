//! Tests of the pool with workers on threads of this process. `tests/harness.rs` tests worker
//! processes and their deaths.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::engine::draws::overlay::Overlay;
use crate::engine::failure::verdict::Verdict;
use crate::harness::registry;
use crate::harness::testing::{STAND_IN, Scratch, named, pause};
use crate::harness::workers::disk::{Folder, FolderError};
use crate::harness::workers::launch::{ExitCause, ProcessHandle, StartError, StartedWorker};
use crate::harness::workers::output::WorkerOutput;
use crate::harness::workers::pool::*;
use crate::harness::workers::protocol::{self, FromWorker};
use crate::harness::workers::worker::{self, WorkerSetup};
use crate::outcome::{Keep, Outcome};

const SECOND: Duration = Duration::from_secs(1);

/// Workers on threads.
fn workers(jobs: usize, tests: &'static [&'static SimTest], scratch: &Arc<Scratch>) -> Pool {
    Pool::workers(jobs, tests, launch(tests, scratch))
}

fn launch(tests: &'static [&'static SimTest], scratch: &Arc<Scratch>) -> Launcher {
    let scratch = Arc::clone(scratch);
    let start = move |_: bool| {
        let (ours, theirs) = UnixStream::pair().map_err(StartError::Process)?;
        let root = scratch.path().join(fresh().to_string());
        let folder = Folder::create(&root).map_err(StartError::Process)?;
        let setup = WorkerSetup {
            tests,
            run: STAND_IN,
            folder: Arc::new(folder),
            hang: SECOND * 60,
            exit: |_| {},
        };
        let serving = crate::harness::spawn("worker", move || worker::serve(&theirs, setup));
        serving.map_err(StartError::Thread)?;
        Ok(StartedWorker {
            socket: ours,
            process: Box::new(ThreadHandle),
            output: Arc::new(WorkerOutput::ended()),
        })
    };
    Launcher { start: Arc::new(start), show_output: false }
}

fn in_process(tests: &'static [&'static SimTest], scratch: &Arc<Scratch>) -> Pool {
    let root = scratch.path().join(fresh().to_string());
    let create_folder =
        Box::new(move || Folder::create(&root).map(Arc::new).map_err(FolderError::Unusable));
    let in_process =
        InProcess::new(tests, STAND_IN, create_folder, SECOND * 60, |hang| panic!("{hang:?}"));
    Pool::in_process(in_process, tests, launch(tests, scratch))
}

fn fresh() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

struct ThreadHandle;

impl ProcessHandle for ThreadHandle {
    fn set_folder(&mut self, _: PathBuf) {}

    fn end(&mut self, _: Duration) -> ExitCause {
        ExitCause::Unknown
    }
}

fn registry_of(names: &[&'static str]) -> &'static [&'static SimTest] {
    let tests: Vec<_> = names.iter().map(|name| named("krate", name)).collect();
    Box::leak(tests.into_boxed_slice())
}

fn jobs(test: &'static SimTest, n: u64) -> impl Iterator<Item = Job> + Send + 'static {
    (0..n).map(move |seed| job(test, seed))
}

fn job(test: &'static SimTest, seed: u64) -> Job {
    Job { test, seed, overlay: Overlay::default(), keep: Keep::default() }
}

/// All outcomes by index, cutting after the lowest that did not pass.
fn sweep(mut runs: Runs) -> (Option<u64>, BTreeMap<u64, Outcome>) {
    let mut seen = BTreeMap::new();
    let mut lowest = None;
    loop {
        match runs.next(SECOND) {
            NextRuns::Finished(ran) => {
                for FinishedRun { index, outcome, .. } in ran {
                    if outcome.verdict != Verdict::Passed && lowest.is_none_or(|low| index < low) {
                        lowest = Some(index);
                        runs.cut(index + 1);
                    }
                    assert!(seen.insert(index, outcome).is_none(), "{index} came twice");
                }
            }
            NextRuns::Pending => {}
            NextRuns::End => return (lowest, seen),
        }
    }
}

/// Another worker takes over from one that has retired.
#[test]
fn retired_workers_are_replaced() {
    let scratch = Arc::new(Scratch::new("retired"));
    let tests = registry_of(&["leaves_threads_at_sevens", "passes"]);
    for jobs_at_once in [1, 3] {
        let pool = workers(jobs_at_once, tests, &scratch);
        let (lowest, seen) = sweep(pool.runs(jobs(tests[0], 100)));
        assert_eq!((lowest, seen.len()), (None, 100));
    }
}

#[test]
fn number_of_jobs_does_not_change_results() {
    let scratch = Arc::new(Scratch::new("jobs"));
    let tests = registry_of(&["fails_from_400", "passes"]);
    let mut all = Vec::new();
    let pools = [1, 2, 8].map(|jobs| workers(jobs, tests, &scratch));
    for pool in pools.iter().chain([&in_process(tests, &scratch)]) {
        let (lowest, mut seen) = sweep(pool.runs(jobs(tests[0], 1000)));
        assert_eq!(lowest, Some(400));
        seen.split_off(&401);
        assert_eq!(seen.len(), 401, "every seed up to it was run");
        let (lowest, passed) = sweep(pool.runs(jobs(tests[1], 1000)));
        assert_eq!((lowest, passed.len()), (None, 1000));
        all.push((seen, passed));
    }
    assert!(all.windows(2).all(|two| two[0] == two[1]));
}

/// Only runs that have already begun still arrive.
#[test]
fn cut_starts_no_more_runs() {
    let scratch = Arc::new(Scratch::new("cut"));
    let tests = registry_of(&["takes_its_time"]);
    let pool = workers(2, tests, &scratch);
    let mut runs = pool.runs(jobs(tests[0], 1_000_000));
    let NextRuns::Finished(first) = runs.next(SECOND * 10) else {
        panic!("two runs of 20 ms take no 10 s");
    };
    runs.cut(0);
    let mut seen = first.len();
    loop {
        match runs.next(SECOND * 10) {
            NextRuns::Finished(ran) => seen += ran.len(),
            NextRuns::Pending => panic!("the end does not come"),
            NextRuns::End => break,
        }
    }
    assert!(seen <= 5, "{seen} runs");
}

/// A starved caller starts no more runs than another.
#[test]
fn unacknowledged_outcomes_start_no_more_runs() {
    let scratch = Arc::new(Scratch::new("starved"));
    let tests = registry_of(&["takes_its_time"]);
    let pool = workers(2, tests, &scratch);
    let mut runs = pool.runs(jobs(tests[0], 1_000_000));
    for _ in 0..3 {
        assert!(matches!(runs.next(SECOND * 10), NextRuns::Finished(_)));
    }
    // Time for twenty more.
    pause(200);
    runs.cut(0);
    let waiting = runs.all().len();
    assert!(waiting <= 4, "{waiting} runs");
}

/// A batch whose outcomes are not acknowledged does not stop the others.
#[test]
fn unacknowledged_batch_does_not_delay_others() {
    let scratch = Arc::new(Scratch::new("held up"));
    let tests = registry_of(&["takes_its_time", "passes"]);
    let pool = workers(2, tests, &scratch);
    let mut waiting = pool.runs(jobs(tests[0], 20));
    let NextRuns::Finished(first) = waiting.next(SECOND * 10) else { panic!("it takes no 10 s") };
    assert_eq!(pool.runs(jobs(tests[1], 1000)).all().len(), 1000);
    assert_eq!(first.len() + waiting.all().len(), 20);
}

#[test]
fn batches_of_several_tests_take_turns() {
    let scratch = Arc::new(Scratch::new("turns"));
    let tests = registry_of(&["fails_at_sevens", "fails_from_400", "passes"]);
    let pool = workers(2, tests, &scratch);
    std::thread::scope(|scope| {
        let sweeps = tests.iter().map(|test| {
            let pool = &pool;
            scope.spawn(move || sweep(pool.runs(jobs(test, 600))).0)
        });
        let sweeps: Vec<_> = sweeps.collect();
        let lowest =
            sweeps.into_iter().map(|sweep| sweep.join().expect("the thread does not panic"));
        assert_eq!(lowest.collect::<Vec<_>>(), [Some(6), Some(400), None]);
    });
}

/// Runs are made one at a time, and `running` names each test until its batch ends.
#[test]
fn tests_share_one_job() {
    let scratch = Arc::new(Scratch::new("one job"));
    let tests = registry_of(&["is_alone_a", "is_alone_b"]);
    let pool = in_process(tests, &scratch);
    std::thread::scope(|scope| {
        let sweeps = [0, 1].map(|test| {
            let pool = &pool;
            scope.spawn(move || sweep(pool.runs(jobs(tests[test], 60))).0)
        });
        for sweep in sweeps {
            assert_eq!(sweep.join().expect("the thread does not panic"), None, "one was not alone");
        }
    });
    let mut both = [0, 1].map(|test| Some(pool.runs(jobs(tests[test], 60))));
    for runs in both.iter_mut().flatten() {
        assert!(matches!(runs.next(SECOND), NextRuns::Finished(_)));
    }
    let named = || pool.running().into_iter().map(|(test, _)| test.name).collect::<Vec<_>>();
    assert_eq!(named(), ["is_alone_a", "is_alone_b"]);
    both[1] = None;
    assert_eq!(named(), ["is_alone_a"]);
    both[0] = None;
    assert!(named().is_empty());
}

#[test]
fn empty_batch_ends_at_once() {
    let scratch = Arc::new(Scratch::new("empty"));
    let tests = registry_of(&["passes"]);
    for pool in [workers(2, tests, &scratch), in_process(tests, &scratch)] {
        let mut runs = pool.runs(jobs(tests[0], 0));
        assert!(matches!(runs.next(SECOND * 10), NextRuns::End));
    }
}

#[test]
fn unregistered_test_is_broken() {
    let scratch = Arc::new(Scratch::new("single"));
    let tests = registry_of(&["passes"]);
    let pool = workers(2, tests, &scratch);
    assert_eq!(pool.run_in_fresh_process(job(tests[0], 7)).outcome.seed, 7);
    let stranger = pool.run_in_fresh_process(job(named("krate", "stranger"), 7)).outcome;
    assert!(matches!(stranger.verdict, Verdict::Broken(_)), "{stranger:?}");
}

/// Otherwise state of an earlier run could make a failure seem to repeat.
#[test]
fn fresh_run_has_its_own_process() {
    let scratch = Arc::new(Scratch::new("alone"));
    let tests = registry_of(&["passes"]);
    let starts = Arc::new(AtomicUsize::new(0));
    let launch = launch(tests, &scratch);
    let counted = {
        let starts = Arc::clone(&starts);
        move |_: bool| {
            starts.fetch_add(1, Ordering::Relaxed);
            (launch.start)(false)
        }
    };
    let pool = Pool::workers(1, tests, Launcher { start: Arc::new(counted), show_output: false });
    sweep(pool.runs(jobs(tests[0], 10)));
    assert_eq!(starts.load(Ordering::Relaxed), 1, "one worker makes them all");
    for seed in 0..3 {
        assert_eq!(pool.run_in_fresh_process(job(tests[0], seed)).outcome.seed, seed);
    }
    assert_eq!(starts.load(Ordering::Relaxed), 4, "and one each of these");
}

/// The batch fails with the reason instead of waiting.
#[test]
fn worker_that_cannot_be_started_breaks_the_run() {
    let tests = registry_of(&["passes"]);
    let launch = |_: bool| Err(StartError::Worker("no process for you".to_owned()));
    let pool = Pool::workers(2, tests, Launcher { start: Arc::new(launch), show_output: false });
    for _ in 0..2 {
        let (lowest, seen) = sweep(pool.runs(jobs(tests[0], 100)));
        assert_eq!(lowest, Some(0));
        let why = Verdict::Broken("no process for you".to_owned());
        assert_eq!(seen[&0].verdict, why);
    }
}

/// Other tests, garbage, and no message.
#[test]
fn worker_with_a_wrong_hello_is_refused() {
    let tests = registry_of(&["passes"]);
    let others = registry_of(&["passes", "another"]);
    let hello =
        FromWorker::Hello { digest: registry::digest(others), folder: "/nowhere".to_owned() };
    let first_words = [
        protocol::frame(&hello).expect("the message fits into a frame"),
        b"GET / HTTP/1.1\r\n\r\n".to_vec(),
        Vec::new(),
    ];
    let mut whys = BTreeSet::new();
    for words in first_words {
        let launch = move |_: bool| {
            let (ours, mut theirs) = UnixStream::pair().map_err(StartError::Process)?;
            theirs.write_all(&words).map_err(StartError::Process)?;
            Ok(StartedWorker {
                socket: ours,
                process: Box::new(ThreadHandle),
                output: Arc::new(WorkerOutput::ended()),
            })
        };
        let pool =
            Pool::workers(1, tests, Launcher { start: Arc::new(launch), show_output: false });
        let Verdict::Broken(why) = pool.run_in_fresh_process(job(tests[0], 0)).outcome.verdict
        else {
            panic!("it is no worker");
        };
        whys.insert(why);
    }
    assert!(whys.iter().any(|why| why.contains("differ from the tests of its parent")), "{whys:?}");
}
