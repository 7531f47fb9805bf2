//! Faults of disks, and snapshots, as tests and plans cause them.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::FileExt;

use crate::run::tests::*;
use crate::sim::ControlError;

/// A service that does nothing. Its machine's files are used by clients.
pub(super) async fn idles() {
    std::future::pending::<()>().await;
}

/// Runs a future on the machine `a`.
pub(super) async fn on_a<T: 'static>(sim: Sim, f: impl FnOnce() -> T + 'static) -> T {
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
