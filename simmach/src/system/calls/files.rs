//! Passes calls on files to `system::files`, which answers them.

use std::ffi::c_int;
use std::io::{IoSlice, IoSliceMut};

use crate::disk::mappings;
use crate::interpose::system::{
    Answer, Errno, FileCalls, FolderEntry, NewTime, PathAt, RangeRequest, Routed, Space, Status,
    SyncCall,
};
use crate::system::calls::Calls;
use crate::system::descriptors::{FileKind, with_file};
use crate::system::files;

impl FileCalls for Calls {
    fn open(&self, at: PathAt<'_>, flags: c_int, mode: u32) -> Answer<Routed<c_int>> {
        files::open(at, flags, mode)
    }

    fn status_at(&self, at: PathAt<'_>, follows: bool) -> Answer<Routed<Status>> {
        files::status_at(at, follows)
    }

    fn status(&self, descriptor: c_int) -> Answer<Status> {
        files::status(descriptor)
    }

    fn read_link(&self, at: PathAt<'_>) -> Answer<Routed<Vec<u8>>> {
        files::read_link(at)
    }

    fn make_link(&self, target: &[u8], at: PathAt<'_>) -> Answer<()> {
        files::make_link(target, at)
    }

    fn make_folder(&self, at: PathAt<'_>, mode: u32) -> Answer<()> {
        files::make_folder(at, mode)
    }

    fn add_name(&self, from: PathAt<'_>, to: PathAt<'_>, follows: bool) -> Answer<()> {
        files::add_name(from, to, follows)
    }

    fn remove(&self, at: PathAt<'_>, is_folder: bool) -> Answer<()> {
        files::remove(at, is_folder)
    }

    fn rename(&self, from: PathAt<'_>, to: PathAt<'_>, must_be_new: bool) -> Answer<()> {
        files::rename(from, to, must_be_new)
    }

    fn set_mode_at(&self, at: PathAt<'_>, mode: u32) -> Answer<()> {
        files::set_mode_at(at, mode)
    }

    fn set_mode(&self, descriptor: c_int, mode: u32) -> Answer<()> {
        files::set_mode(descriptor, mode)
    }

    fn set_times_at(&self, at: PathAt<'_>, times: [NewTime; 2], follows: bool) -> Answer<()> {
        files::set_times_at(at, times, follows)
    }

    fn set_times(&self, descriptor: c_int, times: [NewTime; 2]) -> Answer<()> {
        files::set_times(descriptor, times)
    }

    fn change_folder(&self, at: PathAt<'_>) -> Answer<()> {
        files::change_folder(at)
    }

    fn change_folder_to(&self, descriptor: c_int) -> Answer<()> {
        files::change_folder_to(descriptor)
    }

    fn working_folder(&self) -> Answer<Vec<u8>> {
        files::working_folder()
    }

    fn canonical_path(&self, path: &[u8]) -> Answer<Vec<u8>> {
        files::canonical_path(path)
    }

    fn space(&self, at: PathAt<'_>) -> Answer<Routed<Space>> {
        files::space(at)
    }

    fn space_of(&self, descriptor: c_int) -> Answer<Space> {
        files::space_by_descriptor(descriptor)
    }

    fn read_at(&self, descriptor: c_int, into: &mut [IoSliceMut<'_>], at: u64) -> Answer<usize> {
        files::read_at(descriptor, into, at)
    }

    fn write_at(&self, descriptor: c_int, from: &[IoSlice<'_>], at: u64) -> Answer<usize> {
        files::write_at(descriptor, from, at)
    }

    fn seek(&self, descriptor: c_int, offset: i64, whence: c_int) -> Answer<u64> {
        files::seek(descriptor, offset, whence)
    }

    fn resize(&self, descriptor: c_int, size: u64) -> Answer<()> {
        files::resize(descriptor, size)
    }

    fn allocate(&self, descriptor: c_int, mode: c_int, start: u64, length: u64) -> Answer<()> {
        files::allocate(descriptor, mode, start, length)
    }

    fn sync(&self, descriptor: c_int, call: SyncCall) -> Answer<()> {
        files::sync(descriptor, call)
    }

    fn sync_disk(&self) -> Answer<()> {
        files::sync_disk()
    }

    fn next_entry(&self, descriptor: c_int) -> Answer<Option<FolderEntry>> {
        files::next_entry(descriptor)
    }

    fn check_file(&self, descriptor: c_int) -> Answer<()> {
        with_file(descriptor, |_, file| match file.kind {
            FileKind::Disk(_) => Ok(()),
            _ => Err(Errno(libc::EINVAL)),
        })
    }

    fn status_flags(&self, descriptor: c_int) -> Answer<c_int> {
        with_file(descriptor, |_, file| {
            let nonblocking = if file.is_nonblocking { libc::O_NONBLOCK } else { 0 };
            Ok(match &file.kind {
                FileKind::Disk(open) => open.flags & !libc::O_NONBLOCK | nonblocking,
                _ => libc::O_RDWR | nonblocking,
            })
        })
    }

    fn set_status_flags(&self, descriptor: c_int, flags: c_int) -> Answer<()> {
        with_file(descriptor, |_, file| {
            file.is_nonblocking = flags & libc::O_NONBLOCK != 0;
            if let FileKind::Disk(open) = &mut file.kind {
                let changeable = libc::O_APPEND | libc::O_DIRECT | libc::O_NOATIME;
                open.flags = open.flags & !changeable | flags & changeable;
            }
            Ok(())
        })
    }

    fn lock(&self, descriptor: c_int, operation: c_int) -> Answer<()> {
        files::lock(descriptor, operation)
    }

    fn lock_range(
        &self,
        descriptor: c_int,
        command: c_int,
        request: RangeRequest,
    ) -> Answer<RangeRequest> {
        files::lock_range(descriptor, command, request)
    }

    fn map(&self, descriptor: c_int, protection: c_int, is_shared: bool) -> Answer<Option<c_int>> {
        files::map(descriptor, protection, is_shared)
    }

    fn add_mapping(
        &self,
        descriptor: c_int,
        address: usize,
        length: usize,
        offset: u64,
    ) -> Answer<()> {
        files::add_mapping(descriptor, address, length, offset)
    }

    fn has_mappings(&self) -> bool {
        mappings::has_mappings()
    }

    fn remove_mappings(&self, address: usize, length: usize) {
        mappings::remove(address, length);
    }

    fn move_mapping(&self, from: usize, to: usize, length: usize) {
        mappings::relocate(from, to, length);
    }

    fn sync_mapping(&self, address: usize, length: usize) -> Option<Answer<()>> {
        files::sync_mapping(address, length)
    }

    fn refuse(&self, call: &'static str, errno: c_int) -> Answer<()> {
        files::record_failure(
            errno,
            format!("{call}: simmach does not support this call on simulated files"),
        );
        Err(Errno(errno))
    }
}
