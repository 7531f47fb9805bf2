//! Profiles of disks: how long calls on files take, how much fits, and what a power failure leaves.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;

use crate::disk_profile::{CrashProfile, DiskProfile};
use crate::run::tests::*;

fn now_millis() -> u64 {
    crate::engine::now() / 1_000_000
}

/// A disk on which a write takes 1 ms, a read 2 ms and a sync 10 ms.
fn slow() -> DiskProfile {
    let [write, read, sync] = [1, 2, 10].map(Duration::from_millis);
    let disk = DiskProfile::ideal().write_latency(write, write, write);
    disk.read_latency(read, read, read).sync_latency(sync, sync, sync)
}

/// Runs a future on the machine `a`, which has this disk. `is_native`: without a tokio runtime.
fn on_a<F: Future<Output = Result> + 'static>(
    seed: u64,
    is_native: bool,
    disk: DiskProfile,
    f: impl FnOnce() -> F + Send + 'static,
) -> Outcome {
    outcome(seed, move || {
        let topology = Topology::new().machine("a", std::future::pending::<()>);
        let spec = SpecBuilder::new().identical_hardware().topology(topology.disk("a", disk));
        let spec = if is_native { spec.native() } else { spec };
        spec.body(async move |sim: Sim| sim.run_on("a", async move { f().await }).await?)
    })
}

/// One call creates a file, two write, one reads, and one syncs it.
fn calls() -> std::io::Result<()> {
    let mut file = File::create("f")?;
    file.write_all(b"one")?;
    file.write_all(b"two")?;
    std::io::Read::read(&mut File::open("f")?, &mut [0; 8])?;
    file.sync_all()
}

#[test]
fn calls_delay_the_next_poll_of_the_process() {
    for is_native in [true, false] {
        let ran = on_a(0, is_native, slow(), async || {
            spawn_local(async {
                crate::task::yield_now().await;
                note("other task");
                assert_eq!(now_millis(), 30, "it is of the same process");
            });
            calls()?;
            assert_eq!(now_millis(), 0, "calls do not wait");
            calls()?;
            crate::task::yield_now().await;
            assert_eq!(now_millis(), 30);
            sleep(5.millis()).await;
            assert_eq!(now_millis(), 35);
            calls()?;
            sleep(5.millis()).await;
            assert_eq!(now_millis(), 50, "a sleep that ends meanwhile does not take longer");
            Ok(())
        });
        assert_eq!(ran.verdict, Verdict::Passed);
    }
}

#[test]
fn calls_wait_on_threads_of_guests() {
    let ran = on_a(0, false, slow(), async || {
        let thread = tokio::task::spawn_blocking(|| {
            for round in 1..=3 {
                calls().expect("there is room");
                assert_eq!(now_millis(), round * 15);
            }
        });
        // The main thread goes on meanwhile.
        tokio::time::sleep(7.millis()).await;
        assert_eq!(now_millis(), 7);
        thread.await?;
        assert_eq!(now_millis(), 45);
        Ok(())
    });
    assert_eq!(ran.verdict, Verdict::Passed);
}

#[test]
fn latencies_are_drawn_and_repeat() {
    static TOOK: Mutex<Vec<u64>> = Mutex::new(Vec::new());
    let took = |seed| {
        let ran = on_a(seed, true, DiskProfile::hdd(), async || {
            for _ in 0..20 {
                let began = crate::engine::now();
                calls()?;
                crate::task::yield_now().await;
                TOOK.lock().expect("no panic").push(crate::engine::now() - began);
            }
            Ok(())
        });
        assert_eq!(ran.verdict, Verdict::Passed);
        (TOOK.lock().expect("no panic").drain(..).collect::<Vec<u64>>(), ran.trace_hash)
    };
    let (one, other) = (took(1), took(2));
    assert_eq!(one, took(1));
    assert_ne!(one, other);
    let distinct: BTreeSet<u64> = one.0.iter().copied().collect();
    assert!(distinct.len() > 15 && *one.0.iter().min().expect("20") >= 4_000_000, "{one:?}");
}

#[test]
fn write_that_is_synced_takes_as_long_as_both_calls() {
    let ran = on_a(0, true, slow(), async || {
        let mut options = OpenOptions::new();
        let mut log = options.create(true).append(true).custom_flags(libc::O_SYNC).open("log")?;
        log.write_all(b"x")?;
        crate::task::yield_now().await;
        assert_eq!(now_millis(), 12, "1 ms for the name, 1 for the write, 10 for its sync");
        Ok(())
    });
    assert_eq!(ran.verdict, Verdict::Passed);
}

