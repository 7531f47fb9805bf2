//! Reads the disks that `SIMMACH_KEEP` writes out with the tools of the engines: `sqlite3` and `mdb_dump`.
//!
//! Each engine has a test that stores three rows and then fails. It is run in a child process. The
//! tool must print these rows.

#![cfg(target_os = "linux")]

use std::env;
use std::fs;
use std::future::pending;
use std::path::{Path, PathBuf};
use std::process::Command;

use heed::types::Str;
use simmach::prelude::*;

const ROWS: [(&str, &str); 3] = [("apple", "4"), ("pear", "15"), ("quince", "926")];

/// `ROWS` as `mdb_dump -p` prints them.
const DUMPED: &str = "HEADER=END\n apple\n 4\n pear\n 15\n quince\n 926\nDATA=END\n";

/// The Debian packages of the tools.
const PACKAGES: &str = "sqlite3 lmdb-utils";

/// Leaves the rows in the write-ahead log: SQLite moves them to the database when the connection is closed.
async fn write_to_sqlite() -> Result {
    let mut connection = rusqlite::Connection::open("orders.db")?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    let transaction = connection.transaction()?;
    transaction.execute("CREATE TABLE orders (item TEXT PRIMARY KEY, count TEXT)", ())?;
    for row in ROWS {
        transaction.execute("INSERT INTO orders (item, count) VALUES (?1, ?2)", row)?;
    }
    transaction.commit()?;
    pending().await
}

async fn write_to_lmdb() -> Result {
    fs::create_dir("lmdb")?;
    // SAFETY: only this process of the machine uses the files, and it opens them once.
    let environment = unsafe { heed::EnvOpenOptions::new().map_size(1 << 20).open("lmdb") }?;
    let mut transaction = environment.write_txn()?;
    let orders = environment.create_database::<Str, Str>(&mut transaction, None)?;
    for (item, count) in ROWS {
        orders.put(&mut transaction, item, count)?;
    }
    transaction.commit()?;
    pending().await
}

async fn write_to_store() -> Result {
    let store = simmach::storage::open("shop").await?;
    let write = store.write(|txn| {
        let orders = txn.table::<Str, Str>("orders")?;
        ROWS.iter().try_for_each(|(item, count)| Ok(orders.put(txn, item, count)?))
    });
    write.await?;
    pending().await
}

#[sim_test(seeds = 1, machines("db.zone" => write_to_sqlite))]
#[ignore = "it fails: other tests run it"]
async fn fails_with_sqlite(_: Sim) -> Result {
    fail().await
}

#[sim_test(seeds = 1, machines("db.zone" => write_to_lmdb))]
#[ignore = "it fails: other tests run it"]
async fn fails_with_lmdb(_: Sim) -> Result {
    fail().await
}

#[sim_test(seeds = 1, machines("db.zone" => write_to_store))]
#[ignore = "it fails: other tests run it"]
async fn fails_with_a_store(_: Sim) -> Result {
    fail().await
}

/// Fails when the machine has written the rows.
async fn fail() -> Result {
    simmach::time::sleep(1.secs()).await;
    Err("the rows are written".into())
}

/// Runs a failing test of this binary. Returns the folder with the disk of its machine.
fn kept_disk(test: &str) -> PathBuf {
    let kept = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("kept-{test}"));
    let _ = fs::remove_dir_all(&kept);
    let mut command = Command::new(env::current_exe().expect("this test runs"));
    for (name, _) in env::vars_os() {
        let name = name.to_string_lossy();
        if ["SIMMACH_", "RUST_", "NEXTEST"].iter().any(|own| name.starts_with(own)) {
            command.env_remove(&*name);
        }
    }
    command.args(["--ignored", "--exact", test]);
    command.env("SIMMACH_KEEP", &kept).env("SIMMACH_REGRESSIONS", "off");
    let output = command.output().expect("the binary is there");
    let [stdout, stderr] =
        [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text));
    let text = format!("{stdout}{stderr}");
    assert_eq!(output.status.code(), Some(101), "{text}");
    assert!(text.contains("the rows are written"), "{text}");
    let named = text.split_once("as they were at the failure, are in ");
    let (folder, _) = named.and_then(|(_, rest)| rest.split_once(":\n")).expect(&text);
    Path::new(folder).join("db.zone")
}

/// Runs a tool in a folder and returns its output. Returns `None` if the tool is not installed.
///
/// # Panics
///
/// If the tool fails, or is not installed on CI.
fn run_tool(folder: &Path, tool: &str, arguments: &[&str]) -> Option<String> {
    let output = match Command::new(tool).args(arguments).current_dir(folder).output() {
        Ok(output) => output,
        Err(error) => {
            let message = format!(
                "`{tool}` cannot be started ({error}): install Debian's packages {PACKAGES}"
            );
            assert!(env::var_os("CI").is_none_or(|value| value.is_empty()), "{message}");
            eprintln!("not tested: {message}");
            return None;
        }
    };
    let [stdout, stderr] =
        [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text).into_owned());
    assert!(output.status.success(), "`{tool}` fails: {stdout}{stderr}");
    Some(stdout)
}

#[test]
fn sqlite3_reads_a_kept_disk() {
    let folder = kept_disk("fails_with_sqlite").join("home/simmach");
    let log = fs::metadata(folder.join("orders.db-wal")).expect("the log is kept");
    assert!(log.len() > 0, "the log is empty");
    let query = "PRAGMA integrity_check; SELECT item, count FROM orders ORDER BY item";
    let Some(text) = run_tool(&folder, "sqlite3", &["orders.db", query]) else { return };
    assert_eq!(text, "ok\napple|4\npear|15\nquince|926\n");
}

#[test]
fn mdb_dump_reads_a_kept_disk() {
    let folder = kept_disk("fails_with_lmdb").join("home/simmach");
    let Some(text) = run_tool(&folder, "mdb_dump", &["-p", "lmdb"]) else { return };
    assert!(text.ends_with(DUMPED), "{text}");
}

#[test]
fn mdb_dump_reads_a_kept_store() {
    let folder = kept_disk("fails_with_a_store").join("simmach-storage");
    let arguments = ["-p", "-n", "-s", "orders", "@.shop.mdb"];
    let Some(text) = run_tool(&folder, "mdb_dump", &arguments) else { return };
    assert!(text.ends_with(DUMPED), "{text}");
}
