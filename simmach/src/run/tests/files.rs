//! Tests of files on machines: std's functions in a run, power failures, kills, wipes, and the
//! host's files.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt};

use crate::run::tests::*;

/// Creates a file on the host, in a folder whose files on the host are hidden from machines.
fn real_file(name: &str) -> std::path::PathBuf {
    let path = std::path::PathBuf::from(format!("/tmp/simmach-{}-{name}", std::process::id()));
    fs::write(&path, "the host's").expect("it is written");
    path
}

#[test]
fn std_files_are_the_machines() {
    let hidden = real_file("hidden");
    let path = hidden.clone();
    pass(|| {
        SpecBuilder::new().body(async move |_| {
            assert!(!path.exists(), "a machine sees nothing of the host below /tmp");
            fs::create_dir_all("data/logs")?;
            let mut file = File::create("data/logs/a.log")?;
            file.write_all(b"hello ")?;
            file.write_all(b"files")?;
            file.seek(SeekFrom::Start(1))?;
            file.write_all(b"E")?;
            file.sync_all()?;
            assert_eq!(fs::read_to_string("data/logs/a.log")?, "hEllo files");
            assert_eq!(fs::read("/home/simmach/data/logs/a.log")?.len(), 11);
            let metadata = fs::metadata("data/logs/a.log")?;
            assert!(metadata.is_file() && metadata.len() == 11 && metadata.nlink() == 1);
            assert_eq!(metadata.permissions().mode() & 0o777, 0o644);
            fs::rename("data/logs/a.log", "data/b.log")?;
            fs::hard_link("data/b.log", "data/c.log")?;
            std::os::unix::fs::symlink("c.log", "data/d.log")?;
            assert_eq!(fs::read_link("data/d.log")?.to_str(), Some("c.log"));
            assert_eq!(fs::metadata("data/d.log")?.nlink(), 2);
            let mut names: Vec<_> = fs::read_dir("data")?
                .map(|entry| entry.map(|entry| entry.file_name().into_string().expect("ASCII")))
                .collect::<std::io::Result<_>>()?;
            names.sort();
            assert_eq!(names, ["b.log", "c.log", "d.log", "logs"]);
            fs::copy("data/d.log", "data/e.log")?;
            let mut part = [0; 4];
            File::open("data/e.log")?.read_exact_at(&mut part, 1)?;
            assert_eq!(&part, b"Ello");
            assert_eq!(
                fs::canonicalize("data/../data/d.log")?.to_str(),
                Some("/home/simmach/data/c.log")
            );
            assert_eq!(std::env::current_dir()?.to_str(), Some("/home/simmach"));
            let mut appended = OpenOptions::new().append(true).read(true).open("data/e.log")?;
            appended.write_all(b"!")?;
            appended.rewind()?;
            let mut all = String::new();
            appended.read_to_string(&mut all)?;
            assert_eq!(all, "hEllo files!");
            fs::remove_dir_all("data")?;
            assert!(!fs::exists("data")?);
            Ok::<(), crate::BoxError>(())
        })
    });
    assert_eq!(fs::read(&hidden).expect("it is there"), b"the host's");
    fs::remove_file(hidden).expect("it was there");
}

#[test]
fn host_files_are_only_read() {
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
    let before = fs::read(manifest).expect("it is there");
    let failure = fail(move || {
        SpecBuilder::new().body(async move |_| {
            assert_eq!(fs::read(manifest)?, before);
            for error in [
                File::create(manifest).map(drop).expect_err("it is the host's"),
                fs::remove_file(manifest).expect_err("it is the host's"),
                fs::rename(manifest, "x").expect_err("it is the host's"),
                fs::set_permissions(manifest, fs::Permissions::from_mode(0o600))
                    .expect_err("it is the host's"),
            ] {
                assert_eq!(error.raw_os_error(), Some(libc::EROFS), "{error}");
            }
            // What is new is the machine's, wherever it is.
            let beside = concat!(env!("CARGO_MANIFEST_DIR"), "/not-on-the-host");
            fs::write(beside, "new")?;
            assert_eq!(fs::read_to_string(beside)?, "new");
            fs::read("/proc/self/status")?;
            fs::write("/dev/null", "nothing")?;
            File::options().append(true).open(manifest)?;
            Ok::<(), crate::BoxError>(())
        })
    });
    let cause = failure.cause.unwrap_or_default();
    assert!(cause.contains("Cargo.toml") && cause.contains("allow_files"), "{cause}");
    assert!(!fs::exists(concat!(env!("CARGO_MANIFEST_DIR"), "/not-on-the-host")).expect("a path"));
}

