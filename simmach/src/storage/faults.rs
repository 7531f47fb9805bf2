//! Full disks: the simulated one, which is the user's to handle, and the real one, which is not.

use std::io;
use std::path::Path;

use rustix::io::Errno;
use rustix::process::{Resource, getrlimit};

use crate::engine::{self, Effect, MachineId};
use crate::storage::error::Error;

/// EIO. LMDB says so when a write came to an end early, which a disk does that fills up in the middle of one.
const SHORT_WRITE: i32 = 5;

/// A write found no room on a simulated disk: it took effect, and is counted.
pub(super) fn disk_full(machine: MachineId, store: &str) {
    engine::record_fault(Effect::DiskFull, Some(machine), || {
        format!("no room for a write in {store:?}")
    });
}

/// The maps of a run's stores.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Maps {
    /// The size of the one that is looked at.
    pub(super) size: usize,
    /// How many others are open.
    pub(super) others: usize,
    /// The size of these.
    pub(super) total: u128,
}

/// The real disk, or its operating system, failed the storage: the run is none, and ends with the cause and the cure.
pub(super) fn broken(folder: &Path, error: &Error, maps: Maps) {
    engine::break_run(explain(folder, error, maps));
}

fn explain(folder: &Path, error: &Error, maps: Maps) -> String {
    if let Error::Io(error) = error
        && let Some(text) = process_limit(error, maps)
    {
        return text;
    }
    let folder = folder.display();
    let code = match error {
        Error::Io(error) => error.raw_os_error().and_then(known_errno),
        _ => None,
    };
    let problem = match code {
        _ if is_real_disk_full(error) => "is full: free some space there, or",
        Some(Errno::ACCESS | Errno::PERM) => {
            "may not be written to: give this user the permission, or"
        }
        Some(Errno::ROFS) => "is on a read-only file system:",
        Some(Errno::NOENT) => {
            "is gone: keep what cleans up temporary files from deleting it while tests run, or"
        }
        _ => "can't be used:",
    };
    format!(
        "{folder}, where the simulated disks are kept, {problem} point SIMMACH_DIR to another folder ({error})"
    )
}

/// What a limit of the process, or of the machine, is to be said of an error; `None` if it is about the disk. No folder
/// would help.
pub(super) fn process_limit(error: &io::Error, maps: Maps) -> Option<String> {
    let limit = |resource| getrlimit(resource).current;
    match error.raw_os_error().and_then(known_errno)? {
        Errno::NOMEM => {
            let Maps { size, others, total } = maps;
            let (size, sum) = (size as u128, total + size as u128);
            let cause = match limit(Resource::As) {
                Some(limit) => format!(
                    "and `ulimit -v` allows this process {}: lift that limit, or",
                    bytes(limit.into())
                ),
                None if sum > ADDRESSES / 2 => {
                    format!("and a process has addresses for {}:", bytes(ADDRESSES))
                }
                None => {
                    "and the machine is out of memory, or the process of mappings (`vm.max_map_count`): free \
                     some memory, raise that, or"
                        .to_owned()
                }
            };
            Some(format!(
                "no address space is left for the map of a store, of {}: with those of {others} other stores of the run it \
                 would be {}, {cause} open the stores with a smaller `Options::map_size`, which need be no larger than \
                 what they hold ({error})",
                bytes(size),
                bytes(sum),
            ))
        }
        Errno::MFILE => {
            let allowed = limit(Resource::Nofile);
            let allowed = allowed.map(|limit| format!(", which is {limit}")).unwrap_or_default();
            Some(format!(
                "this process has too many open files, with {} stores of the run among them, each of which takes \
                 three: raise the limit{allowed}, with `ulimit -n`, or open fewer stores ({error})",
                maps.others
            ))
        }
        Errno::NFILE => Some(format!(
            "the machine has too many open files: close some programs, or raise the limit `fs.file-max` ({error})"
        )),
        Errno::FBIG => Some(format!(
            "a file of a simulated disk would become larger than this process may make one: raise `ulimit -f` ({error})"
        )),
        _ => None,
    }
}

/// How much a process can map on x86-64 and, as it is usually set up, on aarch64.
const ADDRESSES: u128 = 128 << 40;

fn known_errno(code: i32) -> Option<Errno> {
    (code > 0).then(|| Errno::from_raw_os_error(code))
}

/// A size as people write it.
fn bytes(size: u128) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    let mut unit = 0;
    while unit + 1 < UNITS.len() && size >> (10 * (unit + 2)) > 0 {
        unit += 1;
    }
    let tenths = size * 10 / (1 << (10 * (unit + 1)));
    match tenths % 10 {
        0 => format!("{} {}", tenths / 10, UNITS[unit]),
        tenth => format!("{}.{tenth} {}", tenths / 10, UNITS[unit]),
    }
}

/// True for the operating system's own word for a full disk: no simulated disk says that, not through the user's closure
/// either, where LMDB may come to write.
pub(super) fn is_real_disk_full(error: &Error) -> bool {
    match error {
        Error::Io(error) => match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                error.raw_os_error().is_some()
            }
            _ => error.raw_os_error() == Some(SHORT_WRITE),
        },
        Error::Full
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

    /// Each says what is wrong and what helps, and nothing of a folder where no folder would.
    #[test]
    fn broken_says_what_helps() {
        let folder = Path::new("/some/where");
        let maps = Maps { size: 4 << 40, others: 31, total: 124 << 40 };
        let text = |errno: Errno| {
            explain(folder, &Error::Io(io::Error::from_raw_os_error(errno.raw_os_error())), maps)
        };
        for (errno, what, cure) in [
            (
                Errno::NOSPC,
                "/some/where, where the simulated disks are kept, is full",
                "SIMMACH_DIR",
            ),
            (Errno::DQUOT, "is full", "SIMMACH_DIR"),
            (Errno::IO, "is full", "SIMMACH_DIR"),
            (
                Errno::ACCESS,
                "/some/where, where the simulated disks are kept, may not",
                "permission",
            ),
            (Errno::PERM, "may not be written to", "SIMMACH_DIR"),
            (Errno::ROFS, "is on a read-only file system", "SIMMACH_DIR"),
            (Errno::NOENT, "is gone", "SIMMACH_DIR"),
            (Errno::NODEV, "can't be used", "SIMMACH_DIR"),
            (
                Errno::NOMEM,
                "the map of a store, of 4 TiB: with those of 31 other stores",
                "map_size",
            ),
            (Errno::NOMEM, "it would be 128 TiB", "map_size"),
            (Errno::MFILE, "this process has too many open files, with 31 stores", "ulimit -n"),
            (Errno::NFILE, "the machine has too many open files", "fs.file-max"),
            (Errno::FBIG, "larger than this process may make one", "ulimit -f"),
        ] {
            let text = text(errno);
            assert!(text.contains(what) && text.contains(cure), "{errno:?}: {text}");
            let is_process =
                matches!(errno, Errno::NOMEM | Errno::MFILE | Errno::NFILE | Errno::FBIG);
            assert_eq!(is_process, !text.contains("SIMMACH_DIR"), "{errno:?}: {text}");
        }
    }

    #[test]
    fn sizes_are_written_with_their_unit() {
        for (size, text) in [
            (64 << 10, "64 KiB"),
            (1 << 20, "1 MiB"),
            (3 << 29, "1.5 GiB"),
            (200 << 40, "200 TiB"),
            (1 << 63, "8192 PiB"),
        ] {
            assert_eq!(bytes(size), text);
        }
    }
}
