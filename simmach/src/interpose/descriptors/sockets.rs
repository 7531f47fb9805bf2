//! Functions of the C library that create, connect and configure sockets.

use std::ffi::{c_int, c_long, c_void};
use std::{ptr, slice};

use libc::{sockaddr, socklen_t};

use crate::interpose::descriptors::forward::{ToC, forward, forward_by_number};
use crate::interpose::descriptors::socket_address;
use crate::interpose::linux::fail;
use crate::interpose::real::Real;
use crate::interpose::system::{Answer, Errno, creation_calls, descriptor_calls, is_simulated};

/// Maximum length of an option's value in bytes.
const MAX_OPTION_LENGTH: usize = 512;

static CONNECT: Real<unsafe extern "C" fn(c_int, *const sockaddr, socklen_t) -> c_int> =
    Real::named(c"connect");
static ACCEPT: Real<unsafe extern "C" fn(c_int, *mut sockaddr, *mut socklen_t) -> c_int> =
    Real::named(c"accept");
static ACCEPT4: Real<unsafe extern "C" fn(c_int, *mut sockaddr, *mut socklen_t, c_int) -> c_int> =
    Real::named(c"accept4");

/// The functions that this module defines.
pub(super) fn defined() -> [*const (); 12] {
    [
        socket as *const (),
        socketpair as *const (),
        bind as *const (),
        listen as *const (),
        connect as *const (),
        accept as *const (),
        accept4 as *const (),
        getsockname as *const (),
        getpeername as *const (),
        getsockopt as *const (),
        setsockopt as *const (),
        shutdown as *const (),
    ]
}

/// # Safety
///
/// The caller must meet the requirements of the C function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn socket(domain: c_int, kind: c_int, protocol: c_int) -> c_int {
    match creation_calls() {
        Some(calls) => calls.socket(domain, kind, protocol).to_c(),
        None => forward_by_number!(SYS_socket(domain, kind, protocol)),
    }
}

/// # Safety
///
/// The caller must meet the requirements of the C function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn socketpair(
    domain: c_int,
    kind: c_int,
    protocol: c_int,
    ends: *mut c_int,
) -> c_int {
    let Some(calls) = creation_calls() else {
        return forward_by_number!(SYS_socketpair(domain, kind, protocol, ends));
    };
    if ends.is_null() {
        return fail(libc::EFAULT);
    }
    let pair = calls.socket_pair(domain, kind, protocol);
    // SAFETY: the pointer is not null, and valid for writes of two integers, as guaranteed by the caller.
    pair.map(|pair| unsafe { ends.cast::<[c_int; 2]>().write(pair) }).to_c()
}

/// # Safety
///
/// The caller must meet the requirements of the C function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bind(
    descriptor: c_int,
    address: *const sockaddr,
    length: socklen_t,
) -> c_int {
    if !is_simulated(descriptor) {
        return forward_by_number!(SYS_bind(descriptor, address, length));
    }
    // SAFETY: the address is valid for reads of `length` bytes, as guaranteed by the caller.
    let address = unsafe { socket_address::read(address, length) };
    descriptor_calls().and_then(|calls| calls.bind(descriptor, &address?)).to_c()
}

/// # Safety
///
/// The caller must meet the requirements of the C function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn listen(descriptor: c_int, backlog: c_int) -> c_int {
    if !is_simulated(descriptor) {
        return forward_by_number!(SYS_listen(descriptor, backlog));
    }
    descriptor_calls().and_then(|calls| calls.listen(descriptor, backlog)).to_c()
}

/// # Safety
///
/// The caller must meet the requirements of the C function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn connect(
    descriptor: c_int,
    address: *const sockaddr,
    length: socklen_t,
) -> c_int {
    if !is_simulated(descriptor) {
        return forward!(CONNECT(descriptor, address, length));
    }
    // SAFETY: the address is valid for reads of `length` bytes, as guaranteed by the caller.
    let address = unsafe { socket_address::read(address, length) };
    descriptor_calls().and_then(|calls| calls.connect(descriptor, &address?)).to_c()
}

/// # Safety
///
/// The caller must meet the requirements of the C function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn accept(
    descriptor: c_int,
    address: *mut sockaddr,
    length: *mut socklen_t,
) -> c_int {
    if !is_simulated(descriptor) {
        return forward!(ACCEPT(descriptor, address, length));
    }
    // SAFETY: the caller guarantees that the arguments are valid.
    unsafe { accept_simulated(descriptor, address, length, 0) }.to_c()
}

/// # Safety
///
/// The caller must meet the requirements of the C function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn accept4(
    descriptor: c_int,
    address: *mut sockaddr,
    length: *mut socklen_t,
    flags: c_int,
) -> c_int {
    if !is_simulated(descriptor) {
        return forward!(ACCEPT4(descriptor, address, length, flags));
    }
    // SAFETY: the caller guarantees that the arguments are valid.
    unsafe { accept_simulated(descriptor, address, length, flags) }.to_c()
}