#[test]
fn stalls_take_the_time_that_they_are_given() {
    let stall = Duration::from_secs(3);
    let ran = on_a(0, true, DiskProfile::ideal().stalls(1, stall, stall, stall), async || {
        fs::create_dir("folder")?;
        crate::task::yield_now().await;
        assert_eq!(now_millis(), 3_000);
        Ok(())
    });
    assert_eq!(ran.verdict, Verdict::Passed);
}

/// A process that ends while it waits leaves nothing behind, and the one after it does not wait.
#[test]
fn killed_process_does_not_delay_the_next_one() {
    pass(|| {
        let topology = Topology::new().machine("a", async || {
            calls().expect("there is room");
            std::future::pending::<()>().await;
        });
        SpecBuilder::new().identical_hardware().topology(topology.disk("a", slow())).body(
            async |sim: Sim| {
                sleep(1.millis()).await;
                sim.kill("a")?;
                let woken = sim.run_on("a", async {
                    sleep(1.millis()).await;
                    now_millis()
                });
                assert_eq!(woken.await?, 2);
                Ok::<(), BoxError>(())
            },
        )
    });
}

#[test]
fn capacity_limits_files() {
    let ran = on_a(0, true, DiskProfile::ssd().capacity(16 << 10), async || {
        let mut file = File::create("f")?;
        let written = [file.write(&[1; 10_000])?, file.write(&[1; 10_000])?];
        assert_eq!(written, [10_000, (16 << 10) - 10_000]);
        assert_eq!(file.write(&[1]).expect_err("it is full").raw_os_error(), Some(libc::ENOSPC));
        file.set_len(0)?;
        fs::write("g", [2; 16 << 10])?;
        Ok(())
    });
    assert_eq!((ran.verdict, ran.effects.count(Effect::DiskFull)), (Verdict::Passed, 1));
}

/// Whether files that were synced, whose folder was not, were found after a power failure, with each seed.
fn synced_files_are_found(crash: CrashProfile) -> BTreeSet<bool> {
    static FOUND: Mutex<BTreeSet<bool>> = Mutex::new(BTreeSet::new());
    FOUND.lock().expect("no panic").clear();
    for seed in 0..30 {
        let ran = outcome(seed, move || {
            let topology = Topology::new().machine("a", async || {
                let file = OpenOptions::new().create(true).append(true).open("f");
                file.and_then(|file| file.sync_all()).expect("it is made");
                std::future::pending::<()>().await;
            });
            let topology = topology.disk("a", DiskProfile::ssd().crash_profile(crash));
            SpecBuilder::new().topology(topology).body(async |sim: Sim| {
                sleep(1.secs()).await;
                sim.power_off("a")?;
                let is_found = sim.run_on("a", async { fs::exists("f") }).await??;
                FOUND.lock().expect("no panic").insert(is_found);
                Ok::<(), BoxError>(())
            })
        });
        assert_eq!(ran.verdict, Verdict::Passed);
    }
    FOUND.lock().expect("no panic").clone()
}

#[test]
fn crash_profile_decides_whether_a_synced_file_has_its_name() {
    assert_eq!(synced_files_are_found(CrashProfile::Journal), BTreeSet::from([true]));
    assert_eq!(synced_files_are_found(CrashProfile::Posix), BTreeSet::from([false, true]));
}

/// A snapshot is of files, and not of the disk that they were on.
#[test]
fn restored_disk_keeps_its_own_profile() {
    pass(|| {
        let idles = std::future::pending::<()>;
        let topology = Topology::new().machine("a", idles).machine("b", idles);
        let topology = topology.disk("b", DiskProfile::ssd().capacity(8 << 10));
        SpecBuilder::new().topology(topology).body(async |sim: Sim| {
            sim.run_on("a", async { fs::write("f", [1; 4096]) }).await??;
            let copy = sim.snapshot("a")?;
            sim.kill("b")?;
            sim.restore("b", copy)?;
            let written = sim.run_on("b", async { fs::write("g", [2; 8192]) }).await?;
            let error = written.expect_err("there is room for one page");
            assert_eq!(error.raw_os_error(), Some(libc::ENOSPC));
            Ok::<(), BoxError>(())
        })
    });
}
