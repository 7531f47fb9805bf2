//! Interposed functions of the C library, which give code in a run virtual time and drawn randomness.
//!
//! With the feature `sim`, the binary defines some functions of the C library. These definitions
//! take precedence over those of the library. In a run, they return simulated values: the clocks of
//! the calling code's machine, randomness drawn at (task, nth), the machine's host name, one
//! processor. The simulated network and machines answer calls on descriptors, sockets and epoll
//! instances, and name lookups. Outside a run, the calls are forwarded, at the cost of a load and a
//! jump.
//!
//! These are deterministic in a run: std's `HashMap`, `Instant` and `SystemTime`; `rand` from 0.8
//! on; `uuid` v4; `chrono`; `fastrand`, `tokio::select!` and `futures::select!`. The generators of
//! the last three are seeded when the run begins; that of tokio only if a process of the test has a
//! tokio runtime.
//!
//! These are not deterministic:
//!
//! - the default hashers of `ahash`, `foldhash` and `hashbrown`, which use addresses and statics;
//! - `uuid` v7 and `std::thread::ThreadId`, which come from counters of the process;
//! - code that reads a clock without a system call, such as `quanta` (`rdtsc`);
//! - files, such as those in `/proc` (except `/dev/urandom`, `/dev/random` and
//!   `/proc/sys/kernel/random/uuid`, which are drawn from the seed);
//! - statics, which keep their values between runs;
//! - CPU time and `getpid`, which are real.
//!
//! # Threads, processes and blocking
//!
//! Code of a process with a tokio runtime may start threads. These are real threads, but only one
//! runs at a time. Their waits take virtual time, including waits for locks of the C library. The
//! run's own thread executes async functions. When one of these waits for a lock, the process's
//! other threads run. If the call would still have to wait after that, the run fails.
//!
//! In a native process, starting a thread or sleeping in real time fails the run. Starting a
//! process fails the run in every process, and the call itself fails with `EPERM`. The message says
//! what to use instead. [`allow_threads`] and [`allow_processes`] allow these calls.
//!
//! On the run's own thread, a wait with a timeout through std or `parking_lot` does not block:
//! virtual time advances by the timeout at once. While a thread allowed by [`allow_threads`] is
//! alive, the wait takes real time instead. A wait with a timeout inside a C library may return at
//! once.
//!
//! A wait without a timeout, through std, `parking_lot` or functions such as `pthread_mutex_lock`,
//! fails the run after 250 ms if no other thread can end the wait. An example is a mutex that is
//! locked twice. While another thread of the process is busy or sleeps, the run fails later.
//!
//! # Limits
//!
//! A statically linked glibc (`-C target-feature=+crt-static`) is a compile error, since `dlsym` would not find the
//! library's own functions. AddressSanitizer is not supported: it does not see threads started through this module's
//! `pthread_create`, and aborts when the first of them is detached. Valgrind works.
//!
//! `poll` and `select` block in real time if all their descriptors are real.
//!
//! System calls that bypass the C library, such as those of inline assembly, are trapped on x86-64
//! with Linux 5.11 or newer ("syscall user dispatch"), and handled like calls of the C library's
//! functions. Under Valgrind, on aarch64 and on older kernels, such calls reach the kernel. Debuggers stop at the signal
//! `SIGSYS` by which a call is trapped, unless they are told to ignore it.

#[cfg(all(target_os = "linux", target_env = "gnu", target_feature = "crt-static"))]
compile_error!(
    "simmach's feature `sim` cannot be used with a statically linked glibc: it replaces functions of the C library, and \
     finds the original functions by `dlsym`. Build the tests without `-C target-feature=+crt-static`. A production build can \
     use a static glibc with `default-features = false, features = [\"real\"]`."
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
mod identity;
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
#[cfg(all(target_os = "linux", target_env = "gnu", target_pointer_width = "64"))]
mod raw_call;
mod real;
#[cfg(all(target_os = "linux", target_env = "gnu", target_pointer_width = "64"))]
#[expect(unreachable_pub, reason = "they are exported as symbols of the C library")]
mod signals;
#[cfg(all(target_os = "linux", target_env = "gnu", target_pointer_width = "64"))]
#[expect(unreachable_pub, reason = "they are exported as symbols of the C library")]
mod sleep;
#[cfg(all(target_os = "linux", target_env = "gnu", target_pointer_width = "64"))]
pub(crate) mod system;
#[cfg(all(target_os = "linux", target_env = "gnu", target_pointer_width = "64"))]
#[expect(unreachable_pub, reason = "they are exported as symbols of the C library")]
mod threads;
pub(crate) mod trap;
#[cfg(all(target_os = "linux", target_env = "gnu", target_pointer_width = "64"))]
#[expect(unreachable_pub, reason = "they are exported as symbols of the C library")]
mod unanswered;
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
#[cfg(all(test, target_os = "linux", target_arch = "x86_64"))]
mod trap_tests;

use crate::engine::context;

/// Allows `f` to start threads and to sleep in real time inside a run.
///
/// Use it for code whose result does not depend on timing, such as a thread pool that the caller waits for. The threads that
/// `f` starts are outside the run and see real time. Outside a run, this function only calls `f`.
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
/// and virtual time does not advance while the run waits for them. Outside a run, this function only calls `f`.
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

/// Allows `f` to use the host's files inside a run.
///
/// In a run each machine has a disk of its own, and files of the host are only read. Use this for what must leave the run, such
/// as a report of the test. Descriptors that `f` opens are real ones also after it. Outside a run this only calls `f`.
///
/// ```
/// let folder = std::env::temp_dir();
/// let exists = simmach::interpose::allow_files(|| folder.exists());
/// assert!(exists);
/// ```
pub fn allow_files<R>(f: impl FnOnce() -> R) -> R {
    match context::current() {
        Some(engine) => engine.refusals.allow_files(f),
        None => f(),
    }
}

/// Keeps the definitions in the binary. Without a reference, the linker would drop their object from the archive.
pub(crate) fn keep() {
    #[cfg(all(target_os = "linux", target_env = "gnu", target_pointer_width = "64"))]
    std::hint::black_box(linux::defined());
    #[cfg(target_os = "macos")]
    std::hint::black_box(macos::defined());
}
