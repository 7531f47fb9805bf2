//! Tests of stores as the code under test uses them: in virtual time, with kills, power loss and
//! wipes.

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

/// Runs `body` with storage on every machine, and checks that no files, descriptors, mappings or timers remain.
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
    assert!(!root.exists(), "the run's folder was deleted");
    assert_eq!(held(&root), 0, "no file in it is open or mapped");
    assert_eq!(ran.timers_left, 0);
    ran
}

/// Returns the number of descriptors and mappings of this process for files in a folder.
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

/// Calls [`run`] with a few seeds.
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
        LazyLock::new(|| memory_disk::choose_folder(None).expect("a folder for the test"));
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

/// Does what the machine layer does when a process ends.
fn kill(process: u32) {
    try_with(|engine| engine.end_process(ProcessId(process)));
    close_process(ProcessId(process));
}

/// Does what the machine layer does at power loss of a machine with one process.
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
    found.await.expect("the read succeeds")
}

async fn sleep_ms(millis: u64) {
    sleep(Duration::from_millis(millis)).await;
}

/// A disk with fixed latencies: 10 ms for the commit and 10 ms for the acknowledgement.
fn steady() -> DiskProfile {
    let ten = Duration::from_millis(10);
    DiskProfile::ideal().commit_latency(ten, ten, ten).acknowledge_latency(ten, ten, ten)
}

fn periodic(millis: u64) -> Options {
    Options::new().durability(Durability::Periodic(Duration::from_millis(millis)))
}

#[test]
fn second_handle_is_the_same_store() {
    pass(&DiskProfile::ssd(), async || {
        let db = open("db").await.expect("the store opens");
        assert_eq!(value(&db, "k").await, None);
        put(&db, "k", "v").await.expect("the write succeeds");
        let again = open("db").await.expect("the store opens");
        assert_eq!(value(&again, "k").await.as_deref(), Some("v"));
        let other = open("other").await.expect("the store opens");
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
        let db = is_send_and_sync(is_send(open("db")).await.expect("the store opens"));
        is_send(db.write(|_| Ok(()))).await.expect("the write succeeds");
        is_send(db.read(|_| Ok(()))).await.expect("the read succeeds");
    });
}

