//! Distinguishes disk errors. The program under test must handle errors of simulated disks, while
//! errors of the real disk break the run.

use std::io;
use std::path::Path;

use rustix::io::Errno;
use rustix::process::{Resource, getrlimit};

use crate::engine::{self, Effect, MachineId};
use crate::storage::error::Error;
use crate::storage::size::bytes;
use crate::storage::volume::StillInUse;

/// `EIO`, which LMDB returns for a short write. A write is short if the disk becomes full during
/// it.
const SHORT_WRITE: i32 = 5;

/// Records that a write failed because a simulated disk is full.
pub(super) fn record_disk_full(machine: MachineId, store: &str) {
    engine::record_fault(Effect::DiskFull, Some(machine), || {
        format!("no space for a write to the store {store:?}")
    });
}

/// Sizes of the memory maps of a run's stores, in bytes.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Maps {
    /// The map of the store that failed.
    pub(super) size: usize,
    /// Number of other open stores.
    pub(super) others: usize,
    /// Total size of the maps of the other stores.
    pub(super) total: u128,
}

/// Ends the run as broken because of an error of the real disk or the operating system. The message says what to do.
pub(super) fn break_run(folder: &Path, error: &Error, maps: Maps) {
    engine::break_run(explain(folder, error, maps));
}

fn explain(folder: &Path, error: &Error, maps: Maps) -> String {
    if let Error::Io(error) = error {
        if error.get_ref().is_some_and(|inner| inner.is::<StillInUse>()) {
            return error.to_string();
        }
        if let Some(text) = process_limit(error, maps) {
            return text;
        }
    }
    let folder = folder.display();
    let code = match error {
        Error::Io(error) => error.raw_os_error().and_then(known_errno),
        _ => None,
    };
    let problem = match code {
        _ if is_real_disk_full(error) => "is full: free some space there, or",
        Some(Errno::ACCESS | Errno::PERM) => {
            "is not writable: grant this user write permission, or"
        }
        Some(Errno::ROFS) => "is on a read-only file system:",
        Some(Errno::NOENT) => {
            "was deleted: make sure that nothing cleans up temporary files while tests run, or"
        }
        _ => "is not usable:",
    };
    format!(
        "the folder for the stores of simulated disks, {folder}, {problem} set SIMMACH_DIR to another folder ({error})"
    )
}

/// The message for an error caused by a limit of the process or the machine, where another folder would not help. `None` for
/// other errors.
pub(super) fn process_limit(error: &io::Error, maps: Maps) -> Option<String> {
    let limit = |resource| getrlimit(resource).current;
    match error.raw_os_error().and_then(known_errno)? {
        Errno::NOMEM => {
            let Maps { size, others, total } = maps;
            let (size, sum) = (size as u128, total + size as u128);
            let cause = match limit(Resource::As) {
                Some(limit) => format!(
                    "and `ulimit -v` limits this OS process to {}: raise the limit, or",
                    bytes(limit.into())
                ),
                None if sum > ADDRESSES / 2 => {
                    format!("and the address space of an OS process is {}:", bytes(ADDRESSES))
                }
                None => {
                    "and the real machine is out of memory, or this OS process has too many mappings: free some memory, \
                     raise `vm.max_map_count`, or"
                        .to_owned()
                }
            };
            Some(format!(
                "not enough address space to map a store of {}: with {others} other stores of the run, the total is \
                 {}, {cause} open the stores with a smaller `Options::map_size`, just large enough for their data \
                 ({error})",
                bytes(size),
                bytes(sum),
            ))
        }
        Errno::MFILE => {
            let allowed = limit(Resource::Nofile);
            let allowed = allowed.map(|limit| format!(" of {limit}")).unwrap_or_default();
            Some(format!(
                "too many open files in this OS process: the run has {} open stores with three files each; raise the \
                 limit{allowed} with `ulimit -n`, or open fewer stores ({error})",
                maps.others
            ))
        }
        Errno::NFILE => Some(format!(
            "too many open files on the real machine: close some programs, or raise `fs.file-max` ({error})"
        )),
        Errno::FBIG => Some(format!(
            "a file of a simulated disk exceeds the file size limit of this OS process: raise this limit with `ulimit -f` \
             ({error})"
        )),
        _ => None,
    }
}

/// Size of the address space of a process in bytes, on x86-64 and usually on aarch64.
const ADDRESSES: u128 = 128 << 40;

fn known_errno(code: i32) -> Option<Errno> {
    (code > 0).then(|| Errno::from_raw_os_error(code))
}

/// Returns whether an error means that the real disk is full. Errors of simulated disks never look like this, even if they pass
/// through the user's closure.
pub(super) fn is_real_disk_full(error: &Error) -> bool {
    match error {
        Error::Io(error) => match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                error.raw_os_error().is_some()
            }
            _ => error.raw_os_error() == Some(SHORT_WRITE),
        },
        Error::Full { .. }
        | Error::Closed
        | Error::Foreign
        | Error::Nested
        | Error::Name(_)
        | Error::Options(_)
        | Error::Lmdb(_)
        | Error::User(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Messages name the problem and the remedy, and mention the folder only if another folder helps.
    #[test]
    fn disk_errors_name_the_remedy() {
        let folder = Path::new("/some/where");
        let maps = Maps { size: 4 << 40, others: 31, total: 124 << 40 };
        let text = |errno: Errno| {
            explain(folder, &Error::Io(io::Error::from_raw_os_error(errno.raw_os_error())), maps)
        };
        for (errno, what, cure) in [
            (
                Errno::NOSPC,
                "the folder for the stores of simulated disks, /some/where, is full",
                "SIMMACH_DIR",
            ),
            (Errno::DQUOT, "is full", "SIMMACH_DIR"),
            (Errno::IO, "is full", "SIMMACH_DIR"),
            (
                Errno::ACCESS,
                "the folder for the stores of simulated disks, /some/where, is not writable",
                "permission",
            ),
            (Errno::PERM, "is not writable", "SIMMACH_DIR"),
            (Errno::ROFS, "is on a read-only file system", "SIMMACH_DIR"),
            (Errno::NOENT, "was deleted", "SIMMACH_DIR"),
            (Errno::NODEV, "is not usable", "SIMMACH_DIR"),
            (
                Errno::NOMEM,
                "not enough address space to map a store of 4 TiB: with 31 other stores",
                "map_size",
            ),
            (Errno::NOMEM, "the total is 128 TiB", "map_size"),
            (
                Errno::MFILE,
                "too many open files in this OS process: the run has 31 open stores",
                "ulimit -n",
            ),
            (Errno::NFILE, "too many open files on the real machine", "fs.file-max"),
            (Errno::FBIG, "exceeds the file size limit", "ulimit -f"),
        ] {
            let text = text(errno);
            assert!(text.contains(what) && text.contains(cure), "{errno:?}: {text}");
            let is_process =
                matches!(errno, Errno::NOMEM | Errno::MFILE | Errno::NFILE | Errno::FBIG);
            assert_eq!(is_process, !text.contains("SIMMACH_DIR"), "{errno:?}: {text}");
        }
    }

    /// The folder is not to blame for an environment that stays open.
    #[test]
    fn environment_still_in_use_is_reported_apart() {
        let inner = StillInUse { file: "/some/where/db.mdb".into() };
        let error = Error::Io(io::Error::other(inner));
        let text = explain(Path::new("/some/where"), &error, Maps::default());
        assert!(text.starts_with("the store in /some/where/db.mdb could not be closed"), "{text}");
        assert!(!text.contains("SIMMACH_DIR"), "{text}");
    }
}
