//! Mappings of files. The memory belongs to the real kernel. Bytes that the program writes to it
//! reach the simulated file when the file is synced, written, or loses power.

use std::ffi::c_int;

use crate::disk::FileType;
use crate::disk::machines::with_disk;
use crate::disk::mappings::{self, Mapping};
use crate::engine::record::event::FileCall;
use crate::interpose::system::{Answer, Errno};
use crate::system::files::{trace, with_open};

/// Returns the descriptor of the memory that `mmap` must map instead of a file; `None` if the
/// file's process has ended.
pub(in crate::system) fn map(
    descriptor: c_int,
    protection: c_int,
    is_shared: bool,
) -> Answer<Option<c_int>> {
    let mapped = with_open(descriptor, |open, disk| {
        let writes = is_shared && protection & libc::PROT_WRITE != 0;
        if !open.reads() || writes && !open.writes() {
            return Err(Errno(libc::EACCES));
        }
        if disk.files.metadata(open.inode)?.kind != FileType::File {
            return Err(Errno(libc::ENODEV));
        }
        disk.files.map(open.inode, writes)
    });
    match mapped {
        Err(Errno(libc::EINVAL)) => Err(Errno(libc::ENODEV)),
        mapped => mapped,
    }
}

/// Records a mapping for writing.
pub(in crate::system) fn add_mapping(
    descriptor: c_int,
    address: usize,
    length: usize,
    offset: u64,
) -> Answer<()> {
    let mapping = with_open(descriptor, |open, _| {
        let (machine, process, inode) = (open.machine, open.process, open.inode);
        Ok(Mapping { machine, process, inode, offset, length })
    })?;
    match mapping {
        Some(mapping) => mappings::add(address, mapping),
        None => Ok(()),
    }
}

/// `msync`: makes durable what was written to a range of memory. `None` if it does not show a file.
pub(in crate::system) fn sync_mapping(address: usize, length: usize) -> Option<Answer<()>> {
    let (mapping, start) = mappings::find(address)?;
    let synced =
        with_disk(mapping.machine, |disk| disk.sync_range(mapping.inode, start, length as u64));
    Some(trace(FileCall::Sync, mapping.inode.0, start, synced, |()| 0))
}
