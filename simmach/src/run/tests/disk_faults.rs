//! Faults of disks, power failures in calls, and snapshots, as tests and plans cause them.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{FileExt, OpenOptionsExt};

use crate::run::tests::*;
use crate::sim::ControlError;
use crate::storage::Durability;

/// A service that does nothing. Its machine's files are used by clients.
async fn idles() {
    std::future::pending::<()>().await;
}

/// Runs a future on the machine `a`.
async fn on_a<T: 'static>(sim: Sim, f: impl FnOnce() -> T + 'static) -> T {
    sim.run_on("a", async move { f() }).await.expect("it ends")
}

fn errno<T>(result: std::io::Result<T>) -> Option<i32> {
    result.err().and_then(|error| error.raw_os_error())
}

/// Whether a second sync saved the data of a first one, with each seed.
fn kept_after_two_syncs(first_fails: bool) -> BTreeSet<bool> {
    static KEPT: Mutex<BTreeSet<bool>> = Mutex::new(BTreeSet::new());
    KEPT.lock().expect("no panic").clear();
    for seed in 0..30 {
        let ran = outcome(seed, move || {
            SpecBuilder::new().machine("a", idles).body(async move |sim: Sim| {
                on_a(sim, || fs::write("f", "old").and_then(|()| File::open("f")?.sync_all()))
                    .await?;
                if first_fails {
                    sim.fail_sync("a")?;
                }
                let synced = on_a(sim, || {
                    let file = OpenOptions::new().write(true).open("f")?;
                    file.write_all_at(b"new", 0)?;
                    let first = errno(file.sync_all());
                    Ok::<_, std::io::Error>((first, errno(file.sync_all()), fs::read("f")?))
                });
                let (first, second, read) = synced.await?;
                assert_eq!(first, first_fails.then_some(libc::EIO));
                assert_eq!((second, &read[..]), (None, &b"new"[..]));
                sim.power_off("a")?;
                sim.start("a")?;
                let found = on_a(sim, || fs::read("f")).await?;
                assert!(found == b"new" || found == b"old");
                KEPT.lock().expect("no panic").insert(found == b"new");
                Ok::<(), BoxError>(())
            })
        });
        assert_eq!(ran.verdict, Verdict::Passed);
        assert_eq!(ran.effects.count(Effect::DiskError), u64::from(first_fails));
    }
    KEPT.lock().expect("no panic").clone()
}

#[test]
fn sync_that_fails_is_not_made_up_for_by_the_next_one() {
    assert_eq!(kept_after_two_syncs(false), BTreeSet::from([true]));
    assert_eq!(kept_after_two_syncs(true), BTreeSet::from([false, true]));
}

#[test]
fn reads_and_writes_fail_until_the_disk_is_repaired() {
    let ran = pass(|| {
        SpecBuilder::new().machine("a", idles).body(async |sim: Sim| {
            on_a(sim, || fs::write("f", "old")).await?;
            sim.fail_reads("a")?;
            let answers = || {
                let file =
                    OpenOptions::new().read(true).write(true).open("f").expect("it is there");
                [
                    errno(fs::read("f")),
                    errno(file.write_at(b"x", 0)),
                    errno(file.set_len(9)),
                    errno(file.sync_all()),
                    errno(fs::rename("f", "g").and_then(|()| fs::rename("g", "f"))),
                    errno(fs::create_dir("folder").and_then(|()| fs::remove_dir("folder"))),
                    errno(File::create("f2").and_then(|_| fs::remove_file("f2"))),
                ]
            };
            let eio = Some(libc::EIO);
            assert_eq!(on_a(sim, answers).await, [eio, None, None, None, None, None, None]);
            sim.repair_disk("a")?;
            sim.fail_writes("a")?;
            assert_eq!(on_a(sim, answers).await, [None, eio, eio, eio, eio, eio, eio]);
            // Other machines have disks of their own.
            fs::write("f", "other")?;
            sim.repair_disk("a")?;
            assert_eq!(on_a(sim, answers).await, [None; 7]);
            assert_eq!(on_a(sim, || fs::read("f")).await?, b"xld\0\0\0\0\0\0");
            Ok::<(), BoxError>(())
        })
    });
    assert_eq!(
        (ran.effects.count(Effect::DiskFault), ran.effects.count(Effect::DiskError)),
        (2, 7)
    );
}

#[test]
fn failed_call_is_the_cause_of_a_failure() {
    let failure = fail(|| {
        SpecBuilder::new().machine("a", idles).body(async |sim: Sim| {
            sim.fail_writes("a")?;
            on_a(sim, || fs::write("f", "x")).await?;
            Ok::<(), BoxError>(())
        })
    });
    let message = failure.message;
    assert!(message.contains("Input/output error"), "{message}");
}

