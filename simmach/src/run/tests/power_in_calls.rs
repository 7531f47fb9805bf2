//! Power failures within calls on files and within commits, and code that runs on after them.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;

use crate::run::tests::disk_faults::{idles, on_a};
use crate::run::tests::*;
use crate::storage::Durability;

/// Appends records and syncs some of them, all in one poll.
fn append_all() {
    let mut log = File::create("log").expect("there is room");
    for record in 0..10_u8 {
        log.write_all(&[record]).expect("there is room");
        if record % 3 == 2 {
            log.sync_all().expect("it is synced");
        }
    }
    fs::rename("log", "done").expect("it is there");
}

/// The records that are left of `append_all`, with the power failing at this call.
fn left_at_call(calls: u64, seed: u64, overlay: Overlay) -> (usize, bool, bool) {
    left_on(false, calls, seed, overlay)
}

fn left_on(on_thread: bool, calls: u64, seed: u64, overlay: Overlay) -> (usize, bool, bool) {
    let left = Arc::new(Mutex::new((0, false, false)));
    let noted = Arc::clone(&left);
    let spec = move || {
        let left = Arc::clone(&noted);
        SpecBuilder::new().machine("a", idles).body(async move |sim: Sim| {
            sim.power_off_at_call("a", calls)?;
            drop(sim.run_on("a", async move {
                match on_thread {
                    true => tokio::task::spawn_blocking(append_all).await.expect("no panic"),
                    false => append_all(),
                }
            }));
            sleep(1.millis()).await;
            let has_power = sim.machine("a").has_power();
            if !has_power {
                sim.start("a")?;
            }
            let read = || (fs::read("log").or_else(|_| fs::read("done")), fs::exists("done"));
            let (log, is_done) = on_a(sim, read).await;
            let records = log.unwrap_or_default();
            assert!(records.iter().zip(0..).all(|(found, record)| *found == record));
            *left.lock().expect("no panic") = (records.len(), is_done?, has_power);
            Ok::<(), BoxError>(())
        })
    };
    let ran = run_spec(spec, seed, overlay, Keep::default(), Arc::default());
    assert_eq!((&ran.verdict, ran.threads_left), (&Verdict::Passed, 0));
    *left.lock().expect("no panic")
}

/// Call 1 creates the file; then come writes, a sync after every third of them, and the rename.
#[test]
fn power_fails_right_after_the_call_with_the_number() {
    for (calls, records) in [(1, 0), (2, 1), (4, 3), (5, 3), (6, 4), (14, 10)] {
        assert_eq!(left_at_call(calls, 0, Overlay::calm()), (records, false, false), "{calls}");
    }
    assert_eq!(left_at_call(15, 0, Overlay::calm()), (10, true, false));
    assert_eq!(left_at_call(16, 0, Overlay::calm()), (10, true, true), "there is no such call");
    // What was synced is kept, whatever the seed takes of the rest.
    let left: BTreeSet<_> =
        (0..40).map(|seed| left_at_call(7, seed, Overlay::default()).0).collect();
    assert_eq!(left, BTreeSet::from([3, 4, 5]));
}

/// A write that is durable when it returns may be lost or torn in its call.
#[test]
fn power_fails_between_a_write_and_its_own_sync() {
    static LEFT: Mutex<BTreeSet<usize>> = Mutex::new(BTreeSet::new());
    for (calls, whole) in [(4, false), (5, true)] {
        LEFT.lock().expect("no panic").clear();
        for seed in 0..30 {
            let ran = outcome(seed, move || {
                SpecBuilder::new().machine("a", idles).body(async move |sim: Sim| {
                    sim.power_off_at_call("a", calls)?;
                    drop(sim.run_on("a", async {
                        let mut options = OpenOptions::new();
                        options.create(true).append(true).custom_flags(libc::O_DSYNC);
                        let mut log = options.open("log").expect("there is room");
                        log.write_all(&[1; 600]).expect("there is room");
                        log.write_all(&[2; 5_000]).expect("there is room");
                    }));
                    sleep(1.millis()).await;
                    assert!(!sim.machine("a").has_power());
                    let left = sim.run_on("a", async { fs::read("log") }).await??;
                    LEFT.lock().expect("no panic").insert(left.len());
                    Ok::<(), BoxError>(())
                })
            });
            assert_eq!(ran.verdict, Verdict::Passed);
        }
        let left = LEFT.lock().expect("no panic").clone();
        assert_eq!(left == BTreeSet::from([5_600]), whole, "{calls}: {left:?}");
        assert!(left.contains(&600) != whole, "{calls}: {left:?}");
    }
}

