//! What the system answers to the code in a run: the run's time and randomness, for std and for every crate built on it.
//!
//! The feature `sim` defines some functions of the C library in the binary, which go before the system's. On a thread with
//! a run they answer from the run: the clocks of the machine that asks, randomness at (task, nth), the machine's name, one
//! processor. On every other thread they pass the call on, at the cost of a load and a jump.
//!
//! So these are the seed's, in a run: std's `HashMap`, `Instant` and `SystemTime`, `rand` from 0.8, `uuid` v4, `chrono`,
//! and `fastrand`, which is seeded when the run begins.
//!
//! Out of reach, and not the seed's: the default hashers of `ahash`, `foldhash` and `hashbrown` (addresses and statics);
//! `uuid` v7 (a counter of the process); an unbiased `tokio::select!` and `futures::select!` (counters of the process: use
//! [`select!`](crate::select)); `std::thread::ThreadId`; whatever asks the processor or the kernel by an instruction of its
//! own, such as `quanta` (`rdtsc`) and `rustix` built without libc; and files such as `/dev/urandom` and `/proc`. What a
//! process keeps in a static from one run to the next is not the seed's either. CPU time is real, and `getpid` is.
//!
//! A thread can't be started in a run, nor can it sleep in real time: both are refused, and the run fails and says what
//! to use. [`allow_threads`] is the way out. Nor can a process be started, by `std::process::Command` or another way: the
//! call fails with `EPERM`, and [`allow_processes`] is the way out. A wait with a time-out that goes through std or `parking_lot` does not block:
//! nobody could wake it, so that its time passes at once, in virtual time; while a thread that [`allow_threads`] has let
//! through is alive it waits in real time. A wait with a time-out inside a C library may return at once. A wait without a
//! time-out, by std, `parking_lot` or C's `pthread_mutex_lock` and its kin, that no other thread could end (a mutex locked
//! twice) fails the run after a quarter of a second, or later as long as another thread of the process is busy or sleeps.
//!
//! A statically linked glibc (`-C target-feature=+crt-static`) is a compile error: there the C library's own functions
//! could not be found behind these. AddressSanitizer is not supported: it does not see the threads that are started by
//! the `pthread_create` of this module, and aborts the binary when the first of them is detached. Valgrind works.
//!
//! Not modelled: `sleep`, `usleep`, `poll` and their kin of the C library, which block in real time, and `uname`.

#[cfg(all(target_os = "linux", target_env = "gnu", target_feature = "crt-static"))]
compile_error!(
    "simmach's feature `sim` cannot be used with a statically linked glibc: it defines functions of the C library and \
     finds the library's own by `dlsym`. Build the tests without `-C target-feature=+crt-static`; a production build can \
     keep it with `default-features = false, features = [\"real\"]`."
);

mod answers;
#[cfg(all(target_os = "linux", target_env = "gnu", target_pointer_width = "64"))]
mod deadlock;
#[cfg(all(target_os = "linux", target_env = "gnu", target_pointer_width = "64"))]
#[expect(unreachable_pub, reason = "they are exported as symbols of the C library")]
mod locks;
#[cfg(all(target_os = "linux", target_env = "gnu", target_pointer_width = "64"))]
mod other_threads;
#[cfg(all(target_os = "linux", target_env = "gnu", target_pointer_width = "64"))]
#[expect(unreachable_pub, reason = "they are exported as symbols of the C library")]
mod processes;
mod real;
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

/// Lets `f` start threads and sleep, in a run.
///
/// For code that is known not to show: a thread pool that is only waited for, whose results don't depend on who was
/// first. On the threads it starts there is no run: the time there is real.
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

/// Lets `f` start processes, in a run.
///
/// For a program whose result is the same each time and which nothing of the run depends on otherwise: it knows no virtual
/// time, network or disk, and the run stands still while it is waited for.
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

/// Keeps the definitions in the binary: a linker takes from an archive only what something refers to.
pub(crate) fn keep() {
    #[cfg(all(target_os = "linux", target_env = "gnu", target_pointer_width = "64"))]
    std::hint::black_box(linux::defined());
    #[cfg(target_os = "macos")]
    std::hint::black_box(macos::defined());
}
