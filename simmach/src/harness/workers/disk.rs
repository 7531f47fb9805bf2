//! Where the runs' disks are: a folder for each process, on a memory disk where there is one with room.
//!
//! The folder is named after its process and holds a locked file, so that what a killed process left behind can be told
//! from what another one is using, even when that one lives in another container. The same file holds the run that the
//! process is at: read when it has died.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, Once, OnceLock, PoisonError, Weak};

use rustix::fs::{FlockOperation, flock};
use rustix::process::{Pid, test_kill_process};

use crate::run;
use crate::storage::memory_disk;

const PREFIX: &str = "simmach-";
const LOCK: &str = "current";

/// This process's folder; deleted when dropped.
#[derive(Debug)]
pub(crate) struct Folder {
    path: PathBuf,
    lock: File,
}

/// The place of a run among those that a worker was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mark {
    pub(crate) batch: u64,
    pub(crate) index: u64,
}

impl Folder {
    /// This process's folder, for all that make runs in it; deleted with the last of them, since nobody is called when a
    /// test binary ends.
    pub(crate) fn shared(asked: Option<&Path>) -> Result<Arc<Self>, String> {
        static CURRENT: Mutex<Weak<Folder>> = Mutex::new(Weak::new());
        let mut current = CURRENT.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(folder) = current.upgrade() {
            return Ok(folder);
        }
        let folder = Arc::new(Self::for_this_process(asked)?);
        *current = Arc::downgrade(&folder);
        Ok(folder)
    }

    /// Makes this process's folder, under the one that the user named or on a memory disk, and makes it the runs' own.
    fn for_this_process(asked: Option<&Path>) -> Result<Self, String> {
        static LEFTOVERS: Once = Once::new();
        let root = memory_disk::pick(asked).map_err(|error| error.to_string())?;
        LEFTOVERS.call_once(|| remove_leftovers(&root));
        // `run` takes the first folder it is told for good.
        static PATH: OnceLock<PathBuf> = OnceLock::new();
        let folder = match PATH.get() {
            None => Self::create(&root),
            Some(path) => Self::create_again(path),
        };
        let folder = folder.map_err(|error| {
            format!("no folder for the runs' disks in {}: {error}", root.display())
        })?;
        let path = PATH.get_or_init(|| folder.path().to_owned());
        run::set_root(path.clone());
        Ok(folder)
    }

    /// Makes a folder under `root`.
    pub(crate) fn create(root: &Path) -> io::Result<Self> {
        fs::create_dir_all(root)?;
        let pid = std::process::id();
        let mut last = None;
        // Another user's leftover, or another container's process, may have our number.
        for nth in 0..16 {
            let name = match nth {
                0 => format!("{PREFIX}{pid}"),
                _ => format!("{PREFIX}{pid}-{nth}"),
            };
            match Self::create_at(root.join(name)) {
                Ok(folder) => return Ok(folder),
                Err(error) => last = Some(error),
            }
        }
        Err(last.unwrap_or_else(|| io::ErrorKind::AlreadyExists.into()))
    }

    /// The one before it may not be deleted yet by the thread that had it last.
    fn create_again(path: &Path) -> io::Result<Self> {
        let mut created = Self::create_at(path.to_owned());
        for _ in 0..1_000 {
            match &created {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Ok(_) | Err(_) => break,
            }
            #[allow(clippy::disallowed_methods, reason = "another thread takes real time")]
            std::thread::sleep(std::time::Duration::from_millis(1));
            created = Self::create_at(path.to_owned());
        }
        created
    }

    fn create_at(path: PathBuf) -> io::Result<Self> {
        fs::create_dir(&path)?;
        let lock =
            File::options().read(true).write(true).create_new(true).open(path.join(LOCK)).and_then(
                |lock| {
                    flock(&lock, FlockOperation::NonBlockingLockExclusive)?;
                    Ok(lock)
                },
            );
        match lock {
            Ok(lock) => Ok(Self { path, lock }),
            Err(error) => {
                remove(&path);
                Err(error)
            }
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Writes down which run begins: one system call, on a memory disk.
    pub(crate) fn begin(&self, mark: Mark) -> io::Result<()> {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&mark.batch.to_le_bytes());
        bytes[8..].copy_from_slice(&mark.index.to_le_bytes());
        self.lock.write_all_at(&bytes, 0)
    }

    /// Deletes it, and what a run that is still going on puts into it meanwhile.
    pub(crate) fn delete(&self) {
        remove(&self.path);
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        self.delete();
    }
}

/// The run that the process of this folder was at.
pub(crate) fn mark_in(folder: &Path) -> Option<Mark> {
    let bytes = fs::read(folder.join(LOCK)).ok()?;
    let word = |range: std::ops::Range<usize>| {
        Some(u64::from_le_bytes(bytes.get(range)?.try_into().ok()?))
    };
    Some(Mark { batch: word(0..8)?, index: word(8..16)? })
}

/// Deletes a process's folder. What can't be deleted is left: the next start tries again.
pub(crate) fn remove(folder: &Path) {
    // Again while a run is still making its own.
    for _ in 0..10 {
        match fs::remove_dir_all(folder) {
            Ok(()) => return,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return,
            Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
                let _ = fs::remove_file(folder);
            }
            Err(_) => {}
        }
    }
}