/// # Safety
///
/// The same as for [`accept4`].
unsafe fn accept_simulated(
    descriptor: c_int,
    address: *mut sockaddr,
    length: *mut socklen_t,
    flags: c_int,
) -> Answer<c_int> {
    let calls = descriptor_calls()?;
    if flags & !(libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC) != 0 {
        return Err(Errno(libc::EINVAL));
    }
    // SAFETY: `address` is null or valid for writes of the given length, as guaranteed by the caller.
    unsafe { socket_address::check_room(address, length) }?;
    let (accepted, peer) = calls.accept(descriptor, flags)?;
    // SAFETY: as above.
    unsafe { socket_address::write(Some(&peer), address, length) };
    Ok(accepted)
}

/// # Safety
///
/// The caller must meet the requirements of the C function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn getsockname(
    descriptor: c_int,
    address: *mut sockaddr,
    length: *mut socklen_t,
) -> c_int {
    if !is_simulated(descriptor) {
        return forward_by_number!(SYS_getsockname(descriptor, address, length));
    }
    let local = descriptor_calls().and_then(|calls| calls.local_address(descriptor));
    // SAFETY: the caller guarantees that the arguments are valid.
    local.and_then(|local| unsafe { socket_address::write_checked(&local, address, length) }).to_c()
}

/// # Safety
///
/// The caller must meet the requirements of the C function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn getpeername(
    descriptor: c_int,
    address: *mut sockaddr,
    length: *mut socklen_t,
) -> c_int {
    if !is_simulated(descriptor) {
        return forward_by_number!(SYS_getpeername(descriptor, address, length));
    }
    let peer = descriptor_calls().and_then(|calls| calls.peer_address(descriptor));
    // SAFETY: the caller guarantees that the arguments are valid.
    peer.and_then(|peer| unsafe { socket_address::write_checked(&peer, address, length) }).to_c()
}

/// # Safety
///
/// The caller must meet the requirements of the C function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn getsockopt(
    descriptor: c_int,
    level: c_int,
    name: c_int,
    value: *mut c_void,
    length: *mut socklen_t,
) -> c_int {
    if !is_simulated(descriptor) {
        return forward_by_number!(SYS_getsockopt(descriptor, level, name, value, length));
    }
    // SAFETY: the caller guarantees that the arguments are valid.
    unsafe { read_option(descriptor, level, name, value, length) }.to_c()
}

/// # Safety
///
/// The same as for [`getsockopt`].
unsafe fn read_option(
    descriptor: c_int,
    level: c_int,
    name: c_int,
    value: *mut c_void,
    length: *mut socklen_t,
) -> Answer<()> {
    let calls = descriptor_calls()?;
    if length.is_null() {
        return Err(Errno(libc::EFAULT));
    }
    // SAFETY: `length` is not null, and valid for reads, as guaranteed by the caller.
    let room = unsafe { *length };
    if room > c_int::MAX as socklen_t {
        return Err(Errno(libc::EINVAL));
    }
    if room > 0 && value.is_null() {
        return Err(Errno(libc::EFAULT));
    }
    let mut bytes = [0; MAX_OPTION_LENGTH];
    let room = MAX_OPTION_LENGTH.min(room as usize);
    let written = calls.get_option(descriptor, level, name, &mut bytes[..room])?.min(room);
    // SAFETY: `value` is valid for writes of that many bytes, and `length` for writes, as guaranteed by the caller. Neither
    // is null, unless nothing is written.
    unsafe {
        if written > 0 {
            ptr::copy_nonoverlapping(bytes.as_ptr(), value.cast(), written);
        }
        length.write(written as socklen_t);
    }
    Ok(())
}

/// # Safety
///
/// The caller must meet the requirements of the C function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn setsockopt(
    descriptor: c_int,
    level: c_int,
    name: c_int,
    value: *const c_void,
    length: socklen_t,
) -> c_int {
    if !is_simulated(descriptor) {
        return forward_by_number!(SYS_setsockopt(descriptor, level, name, value, length));
    }
    let value = match (value.is_null(), length) {
        (_, 0) => Ok(&[][..]),
        (true, _) => Err(Errno(libc::EFAULT)),
        (false, length) if length > c_int::MAX as socklen_t => Err(Errno(libc::EINVAL)),
        // SAFETY: `value` is not null, and valid for reads of `length` bytes, as guaranteed by the caller.
        (false, length) => Ok(unsafe { slice::from_raw_parts(value.cast(), length as usize) }),
    };
    descriptor_calls().and_then(|calls| calls.set_option(descriptor, level, name, value?)).to_c()
}

/// # Safety
///
/// The caller must meet the requirements of the C function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shutdown(descriptor: c_int, how: c_int) -> c_int {
    if !is_simulated(descriptor) {
        return forward_by_number!(SYS_shutdown(descriptor, how));
    }
    if !(libc::SHUT_RD..=libc::SHUT_RDWR).contains(&how) {
        return fail(libc::EINVAL);
    }
    descriptor_calls().and_then(|calls| calls.shut_down(descriptor, how)).to_c()
}