#[test]
fn allowed_files_are_the_hosts() {
    let path = real_file("allowed");
    let own = path.clone();
    pass(|| {
        SpecBuilder::new().body(async move |_| {
            crate::interpose::allow_files(|| fs::write(&own, "from a run"))?;
            assert!(!own.exists());
            Ok::<(), crate::BoxError>(())
        })
    });
    assert_eq!(fs::read(&path).expect("it is there"), b"from a run");
    fs::remove_file(path).expect("it was there");
}

/// Writes two records to a log, and syncs after the first.
async fn logs() {
    let mut log = OpenOptions::new().create(true).append(true).open("log").expect("it is opened");
    log.write_all(&[1; 700]).expect("it is written");
    log.sync_all().expect("it is synced");
    File::open(".").and_then(|folder| folder.sync_all()).expect("the folder is synced");
    log.write_all(&[2; 5000]).expect("it is written");
    std::future::pending::<()>().await;
}

/// The log of a machine after it lost its power, for each seed.
fn logs_after_power_loss() -> Vec<Vec<u8>> {
    static FOUND: Mutex<Vec<Vec<u8>>> = Mutex::new(Vec::new());
    let mut all = Vec::new();
    for seed in 0..60 {
        let ran = outcome(seed, || {
            SpecBuilder::new().machine("a", logs).body(async |sim: Sim| {
                sleep(1.secs()).await;
                sim.power_off("a")?;
                let read = sim.run_on("a", async { fs::read("log").expect("it is durable") });
                *FOUND.lock().expect("no panic") = vec![read.await?];
                Ok::<(), crate::BoxError>(())
            })
        });
        assert_eq!(ran.verdict, Verdict::Passed);
        all.extend(FOUND.lock().expect("no panic").drain(..));
    }
    all
}

#[test]
fn power_loss_keeps_what_was_synced() {
    let logs = logs_after_power_loss();
    for log in &logs {
        assert!(log.len() >= 700 && log[..700].iter().all(|byte| *byte == 1));
        assert!(log[700..].iter().all(|byte| *byte == 2), "no size without its data");
    }
    let lengths: std::collections::BTreeSet<usize> = logs.iter().map(Vec::len).collect();
    assert!(lengths.contains(&700) && lengths.contains(&5_700), "{lengths:?}");
    assert!(lengths.contains(&4_096), "torn at a page: {lengths:?}");
    assert_eq!(logs, logs_after_power_loss(), "the same seeds lose the same");
}

#[test]
fn calm_power_loss_keeps_everything() {
    let calm = Overlay::calm();
    for seed in 0..20 {
        let spec = || {
            SpecBuilder::new().machine("a", logs).body(async |sim: Sim| {
                sleep(1.secs()).await;
                sim.power_off("a")?;
                let read = sim.run_on("a", async { fs::read("log").map(|log| log.len()) });
                assert_eq!(read.await??, 5_700);
                Ok::<(), crate::BoxError>(())
            })
        };
        let ran = run_spec(spec, seed, calm.clone(), Keep::default(), Arc::default());
        assert_eq!(ran.verdict, Verdict::Passed);
    }
}

