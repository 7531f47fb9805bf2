//! Compares a volume with a model through crashes, and tests corner cases.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use fastrand::Rng;
use heed::types::{Bytes, Str};

use crate::storage::volume::*;

/// The contents of a store, by table and key.
type Contents = BTreeMap<(String, String), Vec<u8>>;

/// A folder for one test, which is deleted on drop.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let shm = Path::new("/dev/shm");
        let base = if shm.is_dir() { shm.to_owned() } else { std::env::temp_dir() };
        let path = base.join(format!("simmach-volume-{}-{number}", std::process::id()));
        fs::create_dir(&path).expect("a folder for the test");
        Self(path)
    }

    fn volume(&self) -> Volume {
        Volume::new(&self.0, "db", 1 << 24)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A volume and the contents that it should have.
struct Model {
    volume: Volume,
    committed: Contents,
    durable: Contents,
    /// Number of commits with changes since the last durable point.
    undurable: u64,
    commits: u64,
    crashes: u64,
}

impl Model {
    fn new(volume: Volume) -> Self {
        let empty = Contents::new();
        Self {
            volume,
            committed: empty.clone(),
            durable: empty,
            undurable: 0,
            commits: 0,
            crashes: 0,
        }
    }

    fn step(&mut self, rng: &mut Rng) {
        match rng.u64(..20) {
            0..=10 => self.transaction(rng, false),
            11 => self.transaction(rng, true),
            12..=13 => {
                self.volume.make_durable();
                self.durable = self.committed.clone();
                self.undurable = 0;
            }
            14..=17 => self.crash(),
            // Close and reopen cleanly, which requires that all commits are durable.
            18 if self.undurable == 0 => self.volume.close().expect("closed"),
            _ if rng.u64(..4) == 0 => {
                self.volume.wipe().expect("wiped");
                let empty = Contents::new();
                (self.committed, self.durable, self.undurable) = (empty.clone(), empty, 0);
            }
            _ => {}
        }
        assert_eq!(self.volume.undurable(), self.undurable);
        if rng.u64(..3) == 0 {
            assert_eq!(contents(&mut self.volume), self.committed);
        }
    }

    fn crash(&mut self) {
        assert_eq!(self.volume.power_off().expect("powered off"), self.undurable, "commits lost");
        self.undurable = 0;
        self.crashes += 1;
        self.committed = self.durable.clone();
        // The contents must be exactly those of the last durable point.
        assert_eq!(contents(&mut self.volume), self.durable, "after a crash");
    }

    fn transaction(&mut self, rng: &mut Rng, abort: bool) {
        let commit = if rng.u64(..4) == 0 { Commit::Durable } else { Commit::Cached };
        let mut after = self.committed.clone();
        // Every committed transaction writes its number, so that each one changes something.
        self.commits += 1;
        let number = self.commits.to_be_bytes();
        let done = self.volume.write(commit, |txn| {
            for _ in 0..rng.u64(..12) {
                let name = ["stock", "orders", "log", "index"][rng.u64(..4) as usize];
                let table = txn.table::<Str, Bytes>(name)?;
                let key = format!("{:03}", rng.u64(..120));
                match rng.u64(..16) {
                    0..=3 => {
                        table.delete(txn, &key)?;
                        after.remove(&(name.to_owned(), key));
                    }
                    4 if rng.u64(..3) == 0 => {
                        table.clear(txn)?;
                        after.retain(|(table, _), _| table != name);
                    }
                    part => {
                        // Some values have overflow pages of their own.
                        let length = if part == 5 { rng.u64(..9_000) } else { rng.u64(..80) };
                        let value = vec![rng.u8(..); length as usize];
                        table.put(txn, &key, &value)?;
                        after.insert((name.to_owned(), key), value);
                    }
                }
            }
            txn.table::<Str, Bytes>("number")?.put(txn, "n", &number)?;
            if abort { Err(Error::user("given up")) } else { Ok(number) }
        });
        if abort {
            assert!(matches!(done, Err(Error::User(_))), "{done:?}");
            return;
        }
        assert_eq!(done.expect("committed"), number);
        after.insert(("number".to_owned(), "n".to_owned()), number.to_vec());
        self.committed = after;
        match commit {
            Commit::Durable => {
                self.durable = self.committed.clone();
                self.undurable = 0;
            }
            Commit::Cached => self.undurable += 1,
        }
    }
}

fn contents(volume: &mut Volume) -> Contents {
    volume
        .read(|txn| {
            let mut found = Contents::new();
            for name in ["stock", "orders", "log", "index", "number"] {
                let Some(table) = txn.table::<Str, Bytes>(name)? else {
                    continue;
                };
                for entry in table.iter(txn)? {
                    let (key, value) = entry?;
                    found.insert((name.to_owned(), key.to_owned()), value.to_owned());
                }
                assert_eq!(table.len(txn)?, table.iter(txn)?.count() as u64);
            }
            Ok(found)
        })
        .expect("the read succeeds")
}

fn put(volume: &mut Volume, commit: Commit, key: &str, value: &[u8]) -> Result<()> {
    volume.write(commit, |txn| Ok(txn.table::<Str, Bytes>("t")?.put(txn, key, value)?))
}

fn value(volume: &mut Volume, key: &str) -> Option<Vec<u8>> {
    let found = volume.read(|txn| match txn.table::<Str, Bytes>("t")? {
        Some(table) => Ok(table.get(txn, key)?.map(<[u8]>::to_vec)),
        None => Ok(None),
    });
    found.expect("the read succeeds")
}

#[test]
fn crashes_lose_exactly_what_was_not_durable() {
    let mut crashes = 0;
    let mut seed = 0;
    while crashes < 2_000 {
        let folder = Folder::new();
        let mut model = Model::new(folder.volume());
        let mut rng = Rng::with_seed(seed);
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            for _ in 0..200 {
                model.step(&mut rng);
            }
        }));
        assert!(result.is_ok(), "seed {seed}, in crash {} of its volume", model.crashes);
        crashes += model.crashes;
        seed += 1;
    }
}

