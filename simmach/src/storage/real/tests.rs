//! Tests of flushing and closing stores outside a run.

use std::sync::atomic::AtomicU64;
use std::time::Duration;
use std::{env, process, thread};

use crate::storage::real::*;
use crate::storage::types::{Bytes, Str};

const PERIOD: Duration = Duration::from_millis(100);

/// A folder for one test, which is deleted on drop.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let nth = NEXT.fetch_add(1, Ordering::Relaxed);
        let folder = env::temp_dir().join(format!("simmach-real-{}-{nth}", process::id()));
        fs::create_dir_all(&folder).expect("it can be made");
        Self(folder.canonicalize().expect("it is there"))
    }

    fn open(&self, options: Options) -> Result<Store> {
        open(&self.0, "store", options).map(Store)
    }

    fn file(&self) -> PathBuf {
        self.0.join("store.mdb")
    }

    /// Returns whether this process has mapped the store's file.
    fn is_mapped(&self) -> bool {
        let maps = fs::read_to_string("/proc/self/maps").expect("this is Linux");
        maps.contains(self.file().to_str().expect("text"))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn periodic() -> Options {
    Options::new().durability(Durability::Periodic(PERIOD))
}

fn runtime() -> tokio::runtime::Runtime {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_time().build().expect("a runtime")
}

async fn put(store: &Store, key: &'static str) {
    let put = store.write(move |txn| {
        let table = txn.table::<Str, Bytes>("t")?;
        Ok(table.put(txn, key, b"v")?)
    });
    put.await.expect("there is room");
}

async fn has(store: &Store, key: &'static str) -> bool {
    let found = store.read(move |txn| match txn.table::<Str, Bytes>("t")? {
        Some(table) => Ok(table.get(txn, key)?.is_some()),
        None => Ok(false),
    });
    found.await.expect("readable")
}

fn flushes(store: &Store) -> usize {
    store.0.flushes.load(Ordering::Acquire)
}

#[test]
fn flush_takes_place_a_period_after_the_first_commit() {
    let folder = Folder::new();
    runtime().block_on(async {
        let store = folder.open(periodic()).expect("it opens");
        for _ in 0..5 {
            put(&store, "k").await;
        }
        assert_eq!(flushes(&store), 0, "before its time");
        tokio::time::sleep(PERIOD * 3).await;
        assert_eq!(flushes(&store), 1);
        tokio::time::sleep(PERIOD * 3).await;
        assert_eq!(flushes(&store), 1, "nothing was committed since");
        put(&store, "k").await;
        tokio::time::sleep(PERIOD * 3).await;
        assert_eq!(flushes(&store), 2);
    });
}

#[test]
fn every_commit_is_flushed_by_lmdb_itself() {
    let folder = Folder::new();
    runtime().block_on(async {
        let store = folder.open(Options::new()).expect("it opens");
        put(&store, "k").await;
        tokio::time::sleep(PERIOD * 2).await;
        assert_eq!(flushes(&store), 0);
    });
}

/// A runtime may end before a scheduled flush. The next commit schedules another, and closing flushes at once.
#[test]
fn flush_is_not_lost_with_its_runtime() {
    let folder = Folder::new();
    let store = folder.open(periodic()).expect("it opens");
    runtime().block_on(put(&store, "one"));
    assert_eq!(flushes(&store), 0);
    runtime().block_on(async {
        put(&store, "two").await;
        tokio::time::sleep(PERIOD * 3).await;
    });
    assert_eq!(flushes(&store), 1);
    runtime().block_on(put(&store, "three"));
    let flushes = Arc::clone(&store.0.flushes);
    drop(store);
    assert_eq!(flushes.load(Ordering::Acquire), 2);
    assert!(!folder.is_mapped());
}

#[test]
fn store_is_closed_with_its_last_handle() {
    let folder = Folder::new();
    runtime().block_on(async {
        let store = folder.open(Options::new()).expect("it opens");
        let again = folder.open(Options::new()).expect("the same");
        put(&store, "k").await;
        drop(store);
        assert!(folder.is_mapped() && has(&again, "k").await);
        let other = Options::new().map_size(1 << 21);
        assert!(matches!(folder.open(other), Err(Error::Options(_))));
        drop(again);
        assert!(!folder.is_mapped());
        assert!(!stores().contains_key(&folder.file()));
        let other = folder.open(other).expect("no handle with other options is open");
        assert!(has(&other, "k").await);
    });
}

/// One thread drops the last handle while another opens the store.
#[test]
fn closing_and_opening_may_overlap() {
    let folder = Folder::new();
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for nth in 0..200 {
                    let store = folder.open(Options::new()).expect("it opens");
                    if nth % 20 == 0 {
                        runtime().block_on(put(&store, "k"));
                    }
                }
            });
        }
    });
    assert!(!folder.is_mapped());
}
