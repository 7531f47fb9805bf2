//! Functions of the C library that send and receive messages: buffers with an address and ancillary data.

use std::ffi::{c_int, c_uint};
use std::{ptr, slice};

use libc::{mmsghdr, msghdr, sockaddr, ssize_t, timespec};

use crate::interpose::descriptors::forward::{ToC, forward};
use crate::interpose::descriptors::{buffers, control, socket_address};
use crate::interpose::real::Real;
use crate::interpose::system::{Answer, Control, Errno, descriptor_calls, is_simulated};

static RECVMSG: Real<unsafe extern "C" fn(c_int, *mut msghdr, c_int) -> ssize_t> =
    Real::named(c"recvmsg");
static RECVMMSG: Real<
    unsafe extern "C" fn(c_int, *mut mmsghdr, c_uint, c_int, *mut timespec) -> c_int,
> = Real::named(c"recvmmsg");
static SENDMSG: Real<unsafe extern "C" fn(c_int, *const msghdr, c_int) -> ssize_t> =
    Real::named(c"sendmsg");
static SENDMMSG: Real<unsafe extern "C" fn(c_int, *mut mmsghdr, c_uint, c_int) -> c_int> =
    Real::named(c"sendmmsg");

/// The functions that this module defines.
pub(super) fn defined() -> [*const (); 4] {
    [recvmsg as *const (), recvmmsg as *const (), sendmsg as *const (), sendmmsg as *const ()]
}

/// # Safety
///
/// The caller must meet the requirements of the C function. In addition, the buffers must not
/// overlap in a run.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn recvmsg(descriptor: c_int, message: *mut msghdr, flags: c_int) -> ssize_t {
    if !is_simulated(descriptor) {
        return forward!(RECVMSG(descriptor, message, flags));
    }
    // SAFETY: the caller guarantees that the arguments are valid.
    unsafe { receive(descriptor, message, flags) }.to_c()
}

/// The timeout has no effect, since Linux checks it only when a datagram has arrived.
///
/// # Safety
///
/// The caller must meet the requirements of the C function. In addition, the buffers of a message
/// must not overlap in a run.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn recvmmsg(
    descriptor: c_int,
    messages: *mut mmsghdr,
    count: c_uint,
    flags: c_int,
    timeout: *mut timespec,
) -> c_int {
    if !is_simulated(descriptor) {
        return forward!(RECVMMSG(descriptor, messages, count, flags, timeout));
    }
    let mut flags = flags;
    let waits_for_one = flags & libc::MSG_WAITFORONE != 0;
    flags &= !libc::MSG_WAITFORONE;
    // SAFETY: the pointer is valid for `count` messages, as guaranteed by the caller.
    let received = unsafe {
        each(messages, count, |message| {
            let received = receive(descriptor, message, flags);
            if waits_for_one {
                flags |= libc::MSG_DONTWAIT;
            }
            received
        })
    };
    received.to_c()
}

/// # Safety
///
/// The caller must meet the requirements of the C function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sendmsg(
    descriptor: c_int,
    message: *const msghdr,
    flags: c_int,
) -> ssize_t {
    if !is_simulated(descriptor) {
        return forward!(SENDMSG(descriptor, message, flags));
    }
    // SAFETY: the caller guarantees that the arguments are valid.
    unsafe { send(descriptor, message, flags) }.to_c()
}

/// # Safety
///
/// The caller must meet the requirements of the C function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sendmmsg(
    descriptor: c_int,
    messages: *mut mmsghdr,
    count: c_uint,
    flags: c_int,
) -> c_int {
    if !is_simulated(descriptor) {
        return forward!(SENDMMSG(descriptor, messages, count, flags));
    }
    // SAFETY: the pointer is valid for `count` messages, as guaranteed by the caller.
    unsafe { each(messages, count, |message| send(descriptor, message, flags)) }.to_c()
}

