//! System calls by instruction, in a run and after it.
#![allow(
    clippy::disallowed_methods,
    reason = "the C library's answers are compared with the run's"
)]

use std::ffi::{CStr, c_int, c_long};
use std::fs;
use std::io;
use std::mem::{MaybeUninit, zeroed};
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use crate::engine::failure::verdict::Verdict;
use crate::interpose::linux::{errno, set_errno, to_duration};
use crate::interpose::raw_call::by_instruction;
use crate::interpose::tests::{outcome, pass, refused};
use crate::prelude::*;
use crate::spec::SpecBuilder;
use crate::time::sleep;

/// Makes a system call past the C library.
fn raw<const N: usize>(number: c_long, arguments: [c_long; N]) -> io::Result<c_long> {
    let mut all = [0; 6];
    all[..N].copy_from_slice(&arguments);
    // SAFETY: the tests pass the arguments that each call takes.
    match unsafe { by_instruction(number, all) } {
        -1 => Err(io::Error::last_os_error()),
        result => Ok(result),
    }
}

fn address<T>(value: &T) -> c_long {
    (&raw const *value).expose_provenance() as c_long
}

fn raw_now() -> Duration {
    // SAFETY: zeros are a valid time.
    let mut time: libc::timespec = unsafe { zeroed() };
    let into = (&raw mut time).expose_provenance() as c_long;
    raw(libc::SYS_clock_gettime, [libc::CLOCK_REALTIME.into(), into]).expect("there is the clock");
    to_duration(time)
}

fn raw_random() -> u64 {
    let mut number = 0u64;
    let into = (&raw mut number).expose_provenance() as c_long;
    assert_eq!(raw(libc::SYS_getrandom, [into, 8, 0]).expect("there is randomness"), 8);
    number
}

#[test]
fn raw_clock_and_randomness_are_the_runs() {
    fn numbers(seed: u64) -> [u64; 2] {
        static NUMBERS: Mutex<[u64; 2]> = Mutex::new([0; 2]);
        let outcome = outcome(seed, || {
            SpecBuilder::new().body(async |_| {
                let before = raw_now();
                sleep(40.mins()).await;
                assert_eq!(raw_now() - before, 40.mins());
                *NUMBERS.lock().unwrap() = [raw_random(), raw_random()];
            })
        });
        assert_eq!(outcome.verdict, Verdict::Passed);
        *NUMBERS.lock().unwrap()
    }
    let [first, second] = numbers(3);
    assert_ne!(first, second);
    assert_eq!(numbers(3), [first, second]);
    assert_ne!(numbers(4), [first, second]);
}

#[test]
fn raw_calls_use_the_machines_files() {
    pass(|| {
        SpecBuilder::new().body(async |_| {
            let flags = c_long::from(libc::O_CREAT | libc::O_RDWR);
            let path = address(c"raw.log".to_bytes_with_nul().first().expect("it has a name"));
            let file = raw(libc::SYS_openat, [libc::AT_FDCWD.into(), path, flags, 0o644])?;
            assert_eq!(raw(libc::SYS_write, [file, address(b"raw"), 3])?, 3);
            assert_eq!(fs::read("raw.log")?, b"raw");
            // SAFETY: zeros are a valid status.
            let status: libc::stat = unsafe { zeroed() };
            raw(libc::SYS_fstat, [file, address(&status)])?;
            raw(libc::SYS_close, [file])?;
            let error = raw(libc::SYS_write, [file, address(b"raw"), 3]).expect_err("it is closed");
            assert_eq!(error.raw_os_error(), Some(libc::EBADF));
            Ok::<(), io::Error>(())
        })
    });
    assert!(!fs::exists("raw.log").expect("the folder can be read"), "it is on no real disk");
}

#[test]
fn raw_calls_use_the_machines_sockets_and_name() {
    pass(|| {
        SpecBuilder::new().client("mover").body(async |_| {
            let socket =
                raw(libc::SYS_socket, [libc::AF_INET.into(), libc::SOCK_STREAM.into(), 0])?;
            assert!(crate::interpose::system::is_simulated(socket as c_int));
            raw(libc::SYS_listen, [socket, 5])?;
            raw(libc::SYS_close, [socket])?;
            let name = MaybeUninit::<libc::utsname>::uninit();
            raw(libc::SYS_uname, [address(&name)])?;
            // SAFETY: the call has succeeded, and the name ends with a NUL.
            let name = unsafe { CStr::from_ptr((*name.as_ptr()).nodename.as_ptr()) };
            assert_eq!(name, c"mover");
            Ok::<(), io::Error>(())
        })
    });
}

