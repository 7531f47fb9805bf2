//! Where the runs' folders go: memory, where there is a disk of it with room.
//!
//! LMDB's files never need to outlive a run, and on a memory disk a commit is a copy. Whether there is room is tried and
//! not asked: a quota or a container's limit on memory is not in a file system's figures.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use crate::storage::faults::{self, Maps};

/// What must fit for a folder to be taken: a few runs at once of a usual size.
const ROOM: usize = 4 << 20;

/// The folder that the runs' folders should be made in: `wanted` if given, else a memory disk that has room, else the
/// system's folder for temporary files.
///
/// # Errors
///
/// If `wanted`, or all there is, can't be written to or has no room; the error names the folder and the cure.
pub(crate) fn pick(wanted: Option<&Path>) -> io::Result<PathBuf> {
    if let Some(wanted) = wanted {
        return try_out(wanted)
            .map(|()| wanted.to_owned())
            .map_err(|error| useless(wanted, &error, "SIMMACH_DIR must name"));
    }
    let memory = Path::new("/dev/shm");
    if cfg!(target_os = "linux") && try_out(memory).is_ok() {
        return Ok(memory.to_owned());
    }
    let folder = std::env::temp_dir();
    match try_out(&folder) {
        Ok(()) => Ok(folder),
        Err(error) => Err(useless(&folder, &error, "let SIMMACH_DIR name")),
    }
}

/// Writes a file there that has no name any more: killed in the middle, nothing is left behind.
fn try_out(folder: &Path) -> io::Result<()> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let path = folder.join(format!("simmach-room-{}-{number}", std::process::id()));
    let mut file = File::options().write(true).create_new(true).open(&path)?;
    fs::remove_file(&path)?;
    let block = [0; 64 * 1024];
    (0..ROOM / block.len()).try_for_each(|_| file.write_all(&block))
}

fn useless(folder: &Path, error: &io::Error, cure: &str) -> io::Error {
    if let Some(text) = faults::process_limit(error, Maps::default()) {
        return io::Error::new(error.kind(), text);
    }
    let (folder, room) = (folder.display(), ROOM >> 20);
    let text = format!(
        "no place for the simulated disks in {folder}: {error}; {cure} a folder that can be written to and has {room} MiB \
         of room"
    );
    io::Error::new(error.kind(), text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_can_be_written_to_is_taken_and_left_clean() {
        let wanted = pick(None)
            .expect("some folder on this machine")
            .join(format!("simmach-pick-{}", std::process::id()));
        fs::create_dir(&wanted).expect("a folder");
        assert_eq!(pick(Some(&wanted)).expect("it is empty"), wanted);
        assert_eq!(fs::read_dir(&wanted).expect("the folder").count(), 0);
        fs::remove_dir(&wanted).expect("removed");
    }

    #[test]
    fn too_many_open_files_are_no_fault_of_the_folder() {
        let error = io::Error::from_raw_os_error(rustix::io::Errno::MFILE.raw_os_error());
        let text = useless(Path::new("/some/where"), &error, "let SIMMACH_DIR name").to_string();
        assert!(text.contains("ulimit -n") && !text.contains("SIMMACH_DIR"), "{text}");
    }

    #[test]
    fn a_folder_that_is_not_there_is_named_with_the_cure() {
        let error = pick(Some(Path::new("/nowhere/at all"))).expect_err("it does not exist");
        let text = error.to_string();
        assert!(text.contains("/nowhere/at all") && text.contains("SIMMACH_DIR"), "{text}");
    }
}
