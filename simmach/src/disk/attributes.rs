//! The parts of a file system other than bytes and names: modes, times, free space and holes.

use crate::disk::file_system::FileSystem;
use crate::disk::inode::InodeId;
use crate::disk::pages::PAGE;
use crate::interpose::system::{Answer, Errno};

impl FileSystem {
    /// Sets the permission bits of an inode.
    pub(crate) fn set_mode(&mut self, id: InodeId, mode: u32, now: i64) -> Answer<()> {
        let inode = self.inode_mut(id)?;
        inode.mode = mode & 0o7777;
        inode.times.changed = now;
        Ok(())
    }

    /// Sets the times of an inode. `None` leaves that time unchanged.
    pub(crate) fn set_times(
        &mut self,
        id: InodeId,
        accessed: Option<i64>,
        modified: Option<i64>,
        now: i64,
    ) -> Answer<()> {
        let times = &mut self.inode_mut(id)?.times;
        times.accessed = accessed.unwrap_or(times.accessed);
        times.modified = modified.unwrap_or(times.modified);
        times.changed = now;
        Ok(())
    }

    /// Returns the number of free pages.
    pub(super) fn free_pages(&self) -> u64 {
        if self.is_full { 0 } else { self.capacity.saturating_sub(self.used) }
    }

    /// Returns the capacity and the free space, in bytes. A disk without a limit has a capacity of
    /// 1 TiB.
    pub(crate) fn space(&self) -> (u64, u64) {
        let pages = self.capacity.min((1 << 40) / PAGE as u64);
        let free = self.free_pages().min(pages.saturating_sub(self.used));
        (pages * PAGE as u64, free * PAGE as u64)
    }

    /// Returns `ENOSPC` if there is not enough free space for a range of a file.
    pub(crate) fn check_room(&self, file: InodeId, start: u64, length: u64) -> Answer<()> {
        let holes = self.content(file)?.pages.holes(start, length);
        match holes <= self.free_pages() {
            true => Ok(()),
            false => Err(Errno(libc::ENOSPC)),
        }
    }

    /// The first position from `start` on that is not in a hole.
    pub(crate) fn next_data(&self, file: InodeId, start: u64) -> Answer<u64> {
        let content = self.content(file)?;
        let found = content.pages.next_data(start).filter(|found| *found < content.size());
        found.ok_or(Errno(libc::ENXIO))
    }

    /// The first position from `start` on that is in a hole. The end of the file is one.
    pub(crate) fn next_hole(&self, file: InodeId, start: u64) -> Answer<u64> {
        let content = self.content(file)?;
        Ok(content.pages.next_hole(start).min(content.size()))
    }
}
