//! The pool with workers on threads of this process: what it promises whatever their number. Workers that are
//! processes, and their deaths, are tested from outside, by `tests/harness.rs`.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::engine::draws::overlay::Overlay;
use crate::engine::failure::verdict::Verdict;
use crate::harness::registry;
use crate::harness::testing::{STAND_IN, Scratch, named, pause};
use crate::harness::workers::disk::Folder;
use crate::harness::workers::launch::{Ended, Launched, Process};
use crate::harness::workers::output::Output;
use crate::harness::workers::pool::*;
use crate::harness::workers::protocol::{self, FromWorker};
use crate::harness::workers::worker::{self, Seat};
use crate::outcome::{Keep, Outcome};

const SECOND: Duration = Duration::from_secs(1);

/// Workers on threads.
fn workers(jobs: usize, tests: &'static [&'static SimTest], scratch: &Arc<Scratch>) -> Pool {
    Pool::workers(jobs, tests, launch(tests, scratch))
}

fn launch(tests: &'static [&'static SimTest], scratch: &Arc<Scratch>) -> Launch {
    let scratch = Arc::clone(scratch);
    let start = move |_: bool| {
        let (ours, theirs) = UnixStream::pair().map_err(|error| error.to_string())?;
        let root = scratch.path().join(fresh().to_string());
        let folder = Folder::create(&root).map_err(|error| error.to_string())?;
        let seat = Seat {
            tests,
            run: STAND_IN,
            folder: Arc::new(folder),
            hang: SECOND * 60,
            leave: |_| {},
        };
        let serving = crate::harness::spawn("worker", move || worker::serve(&theirs, seat));
        serving.map_err(|error| error.to_string())?;
        Ok(Launched { wire: ours, process: Box::new(Thread), output: Arc::new(Output::ended()) })
    };
    Launch { start: Arc::new(start), shows: false }
}

fn local(tests: &'static [&'static SimTest], scratch: &Arc<Scratch>) -> Pool {
    let root = scratch.path().join(fresh().to_string());
    let settle =
        Box::new(move || Folder::create(&root).map(Arc::new).map_err(|error| error.to_string()));
    let local = Local::new(tests, STAND_IN, settle, SECOND * 60, |hang| panic!("{hang:?}"));
    Pool::here(local, tests, launch(tests, scratch))
}

fn fresh() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

struct Thread;

impl Process for Thread {
    fn settled(&mut self, _: PathBuf) {}