#[test]
fn volume_without_durable_point_is_empty_after_power_loss() {
    let folder = Folder::new();
    let mut volume = folder.volume();
    volume.open().expect("the store opens");
    assert_eq!(volume.power_off().expect("nothing to lose"), 0);
    for n in 0..3 {
        put(&mut volume, Commit::Cached, "k", &[n]).expect("the put succeeds");
    }
    assert_eq!(volume.power_off().expect("powered off"), 3);
    assert_eq!(value(&mut volume, "k"), None);
    put(&mut volume, Commit::Durable, "k", b"later").expect("the put succeeds");
    assert_eq!(volume.power_off().expect("powered off"), 0);
    assert_eq!(value(&mut volume, "k").as_deref(), Some(&b"later"[..]));
}

#[test]
fn empty_transaction_is_not_a_commit() {
    let folder = Folder::new();
    let mut volume = folder.volume();
    volume.write(Commit::Cached, |_| Ok(())).expect("nothing done");
    assert_eq!(volume.undurable(), 0);
    assert_eq!(volume.power_off().expect("powered off"), 0);
}

#[test]
fn tables_made_by_a_lost_or_aborted_transaction_are_gone() {
    let folder = Folder::new();
    let mut volume = folder.volume();
    for _ in 0..3 {
        let aborted = volume.write(Commit::Durable, |txn| -> Result<()> {
            txn.table::<Str, Bytes>("t")?.put(txn, "k", b"v")?;
            Err(Error::user("no"))
        });
        assert!(matches!(aborted, Err(Error::User(_))));
        assert_eq!(value(&mut volume, "k"), None);
        put(&mut volume, Commit::Cached, "k", b"v").expect("the put succeeds");
        assert_eq!(volume.power_off().expect("powered off"), 1);
        let found = volume.read(|txn| Ok(txn.table::<Str, Bytes>("t")?.is_some()));
        assert!(!found.expect("the read succeeds"));
    }
}

#[test]
fn table_can_be_created_after_a_failed_lookup() {
    let folder = Folder::new();
    let mut volume = folder.volume();
    let found = volume.write(Commit::Durable, |txn| {
        let before = txn.find_table::<Str, Bytes>("t")?.is_some();
        txn.table::<Str, Bytes>("t")?;
        Ok((before, txn.find_table::<Str, Bytes>("t")?.is_some()))
    });
    assert_eq!(found.expect("the write succeeds"), (false, true));
    for bad in ["", "a\0b"] {
        let done = volume.write(Commit::Durable, |txn| txn.table::<Str, Bytes>(bad).map(drop));
        assert!(matches!(done, Err(Error::Name(_))), "{done:?}");
    }
}

#[test]
fn full_map_aborts_and_leaves_the_volume_usable() {
    let folder = Folder::new();
    let mut volume = Volume::new(&folder.0, "db", 1 << 18);
    put(&mut volume, Commit::Durable, "small", b"v").expect("the put succeeds");
    let big = vec![7; 1 << 19];
    for commit in [Commit::Durable, Commit::Cached] {
        assert!(matches!(put(&mut volume, commit, "big", &big), Err(Error::Full { .. })));
        // A closure that ignores the error must not commit a transaction that LMDB has marked as failed.
        let swallowed = volume.write(commit, |txn| {
            let table = txn.table::<Str, Bytes>("t")?;
            let _ = table.put(txn, "big", &big);
            Ok(())
        });
        assert!(swallowed.is_err());
    }
    assert_eq!(volume.undurable(), 0);
    assert_eq!(value(&mut volume, "small").as_deref(), Some(&b"v"[..]));
    put(&mut volume, Commit::Durable, "small", b"w").expect("the put succeeds");
    volume.resize(1 << 22).expect("nothing is pinned");
    put(&mut volume, Commit::Durable, "big", &big).expect("there is room now");
}

