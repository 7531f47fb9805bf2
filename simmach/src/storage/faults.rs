//! Full disks: the simulated one, which is the user's to handle, and the real one, which is not.

use std::io;
use std::path::Path;

use super::error::Error;
use crate::engine::{self, Effect, MachineId};

/// EIO. LMDB says so when a write came to an end early, which a disk does that fills up in the middle of one.
const SHORT_WRITE: i32 = 5;

/// A write found no room on a simulated disk: it took effect, and is counted.
pub(super) fn disk_full(machine: MachineId, store: &str) {
    engine::fault(Effect::DiskFull, Some(machine), || format!("no room for a write in {store:?}"));
}

/// The real disk, or its operating system, failed the storage: the run is none, and ends with the folder and the cure.
pub(super) fn broken(folder: &Path, error: &Error) {
    let folder = folder.display();
    let text = if is_real_disk_full(error) {
        format!(
            "{folder}, where the simulated disks are kept, is full: free some space there, or point SIMMACH_DIR to \
             another folder ({error})"
        )
    } else {
        format!(
            "{folder}, where the simulated disks are kept, can't be used: point SIMMACH_DIR to another folder ({error})"
        )
    };
    engine::infrastructure(text);
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