    fn end(&mut self, _: Duration) -> Ended {
        Ended::Unknown
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

/// All outcomes by place, cutting behind the lowest that did not pass.
fn sweep(mut runs: Runs) -> (Option<u64>, BTreeMap<u64, Outcome>) {
    let mut seen = BTreeMap::new();
    let mut lowest = None;
    loop {
        match runs.next(SECOND) {
            Next::Ran(ran) => {
                for Ran { index, outcome, .. } in ran {
                    if outcome.verdict != Verdict::Passed && lowest.is_none_or(|low| index < low) {
                        lowest = Some(index);
                        runs.cut(index + 1);
                    }
                    assert!(seen.insert(index, outcome).is_none(), "{index} came twice");
                }
            }
            Next::Nothing => {}
            Next::End => return (lowest, seen),
        }
    }
}

#[test]
fn results_do_not_depend_on_the_number_of_jobs() {
    let scratch = Arc::new(Scratch::new("jobs"));
    let tests = registry_of(&["fails_from_400", "passes"]);
    let mut all = Vec::new();
    let pools = [1, 2, 8].map(|jobs| workers(jobs, tests, &scratch));
    for pool in pools.iter().chain([&local(tests, &scratch)]) {
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

/// Once the lowest failing seed is known nothing above it begins: what was under way is all that is over.
#[test]
fn nothing_is_begun_beyond_the_cut() {
    let scratch = Arc::new(Scratch::new("cut"));
    let tests = registry_of(&["takes_its_time"]);
    let pool = workers(2, tests, &scratch);
    let mut runs = pool.runs(jobs(tests[0], 1_000_000));
    let Next::Ran(first) = runs.next(SECOND * 10) else {
        panic!("two runs of 20 ms take no 10 s");
    };
    runs.cut(0);
    let mut seen = first.len();
    loop {
        match runs.next(SECOND * 10) {
            Next::Ran(ran) => seen += ran.len(),
            Next::Nothing => panic!("the end does not come"),
            Next::End => break,
        }
    }
    assert!(seen <= 5, "{seen} runs");
}

/// However long the outcomes wait to be looked at: a process that is starved begins no more runs than another.
#[test]
fn nothing_is_begun_while_outcomes_wait() {
    let scratch = Arc::new(Scratch::new("starved"));
    let tests = registry_of(&["takes_its_time"]);
    let pool = workers(2, tests, &scratch);
    let mut runs = pool.runs(jobs(tests[0], 1_000_000));
    for _ in 0..3 {
        assert!(matches!(runs.next(SECOND * 10), Next::Ran(_)));
    }
    // Time for twenty more.
    pause(200);
    runs.cut(0);
    let waiting = runs.all().len();
    assert!(waiting <= 4, "{waiting} runs");
}

/// Held back is only the batch itself: one that is not looked at does not stop the others.
#[test]
fn batch_that_waits_to_be_looked_at_holds_up_no_other() {
    let scratch = Arc::new(Scratch::new("held up"));
    let tests = registry_of(&["takes_its_time", "passes"]);
    let pool = workers(2, tests, &scratch);
    let mut waiting = pool.runs(jobs(tests[0], 20));
    let Next::Ran(first) = waiting.next(SECOND * 10) else { panic!("it takes no 10 s") };
    assert_eq!(pool.runs(jobs(tests[1], 1000)).all().len(), 1000);
    assert_eq!(first.len() + waiting.all().len(), 20);
}

#[test]
fn several_tests_at_once_take_turns() {
    let scratch = Arc::new(Scratch::new("turns"));
    let tests = registry_of(&["fails_at_sevens", "fails_from_400", "passes"]);
    let pool = workers(2, tests, &scratch);
    std::thread::scope(|scope| {
        let sweeps = tests.iter().map(|test| {
            let pool = &pool;
            scope.spawn(move || sweep(pool.runs(jobs(test, 600))).0)
        });
        let sweeps: Vec<_> = sweeps.collect();
        let lowest = sweeps.into_iter().map(|sweep| sweep.join().expect("no panic"));
        assert_eq!(lowest.collect::<Vec<_>>(), [Some(6), Some(400), None]);
    });
}

/// Two tests with one job: one run after the other, and each named until its batch is over.
#[test]
fn two_tests_with_one_job_take_turns_and_are_named() {
    let scratch = Arc::new(Scratch::new("one job"));
    let tests = registry_of(&["is_alone_a", "is_alone_b"]);
    let pool = local(tests, &scratch);
    std::thread::scope(|scope| {
        let sweeps = [0, 1].map(|test| {
            let pool = &pool;
            scope.spawn(move || sweep(pool.runs(jobs(tests[test], 60))).0)
        });
        for sweep in sweeps {
            assert_eq!(sweep.join().expect("no panic"), None, "one was not alone");
        }
    });
    let mut both = [0, 1].map(|test| Some(pool.runs(jobs(tests[test], 60))));
    for runs in both.iter_mut().flatten() {
        assert!(matches!(runs.next(SECOND), Next::Ran(_)));
    }
    let named = || pool.running().into_iter().map(|(test, _)| test.name).collect::<Vec<_>>();
    assert_eq!(named(), ["is_alone_a", "is_alone_b"]);
    both[1] = None;
    assert_eq!(named(), ["is_alone_a"]);
    both[0] = None;
    assert!(named().is_empty());
}

#[test]
fn a_sequence_without_runs_is_over_at_once() {
    let scratch = Arc::new(Scratch::new("empty"));
    let tests = registry_of(&["passes"]);
    for pool in [workers(2, tests, &scratch), local(tests, &scratch)] {
        let mut runs = pool.runs(jobs(tests[0], 0));
        assert!(matches!(runs.next(SECOND * 10), Next::End));
    }
}

#[test]
fn a_single_run_is_made_and_a_strange_one_refused() {
    let scratch = Arc::new(Scratch::new("single"));
    let tests = registry_of(&["passes"]);
    let pool = workers(2, tests, &scratch);
    assert_eq!(pool.run_alone(job(tests[0], 7)).outcome.seed, 7);
    let stranger = pool.run_alone(job(named("krate", "stranger"), 7)).outcome;
    assert!(matches!(stranger.verdict, Verdict::Broken(_)), "{stranger:?}");
}

/// Else what an earlier run left behind in its process would make a failure seem to repeat.
#[test]
fn a_run_alone_has_a_process_of_its_own() {
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
    let pool = Pool::workers(1, tests, Launch { start: Arc::new(counted), shows: false });
    sweep(pool.runs(jobs(tests[0], 10)));
    assert_eq!(starts.load(Ordering::Relaxed), 1, "one worker makes them all");
    for seed in 0..3 {
        assert_eq!(pool.run_alone(job(tests[0], seed)).outcome.seed, seed);
    }
    assert_eq!(starts.load(Ordering::Relaxed), 4, "and one each of these");
}

/// Never a hang: who waits is told why there is no worker.
#[test]
fn workers_that_can_not_be_had_break_the_run() {
    let tests = registry_of(&["passes"]);
    let launch = |_: bool| Err("no process for you".to_owned());
    let pool = Pool::workers(2, tests, Launch { start: Arc::new(launch), shows: false });
    for _ in 0..2 {
        let (lowest, seen) = sweep(pool.runs(jobs(tests[0], 100)));
        assert_eq!(lowest, Some(0));
        let why = Verdict::Broken("no process for you".to_owned());
        assert_eq!(seen[&0].verdict, why);
    }
}

/// A worker that speaks nonsense, or nothing, is no worker.
#[test]
fn a_stranger_at_the_other_end_is_refused() {
    let tests = registry_of(&["passes"]);
    let others = registry_of(&["passes", "another"]);
    let hello =
        FromWorker::Hello { digest: registry::digest(others), folder: "/nowhere".to_owned() };
    let first_words = [
        protocol::frame(&hello).expect("it is short"),
        b"GET / HTTP/1.1\r\n\r\n".to_vec(),
        Vec::new(),
    ];
    let mut whys = BTreeSet::new();
    for words in first_words {
        let launch = move |_: bool| {
            let (ours, mut theirs) = UnixStream::pair().map_err(|error| error.to_string())?;
            theirs.write_all(&words).map_err(|error| error.to_string())?;
            Ok(Launched {
                wire: ours,
                process: Box::new(Thread),
                output: Arc::new(Output::ended()),
            })
        };
        let pool = Pool::workers(1, tests, Launch { start: Arc::new(launch), shows: false });
        let Verdict::Broken(why) = pool.run_alone(job(tests[0], 0)).outcome.verdict else {
            panic!("it is no worker");
        };
        whys.insert(why);
    }
    assert!(whys.iter().any(|why| why.contains("other tests")), "{whys:?}");
}