/// Deletes the folders of processes that are dead.
fn remove_leftovers(root: &Path) {
    let Ok(entries) = fs::read_dir(root) else {
        return;
    };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let pid = name.to_str().and_then(pid_of);
        if pid.is_some_and(|pid| !is_alive(pid)) && !is_locked(&entry.path()) {
            remove(&entry.path());
        }
    }
}

/// The process that a folder is named after, or a file with which one tried whether there is room.
fn pid_of(name: &str) -> Option<i32> {
    let number = name.strip_prefix(PREFIX)?;
    let number = number.strip_prefix("room-").unwrap_or(number);
    let pid = number.split_once('-').map_or(number, |(pid, _)| pid);
    pid.parse().ok().filter(|pid| *pid > 0)
}

fn is_alive(pid: i32) -> bool {
    // Our own number on a folder that we have not made is that of a dead namesake.
    if u32::try_from(pid) == Ok(std::process::id()) {
        return false;
    }
    match Pid::from_raw(pid).map(test_kill_process) {
        None => false,
        Some(answer) => answer != Err(rustix::io::Errno::SRCH),
    }
}

/// True also when it can't be told: then it is another user's.
fn is_locked(folder: &Path) -> bool {
    match File::options().write(true).open(folder.join(LOCK)) {
        Ok(lock) => flock(&lock, FlockOperation::NonBlockingLockExclusive).is_err(),
        Err(error) => {
            !matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::harness::testing::Scratch;

    #[test]
    fn a_folder_goes_with_its_process_and_remembers_its_run() {
        let root = Scratch::new("folder");
        let folder = Folder::create(root.path()).expect("there is room");
        let path = folder.path().to_owned();
        assert_eq!(mark_in(&path), None);
        let mark = Mark { batch: 3, index: u64::MAX - 1 };
        folder.begin(mark).expect("there is room");
        assert_eq!(mark_in(&path), Some(mark));
        drop(folder);
        assert!(!path.exists());
    }

    #[test]
    fn what_the_dead_left_is_removed_and_nothing_else() {
        let root = Scratch::new("leftovers");
        // No process has so high a number: the kernel's own limit is 2^22.
        let dead = root.path().join("simmach-999999999");
        let locked = root.path().join("simmach-999999998");
        let alive = root.path().join("simmach-1");
        let other = root.path().join("something-999999999");
        for folder in [&dead, &locked, &alive, &other] {
            fs::create_dir(folder).expect("a fresh folder");
            fs::write(folder.join(LOCK), b"").expect("there is room");
        }
        let lock = File::options().write(true).open(locked.join(LOCK)).expect("it was just made");
        flock(&lock, FlockOperation::LockExclusive).expect("nobody else has it");
        let tried = root.path().join("simmach-room-999999999-0");
        fs::write(&tried, b"").expect("there is room");
        let own = Folder::create(root.path()).expect("there is room");
        remove_leftovers(root.path());
        assert!(!dead.exists() && !tried.exists());
        assert!(locked.exists() && alive.exists() && other.exists() && own.path().exists());
    }

    /// Our own number on a stranger's folder must not stop us.
    #[test]
    fn a_namesake_in_use_is_stepped_round() {
        let root = Scratch::new("namesake");
        let first = Folder::create(root.path()).expect("there is room");
        let second = Folder::create(root.path()).expect("another name");
        assert_ne!(first.path(), second.path());
    }

    #[test]
    fn names() {
        assert_eq!(pid_of("simmach-12"), Some(12));
        assert_eq!(pid_of("simmach-12-3"), Some(12));
        assert_eq!(pid_of("simmach-room-12-3"), Some(12));
        for none in ["simmach-", "simmach-x", "simmach--1", "other-12", "simmach-0"] {
            assert_eq!(pid_of(none), None, "{none}");
        }
    }
}
