//! Functions of the C library on mapped memory. A file on a machine's disk is mapped through a
//! memory file of the kernel.

use std::ffi::{c_int, c_long, c_void};
use std::ptr;

use libc::{off_t, size_t};

use crate::interpose::linux::fail;
use crate::interpose::raw_call;
use crate::interpose::system::{Answer, Errno, calls, descriptor_calls, is_simulated};

/// The functions that this module defines.
pub(super) fn defined() -> [*const (); 5] {
    [
        mmap as *const (),
        mmap64 as *const (),
        munmap as *const (),
        mremap as *const (),
        msync as *const (),
    ]
}

/// # Safety
///
/// The caller must meet the requirements of the system call.
unsafe fn forward_mmap(
    address: *mut c_void,
    length: size_t,
    protection: c_int,
    flags: c_int,
    descriptor: c_int,
    offset: off_t,
) -> *mut c_void {
    let arguments = [
        address.expose_provenance() as c_long,
        length as c_long,
        protection.into(),
        flags.into(),
        descriptor.into(),
        offset,
    ];
    // SAFETY: the caller guarantees that the arguments are valid.
    let mapped = unsafe { raw_call::call(libc::SYS_mmap, arguments) };
    ptr::with_exposed_provenance_mut(mapped as usize)
}

/// # Safety
///
/// The caller must meet the requirements of the C function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mmap(
    address: *mut c_void,
    length: size_t,
    protection: c_int,
    flags: c_int,
    descriptor: c_int,
    offset: off_t,
) -> *mut c_void {
    if flags & libc::MAP_ANONYMOUS != 0 || !is_simulated(descriptor) {
        // SAFETY: the caller guarantees that the arguments are valid.
        return unsafe { forward_mmap(address, length, protection, flags, descriptor, offset) };
    }
    let is_shared = flags & libc::MAP_TYPE != libc::MAP_PRIVATE;
    let memory = descriptor_calls().and_then(|calls| calls.map(descriptor, protection, is_shared));
    match memory {
        Ok(Some(memory)) => {
            // SAFETY: guaranteed by the caller; the memory file is as large as the file.
            let mapped =
                unsafe { forward_mmap(address, length, protection, flags, memory, offset) };
            if mapped != libc::MAP_FAILED && is_shared && protection & libc::PROT_WRITE != 0 {
                let noted = descriptor_calls().and_then(|calls| {
                    calls.add_mapping(descriptor, mapped.addr(), length, offset as u64)
                });
                debug_assert_eq!(noted, Ok(()));
            }
            mapped
        }
        // The process has ended: its destructors get memory that is nobody's.
        Ok(None) => {
            let flags = flags & !libc::MAP_TYPE | libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
            // SAFETY: guaranteed by the caller; anonymous memory needs no descriptor.
            unsafe { forward_mmap(address, length, protection, flags, -1, 0) }
        }
        Err(Errno(error)) => {
            fail(error);
            libc::MAP_FAILED
        }
    }
}

/// # Safety
///
/// The caller must meet the requirements of the C function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mmap64(
    address: *mut c_void,
    length: size_t,
    protection: c_int,
    flags: c_int,
    descriptor: c_int,
    offset: off_t,
) -> *mut c_void {
    // SAFETY: the caller guarantees that the arguments are valid.
    unsafe { mmap(address, length, protection, flags, descriptor, offset) }
}

/// Allocators call it where nothing may be allocated or borrowed: it first reads whether there is a mapping of a file.
///
/// # Safety
///
/// The caller must meet the requirements of the C function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn munmap(address: *mut c_void, length: size_t) -> c_int {
    if let Some(calls) = calls().filter(|calls| calls.has_mappings()) {
        calls.remove_mappings(address.addr(), length);
    }
    let arguments = [address.expose_provenance() as c_long, length as c_long, 0, 0, 0, 0];
    // SAFETY: the caller guarantees that the arguments are valid.
    unsafe { raw_call::call(libc::SYS_munmap, arguments) as c_int }
}

/// In C the last argument is given only where the flags ask for it: see [`syscall`](crate::interpose::linux::syscall).
///
/// # Safety
///
/// The caller must meet the requirements of the C function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mremap(
    address: *mut c_void,
    old_length: size_t,
    new_length: size_t,
    flags: c_int,
    to: *mut c_void,
) -> *mut c_void {
    let arguments = [
        address.expose_provenance() as c_long,
        old_length as c_long,
        new_length as c_long,
        flags.into(),
        to.expose_provenance() as c_long,
        0,
    ];
    // SAFETY: the caller guarantees that the arguments are valid.
    let moved = unsafe { raw_call::call(libc::SYS_mremap, arguments) };
    if moved != -1
        && let Some(calls) = calls().filter(|calls| calls.has_mappings())
    {
        calls.move_mapping(address.addr(), moved as usize, new_length);
    }
    ptr::with_exposed_provenance_mut(moved as usize)
}

/// # Safety
///
/// The caller must meet the requirements of the C function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn msync(address: *mut c_void, length: size_t, flags: c_int) -> c_int {
    let synced = calls().filter(|calls| calls.has_mappings() && flags & libc::MS_SYNC != 0);
    let synced: Option<Answer<()>> =
        synced.and_then(|calls| calls.sync_mapping(address.addr(), length));
    if let Some(Err(Errno(error))) = synced {
        return fail(error);
    }
    let arguments =
        [address.expose_provenance() as c_long, length as c_long, flags.into(), 0, 0, 0];
    // SAFETY: the caller guarantees that the arguments are valid.
    unsafe { raw_call::call(libc::SYS_msync, arguments) as c_int }
}