#[test]
fn lost_writes_are_deviations() {
    let keep =
        Keep { deviations: crate::engine::record::deviations::RecordLevel::All, ..Keep::default() };
    let mut texts = std::collections::BTreeSet::new();
    for seed in 0..40 {
        let spec = || {
            SpecBuilder::new().machine("a", logs).body(async |sim: Sim| {
                sleep(1.secs()).await;
                sim.power_off("a")
            })
        };
        let ran = run_spec(spec, seed, Overlay::default(), keep, Arc::default());
        let losses = ran
            .deviations
            .iter()
            .filter(|deviation| deviation.family == crate::engine::Family::DiskLoss);
        texts.extend(losses.map(|loss| (loss.text.clone(), loss.machine)));
    }
    let machine = Some(MachineId(0));
    let lost = "the 5000 bytes that were appended to /home/simmach/log at offset 700 are lost";
    assert!(texts.iter().any(|(text, _)| text == lost), "{texts:?}");
    assert!(texts.iter().all(|(text, on)| !text.is_empty() && *on == machine), "{texts:?}");
}

#[test]
fn kill_keeps_files_and_wipe_deletes_them() {
    pass(|| {
        SpecBuilder::new().machine("a", logs).body(async |sim: Sim| {
            sleep(1.secs()).await;
            sim.kill("a")?;
            let length = sim.run_on("a", async { fs::read("log").map(|log| log.len()) });
            assert_eq!(length.await??, 5_700);
            sim.wipe("a")?;
            let is_there = sim.run_on("a", async { fs::exists("log") });
            assert!(!is_there.await??);
            Ok::<(), crate::BoxError>(())
        })
    });
}

/// Closes, writes and deletes files when it is dropped, and fails if a call fails.
struct Cleans(File);

impl Drop for Cleans {
    fn drop(&mut self) {
        self.0.write_all(b"late").expect("it does nothing");
        self.0.sync_all().expect("it does nothing");
        fs::remove_file("kept").expect("it does nothing");
        let mut other = File::create("late").expect("it does nothing");
        other.write_all(b"late").expect("it does nothing");
    }
}

#[test]
fn destructors_of_dead_processes_do_nothing() {
    pass(|| {
        let holds = || async {
            fs::write("kept", "kept").expect("it is written");
            let _cleans =
                Cleans(OpenOptions::new().append(true).open("kept").expect("it is there"));
            std::future::pending::<()>().await;
        };
        SpecBuilder::new().machine("a", holds).body(async |sim: Sim| {
            sleep(1.secs()).await;
            sim.kill("a")?;
            let seen = sim.run_on("a", async { (fs::read("kept"), fs::exists("late")) });
            let (kept, late) = seen.await?;
            assert_eq!((kept?, late?), (b"kept".to_vec(), false));
            Ok::<(), crate::BoxError>(())
        })
    });
}

#[test]
fn machines_have_their_own_disks() {
    pass(|| {
        let writes = || async { fs::write("/var/lib/own", "own").expect("it is written") };
        SpecBuilder::new().machine("a", writes).machine("b", ignores).body(async |sim: Sim| {
            sleep(1.secs()).await;
            let on =
                |machine: &'static str| sim.run_on(machine, async { fs::exists("/var/lib/own") });
            assert!(on("a").await??);
            assert!(!on("b").await??);
            Ok::<(), crate::BoxError>(())
        })
    });
}

/// Maps the first two pages of a new file, for reading and writing.
fn map(name: &str) -> (File, *mut u8) {
    let file = OpenOptions::new().create(true).truncate(false).read(true).write(true).open(name);
    let file = file.expect("it is opened");
    file.set_len(8_192).and_then(|()| file.sync_all()).expect("there is room");
    let protection = libc::PROT_READ | libc::PROT_WRITE;
    let descriptor = std::os::fd::AsRawFd::as_raw_fd(&file);
    // SAFETY: a new mapping at an address that the kernel chooses.
    let mapped = unsafe {
        libc::mmap(std::ptr::null_mut(), 8_192, protection, libc::MAP_SHARED, descriptor, 0)
    };
    assert_ne!(mapped, libc::MAP_FAILED, "{}", std::io::Error::last_os_error());
    (file, mapped.cast())
}

