//! Stores as the code under test sees them, in virtual time, through kills, losses of power and wipes.

mod limits;
mod power;

use std::future::Future;
use std::panic::Location;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::Duration;

use futures::FutureExt;

use crate::engine::context::try_with;
use crate::engine::draws::overlay::Overlay;
use crate::engine::failure::verdict::Verdict;
use crate::engine::rig::{self, Ran, SCOPE};
use crate::engine::{self, Effect, MachineId, ProcessId, Role, Scope};
use crate::storage::types::{Bytes, Str};
use crate::storage::*;
use crate::task::{JoinHandle, spawn, spawn_as};
use crate::time::{DurationUnits, Instant, timeout};

/// Runs `body` with storage on every machine; it must end well, and leave nothing behind.
fn run<F: Future<Output = ()> + 'static>(
    seed: u64,
    overlay: Overlay,
    disk: DiskProfile,
    body: impl FnOnce() -> F + Send + 'static,
) -> Ran {
    let folder = folder();
    let root = folder.path();
    let spec = StorageSpec { folder, disk, disks: Default::default() };
    let ran = rig::run_with(seed, overlay, || install(spec), body, remove);
    assert!(!root.exists(), "the run's folder is gone");
    assert_eq!(held(&root), 0, "nothing of it is open or mapped");
    assert_eq!(ran.timers_left, 0);
    ran
}

/// Descriptors and mappings of this process that are in a folder.
#[cfg(target_os = "linux")]
fn held(folder: &Path) -> usize {
    let folder = folder.to_str().expect("a plain path");
    let maps = std::fs::read_to_string("/proc/self/maps").expect("maps");
    let open = std::fs::read_dir("/proc/self/fd").expect("descriptors");
    maps.matches(folder).count()
        + open
            .filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok())
            .filter(|target| target.to_string_lossy().contains(folder))
            .count()
}

#[cfg(not(target_os = "linux"))]
fn held(_: &Path) -> usize {
    0
}

/// As [`run`], for a few seeds.
fn pass<F: Future<Output = ()> + 'static>(
    disk: &DiskProfile,
    body: impl Fn() -> F + Copy + Send + 'static,
) {
    for seed in 0..4 {
        assert_eq!(run(seed, Overlay::default(), disk.clone(), body).verdict, Verdict::Passed);
    }
}

fn folder() -> RunFolder {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    static PARENT: LazyLock<PathBuf> =
        LazyLock::new(|| memory_disk::pick(None).expect("a folder for the test"));
    let number = u64::from(std::process::id()) << 32 | NEXT.fetch_add(1, Ordering::Relaxed);
    RunFolder { parent: &PARENT, number }
}

/// Runs `future` as a process of a machine.
#[track_caller]
fn on<F>(machine: u32, process: u32, future: F) -> JoinHandle<F::Output>
where
    F: Future + 'static,
    F::Output: 'static,
{
    let (machine, process) = (MachineId(machine), ProcessId(process));
    let task = engine::mix(u64::from(machine.0), u64::from(process.0));
    let scope = Scope { machine, process, task, alive: true };
    spawn_as(Role::Spawned, scope, Location::caller(), future).1
}

/// What the layer above does to a process that ends, on whatever way.
fn kill(process: u32) {
    try_with(|engine| engine.end_process(ProcessId(process)));
    close_process(ProcessId(process));
}

/// What it does to a machine that loses its power, with one process.
fn power_off_with(machine: u32, process: u32) -> u64 {
    try_with(|engine| engine.end_process(ProcessId(process)));
    let lost = power_off(MachineId(machine));
    close_process(ProcessId(process));
    lost
}

fn count(effect: Effect) -> u64 {
    try_with(|engine| {
        let (effects, _) = engine.take_effects();
        effects.count(effect)
    })
    .expect("inside a run")
}

async fn put(db: &Store, key: &str, value: &'static str) -> Result<()> {
    let key = key.to_owned();
    db.write(move |txn| Ok(txn.table::<Str, Str>("t")?.put(txn, &key, value)?)).await
}

