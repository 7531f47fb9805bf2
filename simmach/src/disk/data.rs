//! The data of files: reads, writes, sizes and mappings.

use crate::disk::content::Content;
use crate::disk::file_system::{FileSystem, SyncKind};
use crate::disk::inode::{InodeId, InodeKind};
use crate::disk::journal::NameChange;
use crate::disk::pages::PAGE;
use crate::disk_profile::CrashProfile;
use crate::interpose::system::{Answer, Errno};

/// Maximum size of a file in bytes, as in ext4 with pages of 4096 bytes.
pub(crate) const MAX_SIZE: u64 = (1 << 44) - PAGE as u64;

impl FileSystem {
    /// Reads at `start`. Returns the number of bytes read, which is less than requested if the file
    /// ends.
    #[inline]
    pub(crate) fn read(&self, file: InodeId, start: u64, into: &mut [u8]) -> Answer<usize> {
        Ok(self.content(file)?.read(start, into))
    }

    /// Writes at `start`. Returns the number of bytes written, which is less than requested if the
    /// disk becomes full. Fails with `ENOSPC` if the disk has no room for the first byte.
    pub(crate) fn write(
        &mut self,
        file: InodeId,
        start: u64,
        pieces: &[&[u8]],
        now: i64,
    ) -> Answer<usize> {
        let length: usize = pieces.iter().map(|piece| piece.len()).sum();
        let room = MAX_SIZE.saturating_sub(start);
        if room == 0 && length > 0 {
            return Err(Errno(libc::EFBIG));
        }
        let content = self.content(file)?;
        let free = self.free_pages();
        let length = fitting(content, start, (length as u64).min(room), free) as usize;
        if length == 0 && pieces.iter().any(|piece| !piece.is_empty()) {
            return Err(Errno(libc::ENOSPC));
        }
        self.change(file, now, |content| content.write(start, pieces, length))?;
        Ok(length)
    }

    /// Cuts or extends a file.
    pub(crate) fn resize(&mut self, file: InodeId, size: u64, now: i64) -> Answer<()> {
        if size > MAX_SIZE {
            return Err(Errno(libc::EFBIG));
        }
        self.absorb(file);
        let content = self.content(file)?;
        let (serial, before) = (content.next_serial(), content.size());
        if before != size && self.profile == CrashProfile::Journal {
            self.log(NameChange::Resize { inode: file, serial, sizes: [before, size] });
        }
        self.change(file, now, |content| content.resize(size))
    }

    /// Fills a range with zeros.
    pub(crate) fn clear(&mut self, file: InodeId, start: u64, length: u64, now: i64) -> Answer<()> {
        self.change(file, now, |content| content.clear(start, length))
    }

    /// Records changes made through mappings of a file as writes of whole pages, made now.
    pub(super) fn absorb(&mut self, file: InodeId) {
        if let Some(InodeKind::File(content)) = self.find_mut(file).map(|inode| &mut inode.kind) {
            content.absorb();
        }
    }

    /// Moves a file's bytes to a memory file, which mappings share, and returns its descriptor.
    /// `writes`: whether the new mapping may change the bytes.
    pub(crate) fn map(&mut self, file: InodeId, writes: bool) -> Answer<i32> {
        let InodeKind::File(content) = &mut self.inode_mut(file)?.kind else {
            return Err(Errno(libc::ENODEV));
        };
        content.map(writes).map_err(|error| Errno(error.raw_os_error()))
    }

    /// A mapping for writing is gone.
    pub(crate) fn unmap(&mut self, file: InodeId) {
        if let Some(InodeKind::File(content)) = self.find_mut(file).map(|inode| &mut inode.kind) {
            content.unmap();
        }
    }

    /// Detaches a file from its mappings, whose processes have ended. What is written through them
    /// from now on does not reach the file.
    pub(crate) fn abandon_mappings(&mut self, file: InodeId) {
        if let Some(InodeKind::File(content)) = self.find_mut(file).map(|inode| &mut inode.kind) {
            content.abandon_mappings();
        }
    }

    /// Changes a file's content, and writes it back if too much of it is not durable.
    fn change(&mut self, file: InodeId, now: i64, change: impl FnOnce(&mut Content)) -> Answer<()> {
        let inode = self.inode_mut(file)?;
        let InodeKind::File(content) = &mut inode.kind else { return Err(Errno(libc::EINVAL)) };
        let before = content.pages.used();
        change(content);
        let (after, is_overdue) = (content.pages.used(), content.is_overdue());
        inode.times.modified = now;
        inode.times.changed = now;
        // Writes through mappings may have filled holes, too.
        self.used = (self.used + after).saturating_sub(before);
        if is_overdue {
            self.sync(file, SyncKind::All)?;
        }
        Ok(())
    }
}

/// Number of bytes of a write that fit into `free` pages.
fn fitting(content: &Content, start: u64, length: u64, free: u64) -> u64 {
    let end = start + length;
    let pages = length / PAGE as u64 + 2;
    if pages <= free || content.pages.holes(start, length) <= free {
        return length;
    }
    let (mut at, mut free) = (start, free);
    while at < end {
        let next = (at / PAGE as u64 + 1) * PAGE as u64;
        let holes = content.pages.holes(at, 1);
        if holes > free {
            break;
        }
        free -= holes;
        at = next.min(end);
    }
    at - start
}