#[test]
fn raw_calls_of_a_guests_thread_take_virtual_time() {
    pass(|| {
        SpecBuilder::new().body(async |_| {
            let before = raw_now();
            let (done, slept) = futures::channel::oneshot::channel();
            thread::spawn(move || {
                // SAFETY: zeros are a valid time.
                let mut time: libc::timespec = unsafe { zeroed() };
                time.tv_sec = 600;
                raw(libc::SYS_nanosleep, [address(&time), 0]).expect("it sleeps");
                done.send(raw_random()).expect("the body waits for it");
            });
            assert_ne!(slept.await.expect("the thread ends"), 0);
            assert_eq!(raw_now() - before, 10.mins());
        })
    });
}

#[test]
fn raw_call_preserves_errno_and_returns_the_kernels_errors() {
    pass(|| {
        SpecBuilder::new().body(async |_| {
            set_errno(libc::EXDEV);
            // This one is a call of a run, and the next one of the kernel.
            assert!(raw_now() > Duration::ZERO);
            assert!(raw(libc::SYS_getpid, [])? > 0);
            assert_eq!(errno(), libc::EXDEV);
            let error = raw(libc::SYS_close, [0x3fff_ffff]).expect_err("it is not open");
            assert_eq!(error.raw_os_error(), Some(libc::EBADF));
            Ok::<(), io::Error>(())
        })
    });
}

#[test]
fn raw_call_is_answered_where_signals_are_blocked() {
    pass(|| {
        SpecBuilder::new().body(async |_| {
            // SAFETY: the sets are filled before they are used.
            unsafe {
                let (mut all, mut before) = (zeroed(), zeroed());
                libc::sigfillset(&raw mut all);
                libc::pthread_sigmask(libc::SIG_SETMASK, &raw const all, &raw mut before);
                assert!(raw_now() > Duration::ZERO);
                libc::sigprocmask(libc::SIG_BLOCK, &raw const all, std::ptr::null_mut());
                assert!(raw_now() > Duration::ZERO);
                let set = u64::MAX;
                let arguments = [libc::SIG_SETMASK.into(), address(&set), 0, 8];
                raw(libc::SYS_rt_sigprocmask, arguments)?;
                assert!(raw_now() > Duration::ZERO);
                libc::pthread_sigmask(libc::SIG_SETMASK, &raw const before, std::ptr::null_mut());
            }
            Ok::<(), io::Error>(())
        })
    });
}

/// The functions that the kernel maps into each process, and the dynamic linker, make system calls of their own.
#[test]
fn calls_of_the_vdso_and_the_dynamic_linker_are_passed_on() {
    pass(|| {
        SpecBuilder::new().body(async |_| {
            // SAFETY: zeros are a valid time, and the name is a C string.
            let library = unsafe {
                let mut time: libc::timespec = zeroed();
                assert_eq!(libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time), 0);
                libc::dlopen(c"libBrokenLocale.so.1".as_ptr(), libc::RTLD_NOW)
            };
            assert!(!library.is_null(), "the C library has it");
        })
    });
}

#[test]
fn raw_calls_that_start_processes_are_refused() {
    let failure = refused(|| {
        SpecBuilder::new().body(async |_| {
            let error = raw(libc::SYS_fork, []).expect_err("it is refused");
            assert_eq!(error.raw_os_error(), Some(libc::EPERM));
        })
    });
    assert!(failure.message.contains("allow_processes"), "{}", failure.message);
}

/// An allocator maps memory by the C library, whose answer must not be trapped again.
#[test]
fn large_allocation_works_in_a_run() {
    pass(|| {
        SpecBuilder::new().body(async |_| {
            let mut large = vec![0u8; 64 << 20];
            large[(64 << 20) - 1] = 1;
            large.shrink_to(1 << 20);
            assert_eq!(large.iter().filter(|byte| **byte != 0).count(), 1);
        })
    });
}

#[test]
fn unanswered_call_is_named_in_the_report() {
    for (number, name) in [
        (libc::SYS_io_uring_setup, "io_uring_setup"),
        (libc::SYS_timerfd_create, "timerfd_create"),
        (libc::SYS_inotify_init1, "inotify_init"),
    ] {
        let outcome = outcome(0, move || {
            SpecBuilder::new().body(async move |_| {
                raw(number, [0, 0, 0])?;
                Ok::<(), io::Error>(())
            })
        });
        let Verdict::Failed(failure) = outcome.verdict else { panic!("{:?}", outcome.verdict) };
        assert!(failure.message.contains("(os error 38)"), "{}", failure.message);
        let cause = failure.cause.expect("the report names the call");
        assert!(
            cause.starts_with(&format!("{name}: this call is not supported in a run")),
            "{cause}"
        );
    }
}

#[test]
fn raw_calls_reach_the_kernel_after_a_run() {
    pass(|| SpecBuilder::new().body(async |_| {}));
    let (before, start) = (raw_now(), Instant::now());
    while raw_now() == before {
        assert!(start.elapsed() < Duration::from_secs(5), "the real clock runs");
    }
}
