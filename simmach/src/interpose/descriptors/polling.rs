//! Functions of the C library that wait until descriptors are ready: `poll` and `epoll`.
//!
//! Signals do not interrupt a wait in a run, so signal masks have no effect.

use std::ffi::{c_int, c_long, c_short};
use std::slice;
use std::time::Duration;

use libc::{epoll_event, nfds_t, pollfd, sigset_t, timespec};
use smallvec::SmallVec;

use crate::interpose::descriptors::forward::{ToC, forward, forward_by_number};
use crate::interpose::linux::{fail, to_duration};
use crate::interpose::real::Real;
use crate::interpose::system::{
    Answer, EpollEvent, Errno, PollEntry, calls, creation_calls, descriptor_calls, is_simulated,
};

static POLL: Real<unsafe extern "C" fn(*mut pollfd, nfds_t, c_int) -> c_int> = Real::named(c"poll");
static PPOLL: Real<
    unsafe extern "C" fn(*mut pollfd, nfds_t, *const timespec, *const sigset_t) -> c_int,
> = Real::named(c"ppoll");
static EPOLL_WAIT: Real<unsafe extern "C" fn(c_int, *mut epoll_event, c_int, c_int) -> c_int> =
    Real::named(c"epoll_wait");
static EPOLL_PWAIT: Real<
    unsafe extern "C" fn(c_int, *mut epoll_event, c_int, c_int, *const sigset_t) -> c_int,
> = Real::named(c"epoll_pwait");
/// Exists since glibc 2.35.
static EPOLL_PWAIT2: Real<
    unsafe extern "C" fn(c_int, *mut epoll_event, c_int, *const timespec, *const sigset_t) -> c_int,
> = Real::named(c"epoll_pwait2");

/// The functions that this module defines.
pub(super) fn defined() -> [*const (); 8] {
    [
        poll as *const (),
        ppoll as *const (),
        epoll_create as *const (),
        epoll_create1 as *const (),
        epoll_ctl as *const (),
        epoll_wait as *const (),
        epoll_pwait as *const (),
        epoll_pwait2 as *const (),
    ]
}

/// # Safety
///
/// The caller must meet the requirements of the C function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn poll(entries: *mut pollfd, count: nfds_t, timeout: c_int) -> c_int {
    // SAFETY: the pointer is valid for `count` entries, as guaranteed by the caller.
    match unsafe { simulated_entries(entries, count) } {
        Some(entries) => poll_simulated(entries, from_millis(timeout)).to_c(),
        None => forward!(POLL(entries, count, timeout)),
    }
}

/// # Safety
///
/// The caller must meet the requirements of the C function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ppoll(
    entries: *mut pollfd,
    count: nfds_t,
    timeout: *const timespec,
    mask: *const sigset_t,
) -> c_int {
    // SAFETY: the pointer is valid for `count` entries, as guaranteed by the caller.
    let Some(entries) = (unsafe { simulated_entries(entries, count) }) else {
        return forward!(PPOLL(entries, count, timeout, mask));
    };
    // SAFETY: the timeout pointer is null or valid for reads, as guaranteed by the caller.
    let timeout = unsafe { from_timespec(timeout) };
    timeout.and_then(|timeout| poll_simulated(entries, timeout)).to_c()
}

/// Returns the entries if any of them has a simulated descriptor.
///
/// # Safety
///
/// `entries` must be null or valid for reads and writes of `count` entries.
#[inline]
unsafe fn simulated_entries<'a>(entries: *mut pollfd, count: nfds_t) -> Option<&'a mut [pollfd]> {
    if entries.is_null() {
        return None;
    }
    // SAFETY: the pointer is not null, and the caller guarantees that it is valid.
    let entries = unsafe { slice::from_raw_parts_mut(entries, usize::try_from(count).ok()?) };
    entries.iter().any(|entry| is_simulated(entry.fd)).then_some(entries)
}

fn poll_simulated(entries: &mut [pollfd], timeout: Option<Duration>) -> Answer<c_int> {
    let Some(calls) = calls() else {
        let mut invalid = 0;
        for entry in entries {
            entry.revents = if is_simulated(entry.fd) { libc::POLLNVAL } else { 0 };
            invalid += c_int::from(entry.revents != 0);
        }
        return Ok(invalid);
    };
    let given = entries.iter().map(|entry| PollEntry {
        descriptor: entry.fd,
        events: entry.events,
        returned: 0,
    });
    let mut polled: SmallVec<[PollEntry; 8]> = given.collect();
    let ready = calls.poll(&mut polled, timeout)?;
    for (entry, polled) in entries.iter_mut().zip(polled) {
        entry.revents = polled.returned as c_short;
    }
    Ok(c_int::try_from(ready).unwrap_or(c_int::MAX))
}

/// # Safety
///
/// The caller must meet the requirements of the C function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn epoll_create(size: c_int) -> c_int {
    if size <= 0 {
        return fail(libc::EINVAL);
    }
    // SAFETY: the caller meets the requirements of this call.
    unsafe { epoll_create1(0) }
}

