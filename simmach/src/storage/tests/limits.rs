//! Tests of disks that are full or fail, and of what a run leaves behind.

use crate::storage::tests::*;

#[test]
fn full_disk_is_counted_and_can_recover() {
    pass(&DiskProfile::ssd().capacity(1 << 20), async || {
        let db = open("db").await.expect("the store opens");
        let fill = |size: usize| {
            db.write(move |txn| Ok(txn.table::<Str, Bytes>("t")?.put(txn, "k", &vec![7; size])?))
        };
        let error = fill(2 << 20).await.expect_err("there is no room");
        assert!(error.to_string().starts_with("the store \"db\" is full (1 MiB): "), "{error}");
        let error = std::io::Error::from(error);
        assert_eq!(error.kind(), std::io::ErrorKind::StorageFull);
        assert_eq!(error.raw_os_error(), cfg!(unix).then_some(28));
        assert_eq!(count(Effect::DiskFull), 1);
        fill(1 << 18).await.expect("there is room for that");
    });
}

/// A closure converts the error to `io::Error`. The error must still count as that of the simulated
/// disk, not of the real one.
#[test]
fn full_disk_converted_to_an_io_error_is_still_counted() {
    pass(&DiskProfile::ssd().capacity(1 << 20), async || {
        let db = open("db").await.expect("the store opens");
        let fill = db.write(|txn| {
            let mut fill = || -> std::io::Result<()> {
                let table = txn.table::<Str, Bytes>("t")?;
                Ok(table.put(txn, "k", &vec![7; 2 << 20]).map_err(Error::from)?)
            };
            Ok(fill()?)
        });
        assert!(matches!(fill.await, Err(Error::Full { .. })));
        assert_eq!(count(Effect::DiskFull), 1);
    });
}

#[test]
fn real_disk_failure_breaks_the_run_and_names_the_folder() {
    let missing = RunFolder { parent: Path::new("/nowhere/simmach"), number: 0 };
    let spec =
        StorageSpec { folder: missing, disk: DiskProfile::ideal(), disks: Default::default() };
    let body = async || {
        assert!(matches!(open("db").await, Err(Error::Io(_))));
    };
    let ran = rig::run_with(0, Overlay::default(), || install(spec), body, remove);
    match ran.verdict {
        Verdict::Broken(text) => {
            assert!(text.contains("/nowhere/simmach") && text.contains("SIMMACH_DIR"), "{text}");
        }
        Verdict::Passed | Verdict::Failed(_) => panic!("{:?}", ran.verdict),
    }
}

/// The errors that LMDB passes on from the operating system, even if they pass through a closure.
#[cfg(unix)]
#[test]
fn real_disk_full_breaks_the_run_and_names_the_folder() {
    const EIO: i32 = 5;
    const ENOSPC: i32 = 28;
    for code in [EIO, ENOSPC] {
        let ran = run(0, Overlay::default(), DiskProfile::ideal(), async move || {
            let db = open("db").await.expect("the store opens");
            let full = std::io::Error::from_raw_os_error(code);
            assert!(db.write(|_| Err::<(), _>(full.into())).await.is_err());
        });
        match ran.verdict {
            Verdict::Broken(text) => {
                assert!(text.contains("is full") && text.contains("SIMMACH_DIR"), "{text}");
            }
            Verdict::Passed | Verdict::Failed(_) => panic!("{:?}", ran.verdict),
        }
    }
}

/// Opens stores with this map size until one fails, and returns the verdict's text.
fn open_many(machines: u32, map_size: usize) -> String {
    let ran = run(0, Overlay::default(), DiskProfile::ideal(), async move || {
        for machine in 0..machines {
            let opened = on(machine, 2 + machine, async move {
                Options::new().map_size(map_size).open("db").await.map(drop)
            });
            if opened.await.expect("it does not panic").is_err() {
                return;
            }
        }
        panic!("all could be opened");
    });
    match ran.verdict {
        Verdict::Broken(text) => text,
        Verdict::Passed | Verdict::Failed(_) => panic!("{:?}", ran.verdict),
    }
}

/// The message must not suggest another folder: the limit is the address space.
#[cfg(all(target_os = "linux", target_pointer_width = "64"))]
#[test]
fn map_too_large_for_the_address_space_is_reported_with_sizes() {
    for (machines, map_size, size) in
        [(50, 4 << 40, "4 TiB"), (1, 1 << 62, "4096 PiB"), (2, usize::MAX, "16383.9 PiB")]
    {
        let text = open_many(machines, map_size);
        assert!(text.contains(&format!("map a store of {size}: ")), "{text}");
        assert!(text.contains("Options::map_size") && !text.contains("SIMMACH_DIR"), "{text}");
    }
    let text = open_many(50, 4 << 40);
    let (_, others) = text.split_once(": with ").expect(&text);
    let others: u64 = others.split(' ').next().expect(&text).parse().expect(&text);
    assert!((20..=32).contains(&others), "{text}");
    assert!(text.contains("the address space of an OS process is 128 TiB"), "{text}");
}

/// The same after a store was reopened with another size.
#[cfg(all(target_os = "linux", target_pointer_width = "64"))]
#[test]
fn map_too_large_after_a_resize_is_reported() {
    let ran = run(0, Overlay::default(), DiskProfile::ideal(), async move || {
        let open = |process, size| {
            on(1, process, async move { Options::new().map_size(size).open("db").await.map(drop) })
        };
        open(2, 1 << 20).await.expect("the task does not panic").expect("there is room");
        power_off_with(1, 2);
        assert!(open(3, 1 << 62).await.expect("the task does not panic").is_err());
    });
    match ran.verdict {
        Verdict::Broken(text) => {
            assert!(text.contains("4096 PiB") && text.contains("Options::map_size"), "{text}");
        }
        Verdict::Passed | Verdict::Failed(_) => panic!("{:?}", ran.verdict),
    }
}

#[test]
fn runs_leave_no_files_behind() {
    for seed in 0..200 {
        let ran = run(seed, Overlay::default(), DiskProfile::ssd(), async || {
            for machine in 0..3 {
                on(machine, 2 + machine, async {
                    let db = periodic(5).open("db").await.expect("the store opens");
                    while put(&db, "k", "v").await.is_ok() {}
                });
            }
            sleep_ms(20).await;
            power_off_with(0, 2);
            kill(3);
        });
        assert_eq!(ran.verdict, Verdict::Passed);
    }
}
