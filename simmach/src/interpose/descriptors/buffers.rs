//! Converts the caller's buffers to the slices that the calls of a run take.

use std::ffi::{c_int, c_void};
use std::io::{IoSlice, IoSliceMut};
use std::slice;

use libc::{iovec, size_t};
use smallvec::SmallVec;

use crate::interpose::system::{Answer, Errno};

/// Maximum number of bytes that one call transfers, as in Linux.
const MAX_TRANSFER: usize = 0x7fff_f000;

/// Buffers that a call reads.
pub(super) type Sources<'a> = SmallVec<[IoSlice<'a>; 8]>;
/// Buffers that a call fills.
pub(super) type Targets<'a> = SmallVec<[IoSliceMut<'a>; 8]>;

/// # Safety
///
/// `buffer` must be null or valid for reads of `length` bytes, which must not change while the result is used.
pub(super) unsafe fn source<'a>(buffer: *const c_void, length: size_t) -> Answer<IoSlice<'a>> {
    match usable(buffer, length)? {
        0 => Ok(IoSlice::new(&[])),
        // SAFETY: `buffer` is not null, and the caller guarantees that it is valid.
        length => Ok(IoSlice::new(unsafe { slice::from_raw_parts(buffer.cast(), length) })),
    }
}

/// # Safety
///
/// `buffer` must be null or valid for writes of `length` bytes, which nothing else may access while
/// the result is used. The caller must not read uninitialized bytes.
pub(super) unsafe fn target<'a>(buffer: *mut c_void, length: size_t) -> Answer<IoSliceMut<'a>> {
    match usable(buffer, length)? {
        0 => Ok(IoSliceMut::new(&mut [])),
        // SAFETY: `buffer` is not null, and the caller guarantees that it is valid.
        length => Ok(IoSliceMut::new(unsafe { slice::from_raw_parts_mut(buffer.cast(), length) })),
    }
}

/// # Safety
///
/// `vector` must be null or valid for reads of `count` entries. Each entry must satisfy the requirements of [`source`].
pub(super) unsafe fn sources<'a>(vector: *const iovec, count: size_t) -> Answer<Sources<'a>> {
    let mut rest = MAX_TRANSFER;
    // SAFETY: the caller meets the requirements of this call.
    let entries = unsafe { entries(vector, count) }?;
    let buffers = entries.iter().map(|entry| {
        let length = entry.iov_len.min(rest);
        rest -= length;
        // SAFETY: the caller guarantees that the entry is valid. The length is at most that of the
        // entry.
        unsafe { source(entry.iov_base, length) }
    });
    buffers.collect()
}

/// # Safety
///
/// `vector` must be null or valid for reads of `count` entries. Each entry must satisfy the requirements of [`target`].
pub(super) unsafe fn targets<'a>(vector: *const iovec, count: size_t) -> Answer<Targets<'a>> {
    let mut rest = MAX_TRANSFER;
    // SAFETY: the caller meets the requirements of this call.
    let entries = unsafe { entries(vector, count) }?;
    let buffers = entries.iter().map(|entry| {
        let length = entry.iov_len.min(rest);
        rest -= length;
        // SAFETY: the caller guarantees that the entry is valid. The length is at most that of the
        // entry.
        unsafe { target(entry.iov_base, length) }
    });
    buffers.collect()
}

/// Returns the number of entries passed to `readv` or `writev`.
pub(super) fn entry_count(count: c_int) -> Answer<size_t> {
    size_t::try_from(count).map_err(|_| Errno(libc::EINVAL))
}

/// Returns the maximum length to transfer.
fn usable(buffer: *const c_void, length: size_t) -> Answer<usize> {
    if buffer.is_null() && length > 0 {
        return Err(Errno(libc::EFAULT));
    }
    Ok(length.min(MAX_TRANSFER))
}

/// # Safety
///
/// `vector` must be null or valid for reads of `count` entries.
unsafe fn entries<'a>(vector: *const iovec, count: size_t) -> Answer<&'a [iovec]> {
    if count > libc::UIO_MAXIOV as size_t {
        return Err(Errno(libc::EINVAL));
    }
    if count == 0 {
        return Ok(&[]);
    }
    if vector.is_null() {
        return Err(Errno(libc::EFAULT));
    }
    // SAFETY: guaranteed by the caller; `vector` is not null.
    let entries = unsafe { slice::from_raw_parts(vector, count) };
    let mut total: usize = 0;
    for entry in entries {
        total = match total.checked_add(entry.iov_len) {
            Some(total) if total <= isize::MAX as usize => total,
            _ => return Err(Errno(libc::EINVAL)),
        };
    }
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use std::ptr;

    use super::*;

    fn entry(buffer: *mut u8, length: usize) -> iovec {
        iovec { iov_base: buffer.cast(), iov_len: length }
    }

    #[test]
    fn buffers_are_the_callers() {
        let mut bytes = *b"abcdef";
        let start = bytes.as_mut_ptr();
        // SAFETY: the offsets are within the array.
        let vector =
            unsafe { [entry(start, 2), entry(ptr::null_mut(), 0), entry(start.add(2), 4)] };
        // SAFETY: the entries are parts of the array.
        let read = unsafe { sources(vector.as_ptr(), 3) }.expect("they are valid");
        assert_eq!(read.iter().map(|part| part.to_vec()).collect::<Vec<_>>().concat(), b"abcdef");
        drop(read);
        // SAFETY: the entries are parts of the array, which do not overlap.
        let mut filled = unsafe { targets(vector.as_ptr(), 3) }.expect("they are valid");
        filled[2][3] = b'x';
        drop(filled);
        assert_eq!(&bytes, b"abcdex");
    }

    #[test]
    fn wrong_buffers_are_errors_of_linux() {
        let too_long = [entry(ptr::dangling_mut(), usize::MAX / 2), entry(ptr::dangling_mut(), 9)];
        // SAFETY: no buffer is read or written.
        unsafe {
            assert_eq!(source(ptr::null(), 1).err(), Some(Errno(libc::EFAULT)));
            assert_eq!(target(ptr::null_mut(), 0).expect("it is empty").len(), 0);
            assert_eq!(sources(ptr::null(), 1).err(), Some(Errno(libc::EFAULT)));
            assert_eq!(sources(ptr::null(), 0).expect("it is empty").len(), 0);
            assert_eq!(sources(ptr::null(), 1025).err(), Some(Errno(libc::EINVAL)));
            assert_eq!(targets(too_long.as_ptr(), 2).err(), Some(Errno(libc::EINVAL)));
            let null = entry(ptr::null_mut(), 1);
            assert_eq!(sources(&raw const null, 1).err(), Some(Errno(libc::EFAULT)));
        }
        assert_eq!(entry_count(-1), Err(Errno(libc::EINVAL)));
    }
}
