//! Interposed functions of the C library, which give code in a run the run's time and randomness.
//!
//! With the feature `sim`, the binary defines some functions of the C library, which take precedence over the library's. In
//! a run they return the run's values: the clocks of the calling code's machine, randomness drawn at (task, nth), the
//! machine's host name, one processor. Descriptors, sockets, epoll and name look-ups are answered by the simulated network and
//! its machines. Outside a run the calls are forwarded, at the cost of a load and a jump.
//!
//! Deterministic in a run: std's `HashMap`, `Instant` and `SystemTime`; `rand` from 0.8; `uuid` v4; `chrono`; `fastrand`,
//! `tokio::select!` and `futures::select!`, whose generators are seeded when the run begins (tokio's where a process of the test
//! has a tokio runtime).
//!
//! Not deterministic:
//!
//! - the default hashers of `ahash`, `foldhash` and `hashbrown`, which use addresses and statics;
//! - `uuid` v7, which has a counter of its process; `std::thread::ThreadId`;
//! - code that uses CPU or system call instructions itself, such as `quanta` (`rdtsc`) and `rustix` without libc;
//! - files such as those in `/proc`; `/dev/urandom` and `/dev/random` are drawn from the seed;
//! - statics, which keep their values between runs;
//! - CPU time and `getpid`, which are real.
//!
//! # Threads, processes and blocking
//!
//! Code of a process with a tokio runtime may start threads. Each is a real thread, one of them runs at a time, and its waits
//! take virtual time, also those for locks of the C library. On the run's own thread, where async functions run, a wait for a
//! lock lets the process's other threads run; a call that still would have to wait fails the run.
//!
//! In a native process starting a thread, or sleeping in real time, fails the run, and starting a process does everywhere; the
//! message says what to use instead. Starting a process also fails with `EPERM`. [`allow_threads`] and [`allow_processes`]
//! allow these calls.
//!
//! On the run's own thread a wait with a time-out through std or `parking_lot` does not block: its time passes at once in
//! virtual time. While a thread that was allowed by [`allow_threads`] is alive, the wait is real. A wait with a time-out inside
//! a C library may return at once. A wait without a time-out, through std, `parking_lot` or functions such as
//! `pthread_mutex_lock`, that no other thread can end (a mutex locked twice) fails the run after 250 ms, or later while
//! another thread of the process is busy or sleeps.
//!
//! # Limits
//!
//! A statically linked glibc (`-C target-feature=+crt-static`) is a compile error, since `dlsym` could not find the library's
//! own functions. AddressSanitizer is not supported: it does not see threads started through this module's
//! `pthread_create`, and aborts when the first of them is detached. Valgrind works.
//!
//! Not interposed: `sleep`, `usleep`, `select` and similar functions, which block in real time, and `uname`. `poll` blocks in
//! real time if all its descriptors are real.

#[cfg(all(target_os = "linux", target_env = "gnu", target_feature = "crt-static"))]
compile_error!(
    "simmach's feature `sim` cannot be used with a statically linked glibc: it defines functions of the C library and \
     finds the library's own by `dlsym`. Build the tests without `-C target-feature=+crt-static`; a production build can \
     keep it with `default-features = false, features = [\"real\"]`."
);

mod answers;
#[cfg(all(target_os = "linux", target_env = "gnu", target_pointer_width = "64"))]
pub(crate) mod baton;
#[cfg(all(target_os = "linux", target_env = "gnu", target_pointer_width = "64"))]
mod deadlock;
#[cfg(all(target_os = "linux", target_env = "gnu", target_pointer_width = "64"))]
#[expect(unreachable_pub, reason = "they are exported as symbols of the C library")]
mod descriptors;
#[cfg(all(target_os = "linux", target_env = "gnu", target_pointer_width = "64"))]
#[expect(unreachable_pub, reason = "they are exported as symbols of the C library")]
mod locks;
#[cfg(all(target_os = "linux", target_env = "gnu", target_pointer_width = "64"))]
#[expect(unreachable_pub, reason = "they are exported as symbols of the C library")]
mod name_lookup;
#[cfg(all(target_os = "linux", target_env = "gnu", target_pointer_width = "64"))]
mod other_threads;
#[cfg(all(target_os = "linux", target_env = "gnu", target_pointer_width = "64"))]
#[expect(unreachable_pub, reason = "they are exported as symbols of the C library")]
mod processes;
mod real;
#[cfg(all(target_os = "linux", target_env = "gnu", target_pointer_width = "64"))]
#[expect(unreachable_pub, reason = "they are exported as symbols of the C library")]
mod signals;
#[cfg(all(target_os = "linux", target_env = "gnu", target_pointer_width = "64"))]
pub(crate) mod system;
#[cfg(all(target_os = "linux", target_env = "gnu", target_pointer_width = "64"))]
#[expect(unreachable_pub, reason = "they are exported as symbols of the C library")]
mod threads;
#[cfg(all(
    target_os = "linux",
    target_env = "gnu",
    target_pointer_width = "64",
    any(target_arch = "x86_64", target_arch = "aarch64")
))]
mod variadic;

#[cfg(all(target_os = "linux", target_env = "gnu", target_pointer_width = "64"))]
#[expect(unreachable_pub, reason = "they are exported as symbols of the C library")]
mod linux;
#[cfg(target_os = "macos")]
#[expect(unreachable_pub, reason = "they are exported as symbols of the C library")]
mod macos;

#[cfg(all(test, target_os = "linux"))]
mod process_tests;
#[cfg(all(test, target_os = "linux"))]
mod tests;

use crate::engine::context;

/// Allows `f` to start threads and to sleep in real time inside a run.
///
/// Use it for code whose result does not depend on timing, such as a thread pool that the caller waits for. The threads that
/// `f` starts are outside the run: time there is real. Outside a run this only calls `f`.
///
/// ```
/// let sum = simmach::interpose::allow_threads(|| {
///     std::thread::scope(|threads| threads.spawn(|| 1 + 1).join()).ok()
/// });
/// assert_eq!(sum, Some(2));
/// ```
pub fn allow_threads<R>(f: impl FnOnce() -> R) -> R {
    match context::current() {
        Some(engine) => engine.refusals.allow_threads(f),
        None => f(),
    }
}

/// Allows `f` to start processes inside a run.
///
/// Use it for programs whose result is always the same. They see neither virtual time nor the simulated network and disks,
/// and the run stands still while it waits for them. Outside a run this only calls `f`.
///
/// ```
/// use std::process::Command;
///
/// let status = simmach::interpose::allow_processes(|| Command::new("true").status());
/// assert!(status.is_ok_and(|status| status.success()));
/// ```
pub fn allow_processes<R>(f: impl FnOnce() -> R) -> R {
    match context::current() {
        Some(engine) => engine.refusals.allow_processes(f),
        None => f(),
    }
}

/// Keeps the definitions in the binary: a linker drops objects of an archive that nothing refers to.
pub(crate) fn keep() {
    #[cfg(all(target_os = "linux", target_env = "gnu", target_pointer_width = "64"))]
    std::hint::black_box(linux::defined());
    #[cfg(target_os = "macos")]
    std::hint::black_box(macos::defined());
}