#[test]
fn power_fails_in_the_call_of_a_thread_of_a_guest() {
    for (calls, records) in [(1, 0), (2, 1), (5, 3), (6, 4)] {
        let left = left_on(true, calls, 0, Overlay::calm());
        assert_eq!(left, (records, false, false), "{calls}");
    }
    let left: BTreeSet<_> =
        (0..40).map(|seed| left_on(true, 7, seed, Overlay::default()).0).collect();
    assert_eq!(left, BTreeSet::from([3, 4, 5]));
}

/// Appends a record to a file and a store in turns, and notes each call that has returned.
async fn writes_files_and_stores(durability: Durability) -> Result<(), BoxError> {
    let db = crate::storage::Options::new().durability(durability).open("db").await?;
    let returned = Sim::current().state::<Cell<u64>>();
    for number in 1..=3_u64 {
        let key = number.to_string();
        db.write(move |txn| Ok(txn.table::<Str, Str>("t")?.put(txn, &key, "")?)).await?;
        returned.update(|calls| calls + 1);
        fs::write(number.to_string(), "")?;
        sleep(1.millis()).await;
        returned.update(|calls| calls + 1);
    }
    Ok(())
}

/// The numbers of records in the store and of files that are left, if the power fails at this call; and how many calls of the
/// program returned.
fn left_of_commits(calls: u64, durability: Durability) -> (u64, usize, u64) {
    static LEFT: Mutex<(u64, usize, u64)> = Mutex::new((0, 0, 0));
    let spec = move || {
        SpecBuilder::new().machine("a", idles).body(async move |sim: Sim| {
            sim.power_off_at_call("a", calls)?;
            let client = sim.run_on("a", writes_files_and_stores(durability));
            sleep(1.secs()).await;
            assert!(!sim.machine("a").has_power());
            assert!(client.await.is_err_and(|error| error.is_cancelled()));
            sim.start("a")?;
            let left = sim.run_on("a", async {
                let db = crate::storage::open("db").await?;
                let records = db.read(|txn| match txn.table::<Str, Str>("t")? {
                    Some(table) => Ok(table.len(txn)?),
                    None => Ok(0),
                });
                Ok::<_, BoxError>((records.await?, fs::read_dir(".")?.count()))
            });
            let (records, files) = left.await??;
            let returned = sim.state::<Cell<u64>>().get();
            *LEFT.lock().expect("no panic") = (records, files, returned);
            Ok::<(), BoxError>(())
        })
    };
    let ran = run_spec(spec, 0, Overlay::calm(), Keep::default(), Arc::default());
    assert_eq!((&ran.verdict, ran.threads_left), (&Verdict::Passed, 0));
    *LEFT.lock().expect("no panic")
}

/// A commit counts like a call on files. Creating and truncating a file is one call, writing nothing is none.
#[test]
fn power_fails_within_a_commit() {
    let at = |calls| left_of_commits(calls, Durability::EveryCommit);
    assert_eq!(at(1), (0, 0, 0));
    assert_eq!(at(2), (1, 1, 1), "in the call that creates a file");
    assert_eq!(at(3), (1, 1, 2));
    assert_eq!(at(5), (2, 2, 4));
    let at = |calls| left_of_commits(calls, Durability::Periodic(10.secs()));
    assert_eq!(at(5), (0, 2, 4), "no earlier commit is durable");
}