#[test]
fn full_disk_cuts_writes_short_until_it_is_repaired() {
    let ran = pass(|| {
        SpecBuilder::new().machine("a", idles).body(async |sim: Sim| {
            on_a(sim, || fs::write("f", [1; 5000])).await?;
            sim.fill_disk("a")?;
            let written = on_a(sim, || {
                let mut file = OpenOptions::new().append(true).open("f")?;
                let short = file.write(&[2; 9000])?;
                let error = errno(file.write(&[3; 10]));
                let over = File::options().write(true).open("f")?.write_at(&[4; 8192], 0)?;
                File::create("empty")?;
                Ok::<_, std::io::Error>((short, error, over, fs::metadata("f")?.len()))
            });
            assert_eq!(written.await?, (8192 - 5000, Some(libc::ENOSPC), 8192, 8192));
            sim.repair_disk("a")?;
            let more = || OpenOptions::new().append(true).open("f")?.write(&[5; 9000]);
            assert_eq!(on_a(sim, more).await?, 9000);
            Ok::<(), BoxError>(())
        })
    });
    assert_eq!(ran.effects.count(Effect::DiskFull), 1);
}

#[test]
fn full_disk_takes_no_commits() {
    pass(|| {
        let put = || async {
            let db = crate::storage::open("db").await?;
            db.write(|txn| Ok(txn.table::<Str, Str>("t")?.put(txn, "k", "v")?)).await
        };
        SpecBuilder::new().machine("a", idles).body(async move |sim: Sim| {
            sim.run_on("a", put()).await??;
            sim.fill_disk("a")?;
            let full = sim.run_on("a", put()).await?;
            assert!(matches!(full, Err(crate::storage::Error::Full { .. })), "{full:?}");
            sim.settle().await?;
            sim.run_on("a", put()).await??;
            Ok::<(), BoxError>(())
        })
    });
}

/// Writes every 100 ms, and notes when.
static WRITTEN: Mutex<Vec<u64>> = Mutex::new(Vec::new());

async fn writes_often() {
    let mut log = File::create("log").expect("there is room");
    loop {
        sleep(100.millis()).await;
        log.write_all(b"x").expect("there is room");
        WRITTEN.lock().expect("no panic").push(crate::engine::now() / 1_000_000);
    }
}

#[test]
fn stalled_disk_holds_a_process_until_it_is_repaired() {
    pass(|| {
        SpecBuilder::new().identical_hardware().machine("a", writes_often).machine("b", idles).body(
            async |sim: Sim| {
                sleep(350.millis()).await;
                sim.stall_disk("a")?;
                // A pause that ends meanwhile does not end the stall.
                sleep(1.secs()).await;
                sim.pause("a")?;
                sleep(1.secs()).await;
                sim.resume("a")?;
                sleep(650.millis()).await;
                sim.run_on("b", async { fs::write("f", "x") }).await??;
                sim.repair_disk("a")?;
                sleep(150.millis()).await;
                let written = WRITTEN.lock().expect("no panic").clone();
                assert_eq!(
                    written,
                    [100, 200, 300, 400, 3_000, 3_100],
                    "no poll after that at 400 ms"
                );
                sim.stall_disk("a")?;
                sleep(150.millis()).await;
                sim.kill("a")?;
                sim.start("a")?;
                sim.settle().await?;
                assert!(!sim.is_up("c") && sim.is_up("a"));
                Ok::<(), BoxError>(())
            },
        )
    });
}

#[test]
fn stalled_disk_holds_a_thread_of_a_guest_in_its_call() {
    let ran = pass(|| {
        SpecBuilder::new().machine("a", idles).body(async |sim: Sim| {
            sim.stall_disk("a")?;
            let client = sim.run_on("a", async {
                let write = tokio::task::spawn_blocking(|| {
                    fs::write("f", "x").expect("there is room");
                    crate::engine::now()
                });
                tokio::time::sleep(1.secs()).await;
                assert!(!write.is_finished(), "the main thread runs on");
                write.await.expect("no panic")
            });
            sleep(3.secs()).await;
            sim.repair_disk("a")?;
            assert_eq!(client.await?, 3_000_000_000);
            // A thread that waits when its process ends, ends with it.
            sim.stall_disk("a")?;
            let client = sim.run_on("a", async {
                drop(tokio::task::spawn_blocking(|| fs::write("f", "y")));
                std::future::pending::<()>().await;
            });
            sleep(1.secs()).await;
            sim.kill("a")?;
            assert!(client.await.is_err());
            Ok::<(), BoxError>(())
        })
    });
    assert_eq!(ran.threads_left, 0);
}

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

