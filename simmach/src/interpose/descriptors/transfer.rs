//! Functions of the C library that read and write through a descriptor, except those that take a message.
//!
//! The C library's functions that signal handlers use are looked up before `main`. In a handler,
//! `dlsym` might wait for a lock that the interrupted thread holds.

use std::ffi::{c_int, c_void};

use libc::{iovec, size_t, sockaddr, socklen_t, ssize_t};

use crate::interpose::descriptors::forward::{ToC, forward};
use crate::interpose::descriptors::{buffers, socket_address};
use crate::interpose::real::Real;
use crate::interpose::system::{
    Answer, Control, Received, SocketAddress, SystemCalls, descriptor_calls, is_simulated,
};

type Read = unsafe extern "C" fn(c_int, *mut c_void, size_t) -> ssize_t;
type Write = unsafe extern "C" fn(c_int, *const c_void, size_t) -> ssize_t;
type Vectored = unsafe extern "C" fn(c_int, *const iovec, c_int) -> ssize_t;

static READ: Real<Read> = Real::named(c"read");
static READV: Real<Vectored> = Real::named(c"readv");
static RECV: Real<unsafe extern "C" fn(c_int, *mut c_void, size_t, c_int) -> ssize_t> =
    Real::named(c"recv");
static RECVFROM: Real<
    unsafe extern "C" fn(
        c_int,
        *mut c_void,
        size_t,
        c_int,
        *mut sockaddr,
        *mut socklen_t,
    ) -> ssize_t,
> = Real::named(c"recvfrom");
static WRITE: Real<Write> = Real::named(c"write");
static WRITEV: Real<Vectored> = Real::named(c"writev");
static SEND: Real<unsafe extern "C" fn(c_int, *const c_void, size_t, c_int) -> ssize_t> =
    Real::named(c"send");
static SENDTO: Real<
    unsafe extern "C" fn(
        c_int,
        *const c_void,
        size_t,
        c_int,
        *const sockaddr,
        socklen_t,
    ) -> ssize_t,
> = Real::named(c"sendto");

pub(in crate::interpose) fn find_all() {
    READ.find();
    WRITE.find();
    SEND.find();
}

/// The functions that this module defines.
pub(super) fn defined() -> [*const (); 8] {
    [
        read as *const (),
        readv as *const (),
        recv as *const (),
        recvfrom as *const (),
        write as *const (),
        writev as *const (),
        send as *const (),
        sendto as *const (),
    ]
}

/// # Safety
///
/// The caller must meet the requirements of the C function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn read(descriptor: c_int, buffer: *mut c_void, length: size_t) -> ssize_t {
    if !is_simulated(descriptor) {
        return forward!(READ(descriptor, buffer, length));
    }
    // SAFETY: the pointer is valid for writes of `length` bytes, as guaranteed by the caller; they are not read.
    let buffer = unsafe { buffers::target(buffer, length) };
    descriptor_calls().and_then(|calls| calls.read(descriptor, &mut [buffer?])).to_c()
}

/// # Safety
///
/// The caller must meet the requirements of the C function. In addition, the buffers must not
/// overlap in a run.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn readv(descriptor: c_int, vector: *const iovec, count: c_int) -> ssize_t {
    if !is_simulated(descriptor) {
        return forward!(READV(descriptor, vector, count));
    }
    // SAFETY: the `count` buffers are valid for writes, as guaranteed by the caller; they are not read.
    let buffers =
        buffers::entry_count(count).and_then(|count| unsafe { buffers::targets(vector, count) });
    let read = |calls: &dyn SystemCalls| {
        let mut buffers = buffers?;
        if buffers.iter().all(|buffer| buffer.is_empty()) {
            return transfer_nothing(calls, descriptor);
        }
        calls.read(descriptor, &mut buffers)
    };
    descriptor_calls().and_then(read).to_c()
}

/// Handles a vector whose buffers are empty: Linux then only checks the descriptor.
fn transfer_nothing(calls: &dyn SystemCalls, descriptor: c_int) -> Answer<usize> {
    calls.is_nonblocking(descriptor).map(|_| 0)
}

/// # Safety
///
/// The caller must meet the requirements of the C function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn recv(
    descriptor: c_int,
    buffer: *mut c_void,
    length: size_t,
    flags: c_int,
) -> ssize_t {
    if !is_simulated(descriptor) {
        return forward!(RECV(descriptor, buffer, length, flags));
    }
    // SAFETY: the caller guarantees that the arguments are valid.
    unsafe { receive(descriptor, buffer, length, flags) }.map(|received| received.bytes).to_c()
}

