//! Memory files (memfds). When a program maps a simulated file, a memory file holds the file's bytes,
//! and the program's mappings share it.

use std::os::fd::{AsRawFd, OwnedFd};

use rustix::fs::{FallocateFlags, MemfdFlags, SeekFrom};
use rustix::io::Errno;

use crate::disk::pages::PAGE;
use crate::engine;

/// A memory file. It has the size of the simulated file, so that a mapping ends where the file
/// ends.
#[derive(Debug)]
pub(super) struct Region {
    file: OwnedFd,
}

impl Region {
    pub(super) fn new() -> Result<Self, Errno> {
        Ok(Self { file: rustix::fs::memfd_create("simmach", MemfdFlags::CLOEXEC)? })
    }

    /// The number of the memory file's real descriptor.
    pub(super) fn descriptor(&self) -> i32 {
        self.file.as_raw_fd()
    }

    pub(super) fn used(&self) -> u64 {
        let status = rustix::fs::fstat(&self.file);
        status.map_or(0, |status| status.st_blocks as u64 * 512 / PAGE as u64)
    }

    pub(super) fn read(&self, start: u64, into: &mut [u8]) {
        let mut filled = 0;
        while filled < into.len() {
            let rest = &mut into[filled..];
            match rustix::io::pread(&self.file, rest, start + filled as u64) {
                Ok(0) | Err(_) => break,
                Ok(count) => filled += count,
            }
        }
        into[filled..].fill(0);
    }

    pub(super) fn write(&mut self, start: u64, from: &[u8]) {
        let mut written = 0;
        while written < from.len() {
            match rustix::io::pwrite(&self.file, &from[written..], start + written as u64) {
                Ok(count) => written += count,
                Err(error) => return break_run(error),
            }
        }
    }

    pub(super) fn set_size(&mut self, size: u64) {
        if let Err(error) = rustix::fs::ftruncate(&self.file, size) {
            break_run(error);
        }
    }

    /// Punches a hole: the range then reads as zeros and uses no memory.
    pub(super) fn clear(&mut self, start: u64, length: u64) {
        let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        if length > 0
            && let Err(error) = rustix::fs::fallocate(&self.file, flags, start, length)
        {
            break_run(error);
        }
    }

    pub(super) fn next_data(&self, start: u64) -> Option<u64> {
        rustix::fs::seek(&self.file, SeekFrom::Data(start)).ok()
    }

    /// The first position from `start` on that is in a hole. The end of the file counts as a hole.
    pub(super) fn next_hole(&self, start: u64) -> u64 {
        rustix::fs::seek(&self.file, SeekFrom::Hole(start)).unwrap_or(start)
    }

    /// The pages that are not holes. Reading a hole through a mapping would fill it.
    pub(super) fn data_pages(&self) -> Vec<usize> {
        let (mut at, mut pages) = (0, Vec::new());
        while let Some(start) = self.next_data(at) {
            at = self.next_hole(start).max(start + 1);
            pages.extend((start / PAGE as u64) as usize..at.div_ceil(PAGE as u64) as usize);
        }
        pages
    }
}

/// Breaks off the run: the host has no memory for a memory file.
fn break_run(error: Errno) {
    engine::break_run(format!(
        "memory for a file that the program has mapped cannot be allocated: {error}. Free some memory, or make the \
         file smaller"
    ));
}
