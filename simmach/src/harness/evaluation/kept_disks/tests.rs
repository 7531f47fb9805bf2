//! Disks of runs, written out and read as plain files.

use std::os::unix::fs::MetadataExt;
use std::sync::Arc;

use heed::CommitOrAbort;
use heed::types::Str;

use crate::engine::MachineId;
use crate::engine::draws::overlay::Overlay;
use crate::harness::evaluation::kept_disks::*;
use crate::harness::testing::Scratch;
use crate::run::run_spec;
use crate::sim::Sim;
use crate::spec::SpecBuilder;
use crate::storage::txn::Returned;

/// Runs a body that fails, and returns its outcome with the disks.
fn failed(body: impl AsyncFnOnce(Sim) + 'static + Send) -> Outcome {
    let _folder = crate::program::folder().expect("a folder for the disks of runs");
    let keep = Keep { disks: true, ..Keep::default() };
    let spec = move || {
        SpecBuilder::new().machine("db.zone", std::future::pending::<()>).body(async move |sim| {
            body(sim).await;
            panic!("it fails");
        })
    };
    run_spec(spec, 0, Overlay::default(), keep, Arc::default())
}

/// Files of all kinds, as a program writes them.
fn make_files() -> io::Result<()> {
    fs::create_dir_all("data/logs")?;
    fs::write("data/logs/a.log", "not synced")?;
    fs::hard_link("data/logs/a.log", "data/b.log")?;
    symlink("logs/a.log", "data/relative")?;
    symlink("/home/simmach/data/b.log", "data/absolute")?;
    symlink("/../../../etc/passwd", "data/outside")?;
    symlink("/etc", "data/folder")?;
    fs::write("data/secret", "x")?;
    fs::set_permissions("data/secret", Permissions::from_mode(0o000))?;
    fs::set_permissions("data/logs", Permissions::from_mode(0o500))?;
    let sparse = File::create("data/sparse")?;
    sparse.write_all_at(b"end", 1 << 30)?;
    fs::write("data/unlinked", "gone")?;
    fs::remove_file("data/unlinked")
}

#[test]
fn disks_are_written_as_the_machine_saw_them() {
    let scratch = Scratch::new("disks");
    let outcome = failed(async |sim| {
        sim.run_on("db.zone", async { make_files() })
            .await
            .expect("it ends")
            .expect("there is room");
    });
    let text = write(&scratch.path().join("run"), outcome).expect("the folder is writable");
    let folder = scratch.path().join("run");
    assert!(
        text.contains(&format!("are in {}:\n    db.zone: 3 files\n", folder.display())),
        "{text}"
    );
    let machine = folder.join("db.zone");
    let data = machine.join("home/simmach/data");
    assert_eq!(fs::read(data.join("logs/a.log")).expect("it is there"), b"not synced");
    for other in ["b.log", "relative", "absolute"] {
        assert_eq!(fs::read(data.join(other)).expect(other), b"not synced");
    }
    assert_eq!(fs::metadata(data.join("b.log")).expect("it is there").nlink(), 2);
    let outside = fs::read_link(data.join("outside")).expect("it is a link");
    assert_eq!(outside, machine.join("etc/passwd"));
    assert_eq!(fs::read_link(data.join("folder")).expect("it is a link"), machine.join("etc"));
    assert_eq!(fs::read(data.join("secret")).expect("its owner may read it"), b"x");
    let sparse = fs::metadata(data.join("sparse")).expect("it is there");
    assert!(sparse.len() == (1 << 30) + 3 && sparse.blocks() < 1 << 10, "{}", sparse.blocks());
    assert!(!data.join("unlinked").exists());
}