/// Writes a byte to each of two pages of a mapping, and syncs the first one.
async fn maps() {
    let (file, mapped) = map("mapped");
    // SAFETY: the mapping has two pages.
    unsafe {
        mapped.write(1);
        assert_eq!(libc::msync(mapped.cast(), 4_096, libc::MS_SYNC), 0);
        mapped.add(4_096).write(2);
    }
    let mut seen = [0; 8_192];
    file.read_exact_at(&mut seen, 0).expect("it is read");
    assert_eq!((seen[0], seen[4_096]), (1, 2), "calls see what was written to memory");
    file.write_all_at(&[3], 1).expect("it is written");
    // SAFETY: as above.
    assert_eq!(unsafe { mapped.add(1).read() }, 3, "memory shows what was written by calls");
    std::future::pending::<()>().await;
}

#[test]
fn mapped_writes_are_lost_unless_they_are_synced() {
    static FOUND: Mutex<Vec<u8>> = Mutex::new(Vec::new());
    let mut lost = 0;
    for seed in 0..30 {
        let ran = outcome(seed, || {
            SpecBuilder::new().machine("a", maps).body(async |sim: Sim| {
                sleep(1.secs()).await;
                sim.power_off("a")?;
                let read = sim.run_on("a", async { fs::read("mapped").expect("it is durable") });
                *FOUND.lock().expect("no panic") = read.await?;
                Ok::<(), crate::BoxError>(())
            })
        });
        assert_eq!(ran.verdict, Verdict::Passed);
        let found = FOUND.lock().expect("no panic");
        assert_eq!((found.len(), found[0]), (8_192, 1), "it was synced");
        assert!(matches!(found[4_096], 0 | 2));
        lost += u32::from(found[4_096] == 0);
    }
    assert!((5..25).contains(&lost), "{lost} of 30");
}

/// Whether a file can be locked by another process.
fn is_free(name: &str) -> bool {
    match File::open(name).expect("it is there").try_lock() {
        Ok(()) => true,
        Err(fs::TryLockError::WouldBlock) => false,
        Err(fs::TryLockError::Error(error)) => panic!("{error}"),
    }
}

#[test]
fn locks_end_with_their_process() {
    pass(|| {
        let locks = || async {
            let file = File::create("locked").expect("it is made");
            file.lock().expect("it is free");
            std::future::pending::<()>().await;
            drop(file);
        };
        SpecBuilder::new().machine("a", locks).body(async |sim: Sim| {
            sleep(1.secs()).await;
            assert!(!sim.run_on("a", async { is_free("locked") }).await?);
            sim.kill("a")?;
            assert!(sim.run_on("a", async { is_free("locked") }).await?);
            Ok::<(), crate::BoxError>(())
        })
    });
}

#[test]
fn streams_of_c_use_the_machines_files() {
    pass(|| {
        SpecBuilder::new().body(async |_| {
            // SAFETY: the strings and buffers are valid, and the stream is closed once.
            unsafe {
                let stream = libc::fopen(c"stream".as_ptr(), c"w+".as_ptr());
                assert!(!stream.is_null());
                assert_eq!(libc::fputs(c"some text".as_ptr(), stream), 1);
                assert_eq!(libc::fflush(stream), 0);
                assert_eq!(libc::fsync(libc::fileno(stream)), 0);
                assert_eq!(libc::fseek(stream, 5, libc::SEEK_SET), 0);
                let mut rest = [0_u8; 8];
                assert_eq!(libc::fread(rest.as_mut_ptr().cast(), 1, 8, stream), 4);
                assert_eq!(&rest[..4], b"text");
                assert_eq!(libc::fclose(stream), 0);
                assert_eq!(fs::read("stream")?, b"some text");
                assert_eq!(libc::remove(c"stream".as_ptr()), 0);
                let mut template = *b"/tmp/new-XXXXXX\0";
                let made = libc::mkstemp(template.as_mut_ptr().cast());
                assert_eq!(libc::write(made, b"x".as_ptr().cast(), 1), 1);
                assert_eq!(libc::close(made), 0);
            }
            assert_eq!(fs::read_dir("/tmp")?.count(), 1);
            assert!(!fs::exists("stream")?);
            Ok::<(), crate::BoxError>(())
        })
    });
}