/// # Safety
///
/// The caller must meet the requirements of the C function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn epoll_create1(flags: c_int) -> c_int {
    match creation_calls() {
        Some(_) if flags & !libc::EPOLL_CLOEXEC != 0 => fail(libc::EINVAL),
        Some(calls) => calls.epoll_create().to_c(),
        None => forward_by_number!(SYS_epoll_create1(flags)),
    }
}

/// A real instance cannot watch a simulated descriptor, whose number is too large for the kernel.
///
/// # Safety
///
/// The caller must meet the requirements of the C function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn epoll_ctl(
    epoll: c_int,
    operation: c_int,
    descriptor: c_int,
    event: *mut epoll_event,
) -> c_int {
    if !is_simulated(epoll) {
        return forward_by_number!(SYS_epoll_ctl(epoll, operation, descriptor, event));
    }
    // SAFETY: the event pointer is null or valid for reads, as guaranteed by the caller.
    unsafe { change_interest(epoll, operation, descriptor, event) }.to_c()
}

/// # Safety
///
/// The same as for [`epoll_ctl`].
unsafe fn change_interest(
    epoll: c_int,
    operation: c_int,
    descriptor: c_int,
    event: *mut epoll_event,
) -> Answer<()> {
    let calls = descriptor_calls()?;
    let event = match operation {
        libc::EPOLL_CTL_DEL => None,
        _ if event.is_null() => return Err(Errno(libc::EFAULT)),
        _ => {
            // SAFETY: the event pointer is not null, and valid for reads, as guaranteed by the caller.
            let event = unsafe { event.read_unaligned() };
            Some(EpollEvent { events: event.events, data: event.u64 })
        }
    };
    calls.epoll_control(epoll, operation, descriptor, event)
}

/// # Safety
///
/// The caller must meet the requirements of the C function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn epoll_wait(
    epoll: c_int,
    events: *mut epoll_event,
    most: c_int,
    timeout: c_int,
) -> c_int {
    if !is_simulated(epoll) {
        return forward!(EPOLL_WAIT(epoll, events, most, timeout));
    }
    // SAFETY: the pointer is valid for writes of `most` events, as guaranteed by the caller.
    unsafe { wait(epoll, events, most, from_millis(timeout)) }.to_c()
}

/// # Safety
///
/// The caller must meet the requirements of the C function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn epoll_pwait(
    epoll: c_int,
    events: *mut epoll_event,
    most: c_int,
    timeout: c_int,
    mask: *const sigset_t,
) -> c_int {
    if !is_simulated(epoll) {
        return forward!(EPOLL_PWAIT(epoll, events, most, timeout, mask));
    }
    // SAFETY: the pointer is valid for writes of `most` events, as guaranteed by the caller.
    unsafe { wait(epoll, events, most, from_millis(timeout)) }.to_c()
}

/// # Safety
///
/// The caller must meet the requirements of the C function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn epoll_pwait2(
    epoll: c_int,
    events: *mut epoll_event,
    most: c_int,
    timeout: *const timespec,
    mask: *const sigset_t,
) -> c_int {
    if !is_simulated(epoll) {
        return forward!(EPOLL_PWAIT2(epoll, events, most, timeout, mask));
    }
    // SAFETY: the timeout pointer is null or valid for reads, as guaranteed by the caller.
    let timeout = unsafe { from_timespec(timeout) };
    // SAFETY: the pointer is valid for writes of `most` events, as guaranteed by the caller.
    timeout.and_then(|timeout| unsafe { wait(epoll, events, most, timeout) }).to_c()
}

/// # Safety
///
/// The same as for [`epoll_wait`].
unsafe fn wait(
    epoll: c_int,
    events: *mut epoll_event,
    most: c_int,
    timeout: Option<Duration>,
) -> Answer<c_int> {
    let calls = descriptor_calls()?;
    let most = usize::try_from(most).ok().filter(|most| *most > 0).ok_or(Errno(libc::EINVAL))?;
    if events.is_null() {
        return Err(Errno(libc::EFAULT));
    }
    let mut written = 0;
    calls.epoll_wait(epoll, most, timeout, &mut |event| {
        if written < most {
            let raw = epoll_event { events: event.events, u64: event.data };
            // SAFETY: the pointer is not null, and valid for writes of `most` events, as guaranteed by the caller.
            unsafe { events.add(written).write_unaligned(raw) };
            written += 1;
        }
    })?;
    Ok(written as c_int)
}

/// Converts a timeout in milliseconds. A negative number means that there is no timeout.
fn from_millis(timeout: c_int) -> Option<Duration> {
    u64::try_from(timeout).ok().map(Duration::from_millis)
}

/// Converts a timeout, unless it is null.
///
/// # Safety
///
/// `timeout` must be null or valid for reads.
unsafe fn from_timespec(timeout: *const timespec) -> Answer<Option<Duration>> {
    if timeout.is_null() {
        return Ok(None);
    }
    // SAFETY: the pointer is not null, and the caller guarantees that it is valid.
    let timeout = unsafe { timeout.read() };
    if timeout.tv_sec < 0 || !(0..1_000_000_000).contains(&timeout.tv_nsec) {
        return Err(Errno(libc::EINVAL));
    }
    Ok(Some(to_duration(timeout)))
}