#[test]
fn error_in_a_closure_aborts_and_is_returned() {
    pass(&DiskProfile::ssd(), async || {
        let db = open("db").await.expect("the store opens");
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

/// Data that is written but never read would not show in any other event.
#[test]
fn written_data_is_in_the_trace() {
    let hash = |table: &'static str, key: &'static str, value: &'static str| {
        let ran = run(0, Overlay::default(), DiskProfile::ideal(), async move || {
            let db = open("db").await.expect("the store opens");
            let put =
                db.write(move |txn| Ok(txn.table::<Str, Str>(table)?.put(txn, key, value)?));
            put.await.expect("the write succeeds");
        });
        ran.hash
    };
    let hashes = [("t", "k", "v"), ("t", "k", "w"), ("t", "l", "v"), ("u", "k", "v")]
        .map(|(table, key, value)| hash(table, key, value));
    assert_eq!(hashes.iter().collect::<std::collections::BTreeSet<_>>().len(), 4, "{hashes:?}");
    assert_eq!(hash("t", "k", "v"), hashes[0]);
}

#[test]
fn writers_take_turns_in_order() {
    pass(&DiskProfile::ssd(), async || {
        let db = open("db").await.expect("the store opens");
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
            handle.await.expect("the task does not panic").expect("the write succeeds");
        }
        let order = db.read(|txn| {
            let log = txn.table::<Bytes, Bytes>("log")?.expect("it was made");
            log.iter(txn)?.map(|entry| Ok(entry?.1[0])).collect::<Result<Vec<_>>>()
        });
        assert_eq!(
            order.await.expect("the read succeeds"),
            *asked.lock().expect("the lock is not poisoned")
        );
    });
}

#[test]
fn commit_takes_the_disk_latency_and_calm_is_the_median() {
    let measure = |seed, overlay| {
        let taken = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&taken);
        let ran = run(seed, overlay, DiskProfile::ssd(), async move || {
            let db = open("db").await.expect("the store opens");
            for _ in 0..8 {
                let begun = Instant::now();
                put(&db, "k", "v").await.expect("the write succeeds");
                sink.lock().expect("the lock is not poisoned").push(begun.elapsed());
            }
        });
        assert_eq!(ran.verdict, Verdict::Passed);
        let taken = taken.lock().expect("the lock is not poisoned").clone();
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
fn next_writer_begins_at_the_commit_not_at_the_acknowledgement() {
    pass(&steady(), async || {
        let db = open("db").await.expect("the store opens");
        let begun = Instant::now();
        let (one, two) = futures::future::join(put(&db, "a", "1"), put(&db, "b", "2")).await;
        assert!(one.is_ok() && two.is_ok());
        assert_eq!(begun.elapsed(), 30.millis());
    });
}

#[test]
fn cancelled_writer_leaves_nothing_behind() {
    pass(&steady(), async || {
        let db = open("db").await.expect("the store opens");
        let begun = Instant::now();
        // The first is cancelled when it has the turn, the second while it waits for it. The third must not wait for them.
        let first = timeout(4.millis(), put(&db, "a", "1"));
        let second = timeout(2.millis(), put(&db, "b", "2"));
        let (first, second, third) = futures::join!(first, second, put(&db, "c", "3"));
        assert!(first.is_err() && second.is_err() && third.is_ok());
        assert_eq!(begun.elapsed(), 24.millis());
        for (key, kept) in [("a", false), ("b", false), ("c", true)] {
            assert_eq!(value(&db, key).await.is_some(), kept, "{key}");
        }
        // If it is cancelled after the commit, the transaction stays.
        assert!(timeout(15.millis(), put(&db, "d", "4")).await.is_err());
        assert_eq!(value(&db, "d").await.as_deref(), Some("4"));
    });
}

/// Two processes on a machine can have the same store open, as LMDB's lock allows.
#[test]
fn writers_of_dead_processes_are_skipped() {
    pass(&steady(), async || {
        on(5, 2, async {
            let db = open("db").await.expect("the store opens");
            let (one, two) = futures::join!(put(&db, "dies", "1"), put(&db, "waits", "1"));
            unreachable!("killed: {one:?} {two:?}");
        });
        sleep_ms(1).await;
        let other = on(5, 3, async {
            let db = open("db").await.expect("the store opens");
            let begun = Instant::now();
            put(&db, "lives", "1").await.expect("the write succeeds");
            assert_eq!(begun.elapsed(), 24.millis());
            assert_eq!((value(&db, "dies").await, value(&db, "waits").await), (None, None));
        });
        sleep_ms(4).await;
        kill(2);
        other.await.expect("the task does not panic");
    });
}

#[test]
fn stores_are_separate_for_services_and_machines() {
    pass(&DiskProfile::ideal(), async || {
        let places = [(5, 2, "api"), (5, 3, "log"), (6, 4, "api")];
        for (machine, process, service) in places {
            name_process(ProcessId(process), service);
            let wrote = on(machine, process, async move {
                let db = open("db").await.expect("the store opens");
                assert_eq!(value(&db, "k").await, None);
                put(&db, "k", "v").await.expect("the write succeeds");
            });
            wrote.await.expect("the task does not panic");
            kill(process);
        }
        name_process(ProcessId(7), "log");
        let next = on(5, 7, async {
            let db = open("db").await.expect("the store opens");
            assert!(value(&db, "k").await.is_some());
        });
        next.await.expect("the task does not panic");
    });
}

#[test]
fn handle_is_invalid_in_other_processes_and_after_its_own_ends() {
    pass(&DiskProfile::ideal(), async || {
        let db = on(5, 2, async { open("db").await.expect("the store opens") })
            .await
            .expect("the task does not panic");
        assert!(matches!(put(&db, "k", "v").await, Err(Error::Foreign)));
        assert!(matches!(db.read(|_| Ok(())).await, Err(Error::Foreign)));
        kill(2);
        assert!(matches!(put(&db, "k", "v").await, Err(Error::Closed)));
    });
}

#[test]
fn all_operations_fail_outside_a_run() {
    // With the feature `real`, stores are on the real disk there.
    if cfg!(not(feature = "real")) {
        assert!(matches!(open("db").now_or_never(), Some(Err(Error::Closed))));
    }
    let (send, receive) = std::sync::mpsc::channel();
    let ran = run(0, Overlay::default(), DiskProfile::ideal(), async move || {
        send.send(open("db").await.expect("the store opens")).expect("the test waits");
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
fn nested_use_of_a_store_is_an_error() {
    pass(&DiskProfile::ideal(), async || {
        let db = open("db").await.expect("the store opens");
        let own = db.clone();
        let nested = db.write(move |_| {
            let read = own.read(|_| Ok(())).now_or_never().expect("it does not wait");
            assert!(matches!(read, Err(Error::Nested)));
            // It would deadlock.
            let written = put(&own, "k", "v").now_or_never().expect("it does not wait");
            assert!(matches!(written, Err(Error::Nested)));
            own.read(|_| Ok(())).now_or_never().expect("it does not wait")
        });
        assert!(matches!(nested.await, Err(Error::Nested)));
        put(&db, "k", "v").await.expect("the write succeeds");
    });
}

#[test]
fn panic_in_a_closure_aborts_and_the_store_stays_usable() {
    pass(&DiskProfile::ideal(), async || {
        let db = open("db").await.expect("the store opens");
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
        put(&db, "k", "w").await.expect("the write succeeds");
    });
}