async fn value(db: &Store, key: &str) -> Option<String> {
    let key = key.to_owned();
    let found = db.read(move |txn| match txn.table::<Str, Str>("t")? {
        Some(table) => Ok(table.get(txn, &key)?.map(str::to_owned)),
        None => Ok(None),
    });
    found.await.expect("read")
}

async fn sleep_ms(millis: u64) {
    sleep(Duration::from_millis(millis)).await;
}

/// A disk with one fixed latency: 10 ms to commit and 10 ms to say so.
fn steady() -> DiskProfile {
    let ten = Duration::from_millis(10);
    DiskProfile::ideal().commit_latency(ten, ten, ten).acknowledge_latency(ten, ten, ten)
}

fn periodic(millis: u64) -> Options {
    Options::new().durability(Durability::Periodic(Duration::from_millis(millis)))
}

#[test]
fn what_is_written_is_read_and_a_second_handle_is_the_same_store() {
    pass(&DiskProfile::ssd(), async || {
        let db = open("db").await.expect("opened");
        assert_eq!(value(&db, "k").await, None);
        put(&db, "k", "v").await.expect("written");
        let again = open("db").await.expect("opened");
        assert_eq!(value(&again, "k").await.as_deref(), Some("v"));
        let other = open("other").await.expect("opened");
        assert_eq!(value(&other, "k").await, None);
        let options = periodic(1).open("db").await;
        assert!(matches!(options, Err(Error::Options(_))), "{options:?}");
        assert!(matches!(open("../db").await, Err(Error::Name(_))));
    });
}

#[test]
fn handles_and_futures_cross_threads() {
    fn is_send_and_sync<T: Send + Sync>(value: T) -> T {
        value
    }
    fn is_send<T: Send>(value: T) -> T {
        value
    }
    pass(&DiskProfile::ideal(), async || {
        let db = is_send_and_sync(is_send(open("db")).await.expect("opened"));
        is_send(db.write(|_| Ok(()))).await.expect("written");
        is_send(db.read(|_| Ok(()))).await.expect("read");
    });
}

#[test]
fn an_error_aborts_and_comes_back() {
    pass(&DiskProfile::ssd(), async || {
        let db = open("db").await.expect("opened");
        let done = db.write(|txn| -> Result<()> {
            txn.table::<Str, Bytes>("t")?.put(txn, "k", b"v")?;
            let number: u32 = "x".parse().map_err(Error::user)?;
            panic!("{number} is no number");
        });
        let error = done.await.expect_err("it is no number");
        assert!(error.downcast_ref::<std::num::ParseIntError>().is_some(), "{error:?}");
        assert_eq!(value(&db, "k").await, None);
    });
}

/// What is stored and never read again would not show in any other event.
#[test]
fn what_is_written_is_in_the_trace() {
    let hash = |table: &'static str, key: &'static str, value: &'static str| {
        let ran = run(0, Overlay::default(), DiskProfile::ideal(), async move || {
            let db = open("db").await.expect("opened");
            let put =
                db.write(move |txn| Ok(txn.table::<Str, Str>(table)?.put(txn, key, value)?));
            put.await.expect("written");
        });
        ran.hash
    };
    let hashes = [("t", "k", "v"), ("t", "k", "w"), ("t", "l", "v"), ("u", "k", "v")]
        .map(|(table, key, value)| hash(table, key, value));
    assert_eq!(hashes.iter().collect::<std::collections::BTreeSet<_>>().len(), 4, "{hashes:?}");
    assert_eq!(hash("t", "k", "v"), hashes[0]);
}