/// The newest commit is there, durable or not.
#[test]
fn stores_are_written_as_files_of_lmdb() {
    let scratch = Scratch::new("stores");
    let outcome = failed(async |sim| {
        let write = async {
            let rare = crate::storage::Durability::Periodic(std::time::Duration::from_secs(3600));
            let db = crate::storage::Options::new().durability(rare).open("db").await?;
            for value in ["old", "new"] {
                db.write(move |txn| {
                    let table = txn.table::<Str, Str>("stock")?;
                    table.put(txn, "apple", value)?;
                    Ok(())
                })
                .await?;
            }
            Ok::<_, crate::storage::Error>(())
        };
        sim.run_on("db.zone", write).await.expect("it ends").expect("it is written");
    });
    write(&scratch.path().join("run"), outcome).expect("the folder is writable");
    let files = scratch.path().join("run/db.zone/simmach-storage");
    let file = fs::read_dir(files).expect("it is there").next().expect("a store").expect("a name");
    let mut options = heed::EnvOpenOptions::new();
    // SAFETY: no other process or environment uses the file.
    let env = unsafe { options.flags(heed::EnvFlags::NO_SUB_DIR).max_dbs(1).open(file.path()) };
    let env = env.expect("it is a file of LMDB");
    let txn = env.read_txn().expect("it is open");
    let read = env.open_databases_and_commit(txn, |opener, txn| {
        let table = opener.open_database::<Str, Str>(txn, Some("stock"))?;
        let apple = table.expect("the table is there").get(txn, "apple")?.map(str::to_owned);
        Ok::<_, heed::Error>(CommitOrAbort::from(Ok::<_, heed::Error>(Returned(apple))))
    });
    let apple = read.and_then(Result::from).expect("it is read");
    assert_eq!(apple.as_deref(), Some("new"));
}

#[test]
fn disks_of_runs_get_a_new_folder_each() {
    let scratch = Scratch::new("folders");
    let root = scratch.path().join("a/run");
    let create = || create(&root).expect("the folder is writable");
    let made: Vec<PathBuf> = (0..3).map(|_| create()).collect();
    let names = ["a/run", "a/run-2", "a/run-3"].map(|name| scratch.path().join(name));
    assert_eq!(made, names);
}

#[test]
fn unwritable_folder_is_a_message() {
    let scratch = Scratch::new("unwritable");
    let file = scratch.path().join("file");
    fs::write(&file, "").expect("the temporary folder is writable");
    let outcome = failed(async |_| fs::write("x", "x").expect("there is room"));
    let error = write(&file.join("run"), outcome).expect_err("a file is no folder");
    let text = error.to_string();
    assert!(text.starts_with("the disks were not kept: "), "{text}");
    assert!(text.contains("file: ") && text.contains(KEEP), "{text}");
    // The real disk fills up in the middle of a file, here by the limit of a file's size.
    let data = vec![Extent { start: u64::MAX / 4, bytes: vec![1] }];
    let kind = ImageKind::File { size: 1, data };
    let entry = ImageEntry { path: b"big".to_vec(), kind, mode: 0o644 };
    let image = DiskImage { machine: MachineId(0), entries: vec![entry] };
    let outcome = Outcome { disks: Some(vec![image]), ..Outcome::crashed(0, "it fails") };
    let run = scratch.path().join("run");
    assert!(matches!(write(&run, outcome), Err(KeepError::NotWritten { .. })));
    assert!(!run.exists(), "a part of a disk is removed");
}

#[test]
fn runs_without_disks_are_named() {
    let scratch = Scratch::new("none");
    let crashed = write(scratch.path(), Outcome::crashed(0, "it aborted"));
    assert!(matches!(crashed, Err(KeepError::NoRun(why)) if why == "it aborted"));
    let passed = write(scratch.path(), Outcome::without_a_run(0, Verdict::Passed));
    assert!(matches!(passed, Err(KeepError::Passed)));
    let text = write(scratch.path(), failed(async |_| ())).expect("there is nothing to write");
    assert_eq!(text, "  No machine has anything on its disk.\n");
    assert_eq!(fs::read_dir(scratch.path()).expect("it is there").count(), 0);
}