/// Calls `transfer` with one message after the other until it fails, and returns the number of transferred messages. Fails
/// if the first transfer fails.
///
/// # Safety
///
/// `messages` must be null or valid for reads and writes of `count` entries.
unsafe fn each(
    messages: *mut mmsghdr,
    count: c_uint,
    mut transfer: impl FnMut(*mut msghdr) -> Answer<usize>,
) -> Answer<c_int> {
    let count = count.min(libc::UIO_MAXIOV as c_uint) as usize;
    if messages.is_null() && count > 0 {
        return Err(Errno(libc::EFAULT));
    }
    for nth in 0..count {
        // SAFETY: the entry is in bounds, as guaranteed by the caller, and `messages` is not null.
        let message = unsafe { messages.add(nth) };
        // SAFETY: as above.
        match transfer(unsafe { &raw mut (*message).msg_hdr }) {
            // SAFETY: as above.
            Ok(bytes) => unsafe { (*message).msg_len = bytes as c_uint },
            Err(error) if nth == 0 => return Err(error),
            Err(_) => return Ok(nth as c_int),
        }
    }
    Ok(count as c_int)
}

/// # Safety
///
/// The same as for [`recvmsg`].
unsafe fn receive(descriptor: c_int, message: *mut msghdr, flags: c_int) -> Answer<usize> {
    let calls = descriptor_calls()?;
    if message.is_null() {
        return Err(Errno(libc::EFAULT));
    }
    // SAFETY: the message pointer is not null, and valid for reads, as guaranteed by the caller.
    let message = unsafe { &mut *message };
    let name: *mut sockaddr = message.msg_name.cast();
    let name_length = &raw mut message.msg_namelen;
    // SAFETY: the address of the message is null or valid for writes of the given length, as guaranteed by the caller.
    unsafe { socket_address::check_room(name, name_length) }?;
    // SAFETY: the message's buffers are valid for writes, as guaranteed by the caller, and are not read.
    let mut buffers = unsafe { buffers::targets(message.msg_iov, message.msg_iovlen) }?;
    let received = calls.receive(descriptor, &mut buffers, flags)?;
    // SAFETY: as above.
    unsafe { socket_address::write(received.from.as_ref(), name, name_length) };

    let room = if message.msg_control.is_null() { 0 } else { message.msg_controllen };
    let (raw, is_cut) = control::to_raw(&received.control, received.from.as_ref(), room);
    if !raw.is_empty() {
        // SAFETY: the pointer is not null and valid for writes of `room` bytes, as guaranteed by the caller; `raw` is not
        // longer.
        unsafe { ptr::copy_nonoverlapping(raw.as_ptr(), message.msg_control.cast(), raw.len()) };
    }
    message.msg_controllen = raw.len();
    message.msg_flags = 0;
    if received.is_truncated {
        message.msg_flags |= libc::MSG_TRUNC;
    }
    if is_cut {
        message.msg_flags |= libc::MSG_CTRUNC;
    }
    Ok(received.bytes)
}

/// # Safety
///
/// The same as for [`sendmsg`].
unsafe fn send(descriptor: c_int, message: *const msghdr, flags: c_int) -> Answer<usize> {
    let calls = descriptor_calls()?;
    if message.is_null() {
        return Err(Errno(libc::EFAULT));
    }
    // SAFETY: the message pointer is not null, and valid for reads, as guaranteed by the caller.
    let message = unsafe { &*message };
    // SAFETY: the address of the message is null or valid for reads of that length, as guaranteed by the caller.
    let to =
        unsafe { socket_address::read_optional(message.msg_name.cast(), message.msg_namelen) }?;
    // SAFETY: the message's buffers are valid for reads, as guaranteed by the caller.
    let buffers = unsafe { buffers::sources(message.msg_iov, message.msg_iovlen) }?;
    let control = if message.msg_control.is_null() || message.msg_controllen == 0 {
        Control::default()
    } else {
        // SAFETY: the ancillary data is not null and valid for reads of that length, as guaranteed by the caller.
        control::parse(unsafe {
            slice::from_raw_parts(message.msg_control.cast(), message.msg_controllen)
        })?
    };
    calls.send(descriptor, &buffers, flags, to.as_ref(), control)
}
