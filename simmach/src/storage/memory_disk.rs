//! Chooses the parent folder of the runs' folders: a file system in memory, if there is one with enough space.
//!
//! LMDB's files need not outlive a run, and in memory a commit is only a copy. This module tests
//! for free space by writing a file, because the figures of a file system do not include quotas and
//! the memory limits of containers.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use crate::storage::disk_errors::{self, Maps};

/// Free space in bytes that a folder must have: enough for a few runs at once.
const MIN_SPACE: usize = 4 << 20;

/// Returns the folder in which the runs' folders are created: `wanted` if it is given, otherwise a
/// file system in memory, otherwise the system's folder for temporary files.
///
/// # Errors
///
/// If the folder cannot be written to or has too little space. The error says what to do.
pub(crate) fn choose_folder(wanted: Option<&Path>) -> io::Result<PathBuf> {
    if let Some(wanted) = wanted {
        return try_out(wanted)
            .map(|()| wanted.to_owned())
            .map_err(|error| unusable(wanted, &error));
    }
    let memory = Path::new("/dev/shm");
    if cfg!(target_os = "linux") && try_out(memory).is_ok() {
        return Ok(memory.to_owned());
    }
    let folder = std::env::temp_dir();
    match try_out(&folder) {
        Ok(()) => Ok(folder),
        Err(error) => Err(unusable(&folder, &error)),
    }
}

/// Tests a folder by writing to a file that is already unlinked, so that nothing remains if the process is killed.
fn try_out(folder: &Path) -> io::Result<()> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let path = folder.join(format!("simmach-room-{}-{number}", std::process::id()));
    let mut file = File::options().write(true).create_new(true).open(&path)?;
    fs::remove_file(&path)?;
    #[cfg(target_os = "linux")]
    match rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, MIN_SPACE as u64) {
        // Some file systems cannot reserve space.
        Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS) => {}
        reserved => return Ok(reserved?),
    }
    let block = [0; 4 * 1024];
    (0..MIN_SPACE / block.len()).try_for_each(|_| file.write_all(&block))
}

fn unusable(folder: &Path, error: &io::Error) -> io::Error {
    if let Some(text) = disk_errors::process_limit(error, Maps::default()) {
        return io::Error::new(error.kind(), text);
    }
    let (folder, space) = (folder.display(), MIN_SPACE >> 20);
    let text = format!(
        "cannot create simulated disks in {folder}: {error}; set SIMMACH_DIR to a writable folder with at least {space} MiB of free space"
    );
    io::Error::new(error.kind(), text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writable_folder_is_accepted_and_left_clean() {
        let wanted = choose_folder(None)
            .expect("some folder on this machine")
            .join(format!("simmach-pick-{}", std::process::id()));
        fs::create_dir(&wanted).expect("a folder");
        assert_eq!(choose_folder(Some(&wanted)).expect("it is empty"), wanted);
        assert_eq!(fs::read_dir(&wanted).expect("the folder").count(), 0);
        fs::remove_dir(&wanted).expect("removed");
    }

    #[test]
    fn open_file_limit_is_not_blamed_on_the_folder() {
        let error = io::Error::from_raw_os_error(rustix::io::Errno::MFILE.raw_os_error());
        let text = unusable(Path::new("/some/where"), &error).to_string();
        assert!(text.contains("ulimit -n") && !text.contains("SIMMACH_DIR"), "{text}");
    }

    #[test]
    fn missing_folder_is_named_with_the_remedy() {
        let error =
            choose_folder(Some(Path::new("/nowhere/at all"))).expect_err("it does not exist");
        let text = error.to_string();
        assert!(text.contains("/nowhere/at all") && text.contains("SIMMACH_DIR"), "{text}");
    }
}