#[test]
fn writers_have_their_turns_in_the_order_of_asking() {
    pass(&DiskProfile::ssd(), async || {
        let db = open("db").await.expect("opened");
        let asked = Arc::new(Mutex::new(Vec::new()));
        let mut handles = Vec::new();
        for n in 0..8_u8 {
            let (db, asked) = (db.clone(), Arc::clone(&asked));
            handles.push(spawn(async move {
                asked.lock().unwrap_or_else(PoisonError::into_inner).push(n);
                db.write(move |txn| {
                    let log = txn.table::<Bytes, Bytes>("log")?;
                    let at = [log.len(txn)? as u8];
                    Ok(log.put(txn, &at, &[n])?)
                })
                .await
            }));
        }
        for handle in handles {
            handle.await.expect("no panic").expect("written");
        }
        let order = db.read(|txn| {
            let log = txn.table::<Bytes, Bytes>("log")?.expect("it was made");
            log.iter(txn)?.map(|entry| Ok(entry?.1[0])).collect::<Result<Vec<_>>>()
        });
        assert_eq!(order.await.expect("read"), *asked.lock().expect("no panic"));
    });
}

#[test]
fn a_commit_takes_the_disk_s_time_and_calm_is_the_median() {
    let measure = |seed, overlay| {
        let taken = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&taken);
        let ran = run(seed, overlay, DiskProfile::ssd(), async move || {
            let db = open("db").await.expect("opened");
            for _ in 0..8 {
                let begun = Instant::now();
                put(&db, "k", "v").await.expect("written");
                sink.lock().expect("no panic").push(begun.elapsed());
            }
        });
        assert_eq!(ran.verdict, Verdict::Passed);
        let taken = taken.lock().expect("no panic").clone();
        (taken, ran.hash)
    };
    let calm = measure(7, Overlay::calm()).0;
    assert_eq!(calm, [Duration::from_micros(1_010); 8]);
    let (seeded, hash) = measure(7, Overlay::default());
    assert!(seeded.iter().all(|taken| (51..10_100).contains(&taken.as_micros())), "{seeded:?}");
    assert!(seeded.iter().any(|taken| *taken != seeded[0]), "{seeded:?}");
    assert_eq!((seeded.clone(), hash), measure(7, Overlay::default()));
    assert_ne!(seeded, measure(8, Overlay::default()).0);
}

#[test]
fn the_next_writer_begins_when_the_commit_is_done_and_not_when_it_is_acknowledged() {
    pass(&steady(), async || {
        let db = open("db").await.expect("opened");
        let begun = Instant::now();
        let (one, two) = futures::future::join(put(&db, "a", "1"), put(&db, "b", "2")).await;
        assert!(one.is_ok() && two.is_ok());
        assert_eq!(begun.elapsed(), 30.millis());
    });
}

#[test]
fn a_cancelled_writer_leaves_nothing_behind() {
    pass(&steady(), async || {
        let db = open("db").await.expect("opened");
        let begun = Instant::now();
        // The first gives up with the turn, the second while it waits for it; the third is not kept waiting by either.
        let first = timeout(4.millis(), put(&db, "a", "1"));
        let second = timeout(2.millis(), put(&db, "b", "2"));
        let (first, second, third) = futures::join!(first, second, put(&db, "c", "3"));
        assert!(first.is_err() && second.is_err() && third.is_ok());
        assert_eq!(begun.elapsed(), 24.millis());
        for (key, kept) in [("a", false), ("b", false), ("c", true)] {
            assert_eq!(value(&db, key).await.is_some(), kept, "{key}");
        }
        // Given up after the commit it stands.
        assert!(timeout(15.millis(), put(&db, "d", "4")).await.is_err());
        assert_eq!(value(&db, "d").await.as_deref(), Some("4"));
    });
}

/// Two processes of a machine can have one store open, as with LMDB's own lock.
#[test]
fn processes_of_one_machine_wait_for_each_other_and_not_for_the_dead() {
    pass(&steady(), async || {
        on(5, 2, async {
            let db = open("db").await.expect("opened");
            let (one, two) = futures::join!(put(&db, "dies", "1"), put(&db, "waits", "1"));
            unreachable!("killed: {one:?} {two:?}");
        });
        sleep_ms(1).await;
        let other = on(5, 3, async {
            let db = open("db").await.expect("opened");
            let begun = Instant::now();
            put(&db, "lives", "1").await.expect("written");
            assert_eq!(begun.elapsed(), 24.millis());
            assert_eq!((value(&db, "dies").await, value(&db, "waits").await), (None, None));
        });
        sleep_ms(4).await;
        kill(2);
        other.await.expect("no panic");
    });
}