/// # Safety
///
/// The caller must meet the requirements of the C function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn recvfrom(
    descriptor: c_int,
    buffer: *mut c_void,
    length: size_t,
    flags: c_int,
    address: *mut sockaddr,
    address_length: *mut socklen_t,
) -> ssize_t {
    if !is_simulated(descriptor) {
        return forward!(RECVFROM(descriptor, buffer, length, flags, address, address_length));
    }
    // SAFETY: `address` is null or valid for writes of the given length, as guaranteed by the caller.
    if let Err(error) = unsafe { socket_address::check_room(address, address_length) } {
        return Answer::<usize>::Err(error).to_c();
    }
    // SAFETY: the caller guarantees that the arguments are valid.
    let received = unsafe { receive(descriptor, buffer, length, flags) };
    if let Ok(received) = &received {
        // SAFETY: as above.
        unsafe { socket_address::write(received.from.as_ref(), address, address_length) };
    }
    received.map(|received| received.bytes).to_c()
}

/// # Safety
///
/// The same as for [`recv`].
unsafe fn receive(
    descriptor: c_int,
    buffer: *mut c_void,
    length: size_t,
    flags: c_int,
) -> Answer<Received> {
    let calls = descriptor_calls()?;
    // SAFETY: the pointer is valid for writes of `length` bytes, as guaranteed by the caller; they are not read.
    let buffer = unsafe { buffers::target(buffer, length) }?;
    calls.receive(descriptor, &mut [buffer], flags)
}

/// # Safety
///
/// The caller must meet the requirements of the C function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn write(
    descriptor: c_int,
    buffer: *const c_void,
    length: size_t,
) -> ssize_t {
    if !is_simulated(descriptor) {
        return forward!(WRITE(descriptor, buffer, length));
    }
    // SAFETY: the pointer is valid for reads of `length` bytes, as guaranteed by the caller.
    let buffer = unsafe { buffers::source(buffer, length) };
    descriptor_calls().and_then(|calls| calls.write(descriptor, &[buffer?])).to_c()
}

/// # Safety
///
/// The caller must meet the requirements of the C function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn writev(descriptor: c_int, vector: *const iovec, count: c_int) -> ssize_t {
    if !is_simulated(descriptor) {
        return forward!(WRITEV(descriptor, vector, count));
    }
    // SAFETY: the `count` buffers are valid for reads, as guaranteed by the caller.
    let buffers =
        buffers::entry_count(count).and_then(|count| unsafe { buffers::sources(vector, count) });
    let write = |calls: &dyn SystemCalls| {
        let buffers = buffers?;
        if buffers.iter().all(|buffer| buffer.is_empty()) {
            return transfer_nothing(calls, descriptor);
        }
        calls.write(descriptor, &buffers)
    };
    descriptor_calls().and_then(write).to_c()
}

/// # Safety
///
/// The caller must meet the requirements of the C function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn send(
    descriptor: c_int,
    buffer: *const c_void,
    length: size_t,
    flags: c_int,
) -> ssize_t {
    if !is_simulated(descriptor) {
        return forward!(SEND(descriptor, buffer, length, flags));
    }
    // SAFETY: the caller guarantees that the arguments are valid.
    unsafe { transmit(descriptor, buffer, length, flags, Ok(None)) }.to_c()
}

/// # Safety
///
/// The caller must meet the requirements of the C function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sendto(
    descriptor: c_int,
    buffer: *const c_void,
    length: size_t,
    flags: c_int,
    address: *const sockaddr,
    address_length: socklen_t,
) -> ssize_t {
    if !is_simulated(descriptor) {
        return forward!(SENDTO(descriptor, buffer, length, flags, address, address_length));
    }
    // SAFETY: the address of `address_length` bytes pointer is null or valid for reads, as guaranteed by the caller.
    let to = unsafe { socket_address::read_optional(address, address_length) };
    // SAFETY: the caller guarantees that the arguments are valid.
    unsafe { transmit(descriptor, buffer, length, flags, to) }.to_c()
}

/// # Safety
///
/// The same as for [`send`].
unsafe fn transmit(
    descriptor: c_int,
    buffer: *const c_void,
    length: size_t,
    flags: c_int,
    to: Answer<Option<SocketAddress>>,
) -> Answer<usize> {
    let calls = descriptor_calls()?;
    // SAFETY: the pointer is valid for reads of `length` bytes, as guaranteed by the caller.
    let buffer = unsafe { buffers::source(buffer, length) }?;
    calls.send(descriptor, &[buffer], flags, to?.as_ref(), Control::default())
}