/// Runs with faults of all kinds are the same each time.
#[test]
fn disk_faults_repeat() {
    async fn plan(sim: Sim) -> Result<(), ControlError> {
        for _ in 0..20 {
            sleep(sim.random_range(1..300u64).millis()).await;
            match sim.random_range(0..6u32) {
                0 => sim.fail_sync("a")?,
                1 => sim.fail_writes("a")?,
                2 => sim.fill_disk("a")?,
                3 => sim.stall_disk("a")?,
                _ => sim.power_off_at_call("a", sim.random_range(1..30))?,
            }
            sleep(sim.random_range(1..300u64).millis()).await;
            sim.repair_disk("a")?;
            let _ = sim.start("a");
        }
        Ok(())
    }
    /// Writes, syncs and reads in a file until something fails, and starts again.
    async fn works() {
        for round in 0..u64::MAX {
            sleep(20.millis()).await;
            let log = OpenOptions::new().create(true).read(true).append(true).open("log");
            let _ = log.and_then(|mut log| {
                log.write_all(&[round as u8; 600])?;
                log.sync_all()?;
                fs::rename("log", "old")?;
                fs::read("old").map(drop)
            });
        }
    }
    let spec = || {
        SpecBuilder::new().machine("a", works).plan(plan).body(async |sim: Sim| {
            sleep(10.secs()).await;
            sim.settle().await
        })
    };
    let mut effects = crate::engine::record::effects::Effects::default();
    for seed in 0..20 {
        let (one, two) = (outcome(seed, spec), outcome(seed, spec));
        assert_eq!(one.verdict, Verdict::Passed);
        assert!(one.is_same_run(&two), "seed {seed}");
        effects.add_all(&one.effects);
    }
    for effect in [Effect::DiskError, Effect::DiskFull, Effect::PowerOff, Effect::WriteLost] {
        assert!(effects.count(effect) > 5, "{effect:?}");
    }
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

#[test]
fn snapshot_is_put_on_another_machine() {
    for seed in 0..10 {
        let ran = outcome(seed, || {
            let topology = Topology::new().machine("a", idles).machine("b", idles);
            SpecBuilder::new().topology(topology).body(async |sim: Sim| {
                let put = |value: &'static str| async move {
                    fs::write("f", value)?;
                    fs::create_dir_all("folder")?;
                    fs::write(format!("folder/{value}"), "x")?;
                    let db = crate::storage::open("db").await?;
                    db.write(move |txn| Ok(txn.table::<Str, Str>("t")?.put(txn, "k", value)?))
                        .await?;
                    Ok::<_, BoxError>(())
                };
                sim.run_on("a", put("one")).await??;
                let copy = sim.snapshot("a")?;
                for machine in ["a", "b"] {
                    sim.run_on(machine, put("two")).await??;
                }
                assert_eq!(sim.restore("b", copy), Err(ControlError::InUse("b".to_owned())));
                sim.kill("b")?;
                sim.restore("b", copy)?;
                sim.power_off("b")?;
                sim.start("b")?;
                let found = |machine| {
                    sim.run_on(machine, async {
                        let mut names = Vec::new();
                        for entry in fs::read_dir("folder")? {
                            names.push(entry?.file_name());
                        }
                        let db = crate::storage::open("db").await?;
                        let value = db.read(|txn| {
                            let table = txn.table::<Str, Str>("t")?.expect("it is there");
                            Ok(table.get(txn, "k")?.map(str::to_owned))
                        });
                        Ok::<_, BoxError>((fs::read_to_string("f")?, names.len(), value.await?))
                    })
                };
                assert_eq!(found("b").await??, ("one".to_owned(), 1, Some("one".to_owned())));
                assert_eq!(found("a").await??, ("two".to_owned(), 2, Some("two".to_owned())));
                Ok::<(), BoxError>(())
            })
        });
        assert_eq!(ran.verdict, Verdict::Passed);
        assert_eq!(ran.effects.count(Effect::Restore), 1);
    }
}

#[test]
fn disk_control_names_wrong_machines() {
    pass(|| {
        SpecBuilder::new().machine("a", idles).client("c").body(async |sim: Sim| {
            let copy = sim.snapshot("a")?;
            for result in [
                sim.fail_sync("x"),
                sim.fail_reads("x"),
                sim.fail_writes("x"),
                sim.fill_disk("x"),
                sim.stall_disk("x"),
                sim.repair_disk("x"),
                sim.power_off_at_call("x", 1),
                sim.restore("x", copy),
                sim.snapshot("x").map(drop),
            ] {
                assert!(matches!(result, Err(ControlError::NoMatch { .. })), "{result:?}");
            }
            let body = Err(ControlError::Body("c".to_owned()));
            assert_eq!(sim.power_off_at_call("c", 1), body);
            assert_eq!(sim.restore("c", copy), body);
            sim.fail_reads("c")?;
            fs::write("f", "x")?;
            let error = fs::read("f").expect_err("reads fail");
            assert_eq!(error.raw_os_error(), Some(libc::EIO));
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
