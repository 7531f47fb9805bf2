//! The interface for the calls on files that a run answers itself.

use std::ffi::{CString, c_int};
use std::io::{IoSlice, IoSliceMut};

use crate::interpose::answers;
use crate::interpose::system::{Answer, SystemCalls, creation_calls};

/// A path, and the folder in which a relative path begins: a descriptor, or `AT_FDCWD`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PathAt<'a> {
    pub(crate) folder: c_int,
    pub(crate) path: &'a [u8],
}

/// The answer to a call on a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Routed<T> {
    /// The machine's disk has answered the call.
    Done(T),
    /// The path leads to this file of the host. The caller reads the file there.
    Host(CString),
}

/// The type of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NodeType {
    File,
    Folder,
    Link,
    Socket,
    Pipe,
    Device,
    Anonymous,
}

/// The result of `stat`. Times are in nanoseconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Status {
    pub(crate) device: u64,
    pub(crate) inode: u64,
    pub(crate) node: NodeType,
    /// Permission bits.
    pub(crate) mode: u32,
    pub(crate) links: u32,
    pub(crate) size: u64,
    /// Blocks of 512 bytes.
    pub(crate) blocks: u64,
    pub(crate) accessed: i64,
    pub(crate) modified: i64,
    pub(crate) changed: i64,
}

/// An entry of a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FolderEntry {
    pub(crate) inode: u64,
    pub(crate) node: NodeType,
    pub(crate) name: Vec<u8>,
    /// The position of the next entry.
    pub(crate) next: u64,
}

/// What a sync writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SyncCall {
    /// `fsync`.
    All,
    /// `fdatasync`.
    Data,
    /// `syncfs` and `sync`.
    FileSystem,
}

/// A time that `utimensat` sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NewTime {
    Unchanged,
    Now,
    /// In nanoseconds since 1970.
    At(i64),
}

/// A lock on a range of bytes, as in `struct flock` of `fcntl`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RangeRequest {
    /// `F_RDLCK`, `F_WRLCK` or `F_UNLCK`.
    pub(crate) kind: c_int,
    pub(crate) whence: c_int,
    pub(crate) start: i64,
    pub(crate) length: i64,
    /// The process that has the lock.
    pub(crate) process: i32,
}

/// The size of a machine's disk, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Space {
    pub(crate) total: u64,
    pub(crate) free: u64,
}

/// The calls on files that a run answers itself. Flags have Linux's values.
pub(crate) trait FileCalls {
    fn open(&self, at: PathAt<'_>, flags: c_int, mode: u32) -> Answer<Routed<c_int>>;
    fn status_at(&self, at: PathAt<'_>, follows: bool) -> Answer<Routed<Status>>;
    fn status(&self, descriptor: c_int) -> Answer<Status>;
    fn read_link(&self, at: PathAt<'_>) -> Answer<Routed<Vec<u8>>>;
    fn make_link(&self, target: &[u8], at: PathAt<'_>) -> Answer<()>;
    fn make_folder(&self, at: PathAt<'_>, mode: u32) -> Answer<()>;
    fn add_name(&self, from: PathAt<'_>, to: PathAt<'_>, follows: bool) -> Answer<()>;
    fn remove(&self, at: PathAt<'_>, is_folder: bool) -> Answer<()>;
    fn rename(&self, from: PathAt<'_>, to: PathAt<'_>, must_be_new: bool) -> Answer<()>;
    fn set_mode_at(&self, at: PathAt<'_>, mode: u32) -> Answer<()>;
    fn set_mode(&self, descriptor: c_int, mode: u32) -> Answer<()>;
    fn set_times_at(&self, at: PathAt<'_>, times: [NewTime; 2], follows: bool) -> Answer<()>;
    fn set_times(&self, descriptor: c_int, times: [NewTime; 2]) -> Answer<()>;
    fn change_folder(&self, at: PathAt<'_>) -> Answer<()>;
    fn change_folder_to(&self, descriptor: c_int) -> Answer<()>;
    fn working_folder(&self) -> Answer<Vec<u8>>;
    fn canonical_path(&self, path: &[u8]) -> Answer<Vec<u8>>;
    fn space(&self, at: PathAt<'_>) -> Answer<Routed<Space>>;
    fn space_of(&self, descriptor: c_int) -> Answer<Space>;

    fn read_at(&self, descriptor: c_int, into: &mut [IoSliceMut<'_>], at: u64) -> Answer<usize>;
    fn write_at(&self, descriptor: c_int, from: &[IoSlice<'_>], at: u64) -> Answer<usize>;
    fn seek(&self, descriptor: c_int, offset: i64, whence: c_int) -> Answer<u64>;
    fn resize(&self, descriptor: c_int, size: u64) -> Answer<()>;
    /// `fallocate`.
    fn allocate(&self, descriptor: c_int, mode: c_int, start: u64, length: u64) -> Answer<()>;
    fn sync(&self, descriptor: c_int, call: SyncCall) -> Answer<()>;
    /// `sync`: everything on the machine's disk.
    fn sync_disk(&self) -> Answer<()>;
    /// Returns the entry at a folder's read position, and advances the position. Returns `None` at
    /// the end.
    fn next_entry(&self, descriptor: c_int) -> Answer<Option<FolderEntry>>;
    /// Fails with `EBADF` if the descriptor is not open, and with `EINVAL` if it is not a file on a
    /// machine's disk.
    fn check_file(&self, descriptor: c_int) -> Answer<()>;
    /// The flags with which a descriptor was opened.
    fn status_flags(&self, descriptor: c_int) -> Answer<c_int>;
    fn set_status_flags(&self, descriptor: c_int, flags: c_int) -> Answer<()>;
    /// `flock`.
    fn lock(&self, descriptor: c_int, operation: c_int) -> Answer<()>;
    /// The commands of `fcntl` on locks. Returns what `F_GETLK` has found.
    fn lock_range(
        &self,
        descriptor: c_int,
        command: c_int,
        request: RangeRequest,
    ) -> Answer<RangeRequest>;
    /// The descriptor of the memory that `mmap` is to map in place of a file; `None` if its process has ended.
    fn map(&self, descriptor: c_int, protection: c_int, is_shared: bool) -> Answer<Option<c_int>>;
    /// Notes a mapping that may be written through.
    fn add_mapping(
        &self,
        descriptor: c_int,
        address: usize,
        length: usize,
        offset: u64,
    ) -> Answer<()>;
    /// Whether there may be mappings that may be written through. Neither allocates nor borrows.
    fn has_mappings(&self) -> bool;
    fn remove_mappings(&self, address: usize, length: usize);
    fn move_mapping(&self, from: usize, to: usize, length: usize);
    /// `msync`; `None` if the memory does not show a file.
    fn sync_mapping(&self, address: usize, length: usize) -> Option<Answer<()>>;
    /// Notes a call that a run does not answer, for the report. Returns its error.
    fn refuse(&self, call: &'static str, errno: c_int) -> Answer<()>;
}

/// Returns what answers calls on paths. `None` outside a run, and inside `allow_threads`,
/// `allow_processes` and `allow_files`, where files are those of the host.
#[inline]
pub(in crate::interpose) fn path_calls() -> Option<&'static dyn SystemCalls> {
    creation_calls().filter(|_| !answers::are_files_allowed())
}