/// Reads, and transactions that fail, do not count.
#[test]
fn power_does_not_fail_in_a_transaction_that_does_not_commit() {
    pass(|| {
        SpecBuilder::new().machine("a", idles).body(async |sim: Sim| {
            let client = sim.run_on("a", async {
                let db = crate::storage::open("db").await?;
                db.read(|_| Ok(())).await?;
                let failed = db.write(|_| Err::<(), _>(crate::storage::Error::Closed)).await;
                assert!(failed.is_err());
                Ok::<_, BoxError>(())
            });
            sim.power_off_at_call("a", 1)?;
            client.await??;
            assert!(sim.machine("a").has_power());
            Ok::<(), BoxError>(())
        })
    });
}

#[test]
fn power_failure_in_a_call_is_cancelled_by_settle_and_by_another_one() {
    pass(|| {
        SpecBuilder::new().machine("a", idles).body(async |sim: Sim| {
            sim.power_off_at_call("a", 1)?;
            sim.settle().await?;
            on_a(sim, || fs::write("f", "x")).await?;
            sim.power_off_at_call("a", 1)?;
            sim.power_off("a")?;
            sim.start("a")?;
            on_a(sim, || fs::write("f", "x")).await?;
            assert!(sim.machine("a").has_power());
            Ok::<(), BoxError>(())
        })
    });
}

/// The code runs on until its poll ends, on a machine that is gone. Errors that it sees there are not the program's.
#[test]
fn panic_after_the_power_failed_within_a_call_is_ignored() {
    pass(|| {
        let service = || async {
            sleep(1.secs()).await;
            fs::write("log", "x").expect("the power fails in this call");
            panic!("the machine is gone");
        };
        SpecBuilder::new().machine("a", service).machine("b", idles).body(async |sim: Sim| {
            sim.power_off_at_call("a", 1)?;
            sim.power_off_at_call("b", 1)?;
            let client = sim.run_on("b", async {
                let task = spawn(async {
                    fs::write("log", "x").expect("the power fails in this call");
                    panic!("the machine is gone");
                });
                task.await
            });
            let client = client.await.expect_err("its machine has lost its power");
            assert!(client.is_cancelled(), "{client}");
            sleep(2.secs()).await;
            assert!(!sim.machine("a").has_power() && !sim.machine("b").has_power());
            Ok::<(), BoxError>(())
        })
    });
}

#[test]
fn panic_before_the_power_fails_is_reported() {
    let failure = fail(|| {
        let service = || async {
            sleep(1.secs()).await;
            panic!("before the call");
        };
        SpecBuilder::new().machine("a", service).body(async |sim: Sim| {
            sim.power_off_at_call("a", 1)?;
            sleep(2.secs()).await;
            Ok::<(), BoxError>(())
        })
    });
    assert!(failure.message.contains("before the call"), "{}", failure.message);
}

/// Code that runs on after the power failed in its call keeps the disk as it was, and changes nothing.
#[test]
fn code_after_the_power_failed_within_a_call_sees_its_own_changes() {
    static CHECKED: Mutex<u64> = Mutex::new(0);
    pass(|| {
        let writes = || async {
            sleep(1.secs()).await;
            let mut kept = File::create("kept").expect("there is room");
            kept.write_all(b"1").expect("there is room");
            kept.sync_all().expect("the power fails in this call");
            kept.write_all(b"2").expect("the process has its disk");
            assert_eq!(fs::read("kept").expect("it exists"), b"12");
            fs::write("new", "3").expect("the process has its disk");
            fs::rename("new", "kept").expect("both exist");
            assert_eq!(fs::read_to_string("kept").expect("it exists"), "3");
            drop(kept);
            *CHECKED.lock().expect("no panic") += 1;
        };
        SpecBuilder::new().machine("a", writes).body(async |sim: Sim| {
            sim.power_off_at_call("a", 3)?;
            sleep(2.secs()).await;
            assert!(!sim.machine("a").has_power());
            let left = sim.run_on("a", async { (fs::read("kept"), fs::exists("new")) });
            let (kept, new) = left.await?;
            assert_eq!((kept?, new?), (b"1".to_vec(), false));
            Ok::<(), BoxError>(())
        })
    });
    assert_eq!(*CHECKED.lock().expect("no panic"), 1);
}