#[test]
fn services_and_machines_have_stores_of_their_own() {
    pass(&DiskProfile::ideal(), async || {
        let places = [(5, 2, "api"), (5, 3, "log"), (6, 4, "api")];
        for (machine, process, service) in places {
            name_process(ProcessId(process), service);
            let wrote = on(machine, process, async move {
                let db = open("db").await.expect("opened");
                assert_eq!(value(&db, "k").await, None);
                put(&db, "k", "v").await.expect("written");
            });
            wrote.await.expect("no panic");
            kill(process);
        }
        name_process(ProcessId(7), "log");
        let next = on(5, 7, async {
            let db = open("db").await.expect("opened");
            assert!(value(&db, "k").await.is_some());
        });
        next.await.expect("no panic");
    });
}

#[test]
fn a_handle_is_of_no_use_to_another_process_and_after_its_own() {
    pass(&DiskProfile::ideal(), async || {
        let db = on(5, 2, async { open("db").await.expect("opened") }).await.expect("no panic");
        assert!(matches!(put(&db, "k", "v").await, Err(Error::Foreign)));
        assert!(matches!(db.read(|_| Ok(())).await, Err(Error::Foreign)));
        kill(2);
        assert!(matches!(put(&db, "k", "v").await, Err(Error::Closed)));
    });
}

#[test]
fn outside_a_run_everything_answers_with_an_error() {
    // With it, there is another disk.
    if cfg!(not(feature = "real")) {
        assert!(matches!(open("db").now_or_never(), Some(Err(Error::Closed))));
    }
    let (send, receive) = std::sync::mpsc::channel();
    let ran = run(0, Overlay::default(), DiskProfile::ideal(), async move || {
        send.send(open("db").await.expect("opened")).expect("the test waits");
    });
    assert_eq!(ran.verdict, Verdict::Passed);
    let db = receive.recv().expect("sent");
    assert!(matches!(put(&db, "k", "v").now_or_never(), Some(Err(Error::Closed))));
    assert!(matches!(db.read(|_| Ok(())).now_or_never(), Some(Err(Error::Closed))));
    assert_eq!(power_off(MachineId(0)), 0);
    wipe(MachineId(0)).expect("nothing to wipe");
    close_process(SCOPE.process);
}

#[test]
fn a_closure_that_uses_its_own_store_is_told() {
    pass(&DiskProfile::ideal(), async || {
        let db = open("db").await.expect("opened");
        let own = db.clone();
        let nested = db.write(move |_| {
            let read = own.read(|_| Ok(())).now_or_never().expect("it does not wait");
            assert!(matches!(read, Err(Error::Nested)));
            // It would wait for itself.
            let written = put(&own, "k", "v").now_or_never().expect("it does not wait");
            assert!(matches!(written, Err(Error::Nested)));
            own.read(|_| Ok(())).now_or_never().expect("it does not wait")
        });
        assert!(matches!(nested.await, Err(Error::Nested)));
        put(&db, "k", "v").await.expect("written");
    });
}

#[test]
fn a_panic_in_a_closure_is_its_task_s_and_the_store_goes_on() {
    pass(&DiskProfile::ideal(), async || {
        let db = open("db").await.expect("opened");
        let panics = db.clone();
        let task = spawn(async move {
            let done = panics.write(|txn| -> Result<()> {
                txn.table::<Str, Bytes>("t")?.put(txn, "k", b"v")?;
                panic!("in the closure");
            });
            done.await
        });
        assert!(task.await.expect_err("it panicked").is_panic());
        assert_eq!(value(&db, "k").await, None);
        put(&db, "k", "w").await.expect("written");
    });
}
