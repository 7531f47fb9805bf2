//! Folders for the disks of runs. Each process has one, on a memory disk if there is one with
//! enough space.
//!
//! The folder is named after its process and contains a locked file. The lock distinguishes
//! leftovers of killed processes from folders in use, even by processes in other containers. The
//! locked file also names the current run of the process; the parent reads this after the process
//! has died.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, Once, OnceLock, PoisonError, Weak};

use rustix::fs::{FlockOperation, flock};
use rustix::process::{Pid, test_kill_process};

use crate::harness::config::DIR;
use crate::run;
use crate::storage::memory_disk;

const PREFIX: &str = "simmach-";
const LOCK: &str = "current";

/// The folder of this process, which is deleted on drop.
#[derive(Debug)]
pub(crate) struct Folder {
    path: PathBuf,
    lock: File,
}

/// Why this process has no folder for the disks of its runs.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FolderError {
    /// No parent folder can be used. The error names the folder and says what to do.
    #[error(transparent)]
    Unusable(io::Error),
    /// The process's folder cannot be created in its parent.
    #[error(
        "cannot create a folder for the disks of runs in {}: {error}; set {DIR} to another writable folder",
        root.display()
    )]
    NotCreated { root: PathBuf, error: io::Error },
}

/// Identifies a run among those assigned to a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct JobId {
    pub(crate) batch: u64,
    pub(crate) index: u64,
}

impl Folder {
    /// Returns the folder of this process, shared by everything that executes runs in it. Dropping the last reference
    /// deletes the folder, since a test binary has no hook at its end.
    pub(crate) fn shared(requested: Option<&Path>) -> Result<Arc<Self>, FolderError> {
        static CURRENT: Mutex<Weak<Folder>> = Mutex::new(Weak::new());
        let mut current = CURRENT.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(folder) = current.upgrade() {
            return Ok(folder);
        }
        let folder = Arc::new(Self::for_this_process(requested)?);
        *current = Arc::downgrade(&folder);
        Ok(folder)
    }

    /// Creates the folder, under `requested` or on a memory disk, and sets it as the root of runs.
    fn for_this_process(requested: Option<&Path>) -> Result<Self, FolderError> {
        static LEFTOVERS: Once = Once::new();
        let root = memory_disk::choose_folder(requested).map_err(FolderError::Unusable)?;
        LEFTOVERS.call_once(|| remove_leftovers(&root));
        // `run::set_root` can only be called once.
        static PATH: OnceLock<PathBuf> = OnceLock::new();
        let folder = match PATH.get() {
            None => Self::create(&root),
            Some(path) => Self::create_again(path),
        };
        let folder = folder.map_err(|error| FolderError::NotCreated { root, error })?;
        let path = PATH.get_or_init(|| folder.path().to_owned());
        run::set_root(path.clone());
        Ok(folder)
    }

    /// Creates a folder for this process under `root`.
    pub(crate) fn create(root: &Path) -> io::Result<Self> {
        fs::create_dir_all(root)?;
        let pid = std::process::id();
        let mut last = None;
        // Another user's leftover, or a process of another container, may have the same id.
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

    /// Creates a folder at the same path again, and waits until another thread has deleted the previous one.
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

    /// Records which run begins, with one system call.
    pub(crate) fn record_run(&self, job_id: JobId) -> io::Result<()> {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&job_id.batch.to_le_bytes());
        bytes[8..].copy_from_slice(&job_id.index.to_le_bytes());
        self.lock.write_all_at(&bytes, 0)
    }

    /// Deletes the folder, even if a run is still writing to it.
    pub(crate) fn delete(&self) {
        remove(&self.path);
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        self.delete();
    }
}

/// The run that the folder's process recorded last.
pub(crate) fn recorded_run(folder: &Path) -> Option<JobId> {
    let bytes = fs::read(folder.join(LOCK)).ok()?;
    let word = |range: std::ops::Range<usize>| {
        Some(u64::from_le_bytes(bytes.get(range)?.try_into().ok()?))
    };
    Some(JobId { batch: word(0..8)?, index: word(8..16)? })
}

/// Deletes a process's folder. If that fails, the next process to start tries again.
pub(crate) fn remove(folder: &Path) {
    // Repeated, since a run may still be creating files.
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

/// Deletes the folders of dead processes.
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

/// Process id in the name of a folder, or of a file that was written to check for free space.
fn pid_of(name: &str) -> Option<i32> {
    let number = name.strip_prefix(PREFIX)?;
    let number = number.strip_prefix("room-").unwrap_or(number);
    let pid = number.split_once('-').map_or(number, |(pid, _)| pid);
    pid.parse().ok().filter(|pid| *pid > 0)
}

fn is_alive(pid: i32) -> bool {
    // This process has not created a folder yet. A folder with its id therefore belongs to a dead process.
    if u32::try_from(pid) == Ok(std::process::id()) {
        return false;
    }
    match Pid::from_raw(pid).map(test_kill_process) {
        None => false,
        Some(answer) => answer != Err(rustix::io::Errno::SRCH),
    }
}

/// Whether the folder's lock is held. Also true if it cannot be opened, since it then belongs to another user.
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
    fn folder_is_deleted_on_drop_and_records_its_run() {
        let root = Scratch::new("folder");
        let folder = Folder::create(root.path()).expect("the temporary folder is writable");
        let path = folder.path().to_owned();
        assert_eq!(recorded_run(&path), None);
        let job_id = JobId { batch: 3, index: u64::MAX - 1 };
        folder.record_run(job_id).expect("the temporary folder is writable");
        assert_eq!(recorded_run(&path), Some(job_id));
        drop(folder);
        assert!(!path.exists());
    }

    #[test]
    fn leftovers_of_dead_processes_are_removed() {
        let root = Scratch::new("leftovers");
        // No process has so high a number: the kernel's own limit is 2^22.
        let dead = root.path().join("simmach-999999999");
        let locked = root.path().join("simmach-999999998");
        let alive = root.path().join("simmach-1");
        let other = root.path().join("something-999999999");
        for folder in [&dead, &locked, &alive, &other] {
            fs::create_dir(folder).expect("the folder is new");
            fs::write(folder.join(LOCK), b"").expect("the temporary folder is writable");
        }
        let lock =
            File::options().write(true).open(locked.join(LOCK)).expect("it was created above");
        flock(&lock, FlockOperation::LockExclusive).expect("the file is not locked");
        let tried = root.path().join("simmach-room-999999999-0");
        fs::write(&tried, b"").expect("the temporary folder is writable");
        let own = Folder::create(root.path()).expect("the temporary folder is writable");
        remove_leftovers(root.path());
        assert!(!dead.exists() && !tried.exists());
        assert!(locked.exists() && alive.exists() && other.exists() && own.path().exists());
    }

    /// Another folder with this process's id is no obstacle.
    #[test]
    fn folder_name_in_use_is_avoided() {
        let root = Scratch::new("namesake");
        let first = Folder::create(root.path()).expect("the temporary folder is writable");
        let second = Folder::create(root.path()).expect("another name is free");
        assert_ne!(first.path(), second.path());
    }

    #[test]
    fn process_ids_in_names() {
        assert_eq!(pid_of("simmach-12"), Some(12));
        assert_eq!(pid_of("simmach-12-3"), Some(12));
        assert_eq!(pid_of("simmach-room-12-3"), Some(12));
        for none in ["simmach-", "simmach-x", "simmach--1", "other-12", "simmach-0"] {
            assert_eq!(pid_of(none), None, "{none}");
        }
    }
}