/// LMDB does not overwrite pages that the pin sees, so each commit takes new ones.
#[test]
fn commits_without_flush_do_not_fill_the_map() {
    let folder = Folder::new();
    let mut volume = Volume::new(&folder.0, "db", 1 << 20);
    let mut kept = 0;
    for round in 0..20_u32 {
        for n in 0..500_u32 {
            let number = round * 500 + n;
            put(&mut volume, Commit::Cached, "k", &number.to_be_bytes()).expect("the put succeeds");
        }
        let last = round * 500 + 499;
        let lost = volume.power_off().expect("powered off") as u32;
        assert!(lost > 0, "in round {round}");
        let found = value(&mut volume, "k")
            .map_or(kept, |found| u32::from_be_bytes(found.try_into().expect("four bytes")));
        // The contents are a prefix of the commits, shorter by the number of lost ones.
        assert_eq!(found, last - lost, "in round {round}");
        kept = found;
    }
}

/// The transaction has more pages than LMDB keeps in memory.
#[test]
fn large_transaction_is_committed_lost_and_aborted_as_a_whole() {
    let folder = Folder::new();
    let mut volume = Volume::new(&folder.0, "db", 1 << 28);
    let fill = |volume: &mut Volume, commit, byte: u8, abort: bool| {
        volume.write(commit, |txn| {
            let table = txn.table::<Bytes, Bytes>("large")?;
            for n in 0..12_000_u32 {
                table.put(txn, &n.to_be_bytes(), &[byte; 3_000])?;
            }
            if abort { Err(Error::user("no")) } else { Ok(()) }
        })
    };
    let holds = |volume: &mut Volume, byte: u8| {
        let all = volume.read(|txn| {
            let table = txn.table::<Bytes, Bytes>("large")?.expect("it was made");
            let mut all = table.len(txn)? == 12_000;
            for entry in table.iter(txn)? {
                all &= entry?.1 == [byte; 3_000];
            }
            Ok(all)
        });
        all.expect("the read succeeds")
    };
    fill(&mut volume, Commit::Durable, 1, false).expect("committed");
    fill(&mut volume, Commit::Cached, 2, true).expect_err("aborted");
    assert!(holds(&mut volume, 1));
    fill(&mut volume, Commit::Cached, 2, false).expect("committed");
    assert!(holds(&mut volume, 2));
    assert_eq!(volume.power_off().expect("powered off"), 1);
    assert!(holds(&mut volume, 1));
}

#[test]
fn panic_in_a_closure_aborts_and_leaves_the_volume_usable() {
    let folder = Folder::new();
    let mut volume = folder.volume();
    put(&mut volume, Commit::Cached, "k", b"v").expect("the put succeeds");
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        volume.write(Commit::Durable, |txn| -> Result<()> {
            txn.table::<Str, Bytes>("t")?.put(txn, "k", b"w")?;
            panic!("in the closure");
        })
    }));
    assert!(panicked.is_err());
    assert_eq!(value(&mut volume, "k").as_deref(), Some(&b"v"[..]));
    assert_eq!(volume.power_off().expect("powered off"), 1);
    assert_eq!(value(&mut volume, "k"), None);
}

/// Number of descriptors and mappings of this process for files in a folder, from /proc.
#[cfg(target_os = "linux")]
fn held(folder: &Path) -> usize {
    let folder = folder.to_str().expect("a plain path");
    let maps = fs::read_to_string("/proc/self/maps").expect("maps");
    let mapped = maps.lines().filter(|line| line.contains(folder)).count();
    let descriptors = fs::read_dir("/proc/self/fd").expect("descriptors");
    let open = descriptors
        .filter_map(|entry| fs::read_link(entry.ok()?.path()).ok())
        .filter(|target| target.to_string_lossy().contains(folder))
        .count();
    mapped + open
}

#[cfg(target_os = "linux")]
#[test]
fn volumes_leave_no_files_behind() {
    let folder = Folder::new();
    for round in 0..200_u32 {
        let mut volume = folder.volume();
        put(&mut volume, Commit::Durable, "k", b"v").expect("the put succeeds");
        put(&mut volume, Commit::Cached, "k", b"w").expect("the put succeeds");
        assert!(held(&folder.0) > 0);
        match round % 3 {
            0 => {
                volume.power_off().expect("powered off");
            }
            1 => volume.close().expect("closed"),
            _ => {}
        }
        volume.wipe().expect("wiped");
        assert_eq!(held(&folder.0), 0, "in round {round}");
        assert!(heed::env_closing_event(folder.0.join("db.mdb")).is_none());
        assert_eq!(fs::read_dir(&folder.0).expect("the folder").count(), 0);
    }
}

#[test]
fn dropping_an_open_volume_closes_it() {
    let folder = Folder::new();
    let mut volume = folder.volume();
    put(&mut volume, Commit::Cached, "k", b"v").expect("the put succeeds");
    drop(volume);
    assert!(heed::env_closing_event(folder.0.join("db.mdb")).is_none());
    assert_eq!(value(&mut folder.volume(), "k").as_deref(), Some(&b"v"[..]));
}
