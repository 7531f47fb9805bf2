//! Tests that a run refuses to start processes, by any function, unless they are allowed.

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::{io, ptr};

use crate::engine::failure::verdict::Failure;
use crate::interpose::tests::{pass, refused};
use crate::prelude::*;
use crate::spec::SpecBuilder;
use crate::time::sleep;

/// Runs `starts` in a task of a machine, and checks that the call is refused with an error.
#[track_caller]
fn refused_with_eperm(starts: fn() -> io::Result<()>) -> Failure {
    let failure = refused(move || {
        let service = move || async move {
            sleep(1.secs()).await;
            let task = crate::task::spawn(async move {
                let error = starts().expect_err("it started");
                assert_eq!(error.raw_os_error(), Some(libc::EPERM), "{error}");
            });
            task.await.expect("no panic");
        };
        SpecBuilder::new()
            .identical_hardware()
            .machine("api", service)
            .body(async |_| sleep(1.mins()).await)
    });
    assert!(failure.message.contains("allow_processes"), "{}", failure.message);
    assert_eq!((failure.machine.as_deref(), failure.at), (Some("api"), 1_000_000_000));
    assert!(failure.task.as_ref().is_some_and(|task| task.contains("process_tests.rs")));
    failure
}

fn touch() -> Command {
    // The command leaves nothing behind if it runs.
    let mut command = Command::new("true");
    command.env("PATH", "/usr/bin:/bin");
    command
}

/// A command for which std calls `fork`, because of a closure that the child must call.
fn touch_by_fork() -> Command {
    let mut command = touch();
    // SAFETY: it does nothing.
    unsafe { command.pre_exec(|| Ok(())) };
    command
}

#[test]
fn command_is_refused_by_each_of_its_methods() {
    refused_with_eperm(|| touch().spawn().map(drop));
    refused_with_eperm(|| touch().output().map(drop));
    refused_with_eperm(|| touch().status().map(drop));
    refused_with_eperm(|| Err(Command::new("/missing/program").exec()));
    refused_with_eperm(|| Command::new("/bin/true").arg("-").status().map(drop));
}

/// With these std forks.
#[test]
fn command_that_forks_is_refused() {
    refused_with_eperm(|| touch_by_fork().status().map(drop));
    refused_with_eperm(|| touch().uid(0).status().map(drop));
    refused_with_eperm(|| touch().current_dir("/").status().map(drop));
}

/// An error as the C library returns it: -1 and `errno`.
fn answered(result: i64) -> io::Result<()> {
    if result == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// `posix_spawn` and similar functions return their error.
fn returned(error: c_int) -> io::Result<()> {
    if error == 0 { Ok(()) } else { Err(io::Error::from_raw_os_error(error)) }
}

/// A program that does not exist: if the call were not refused it would fail with another error.
const MISSING: &CStr = c"/missing/program";

fn missing_and_its_arguments() -> (&'static CStr, [*mut c_char; 2]) {
    (MISSING, [MISSING.as_ptr().cast_mut(), ptr::null_mut()])
}

fn true_and_its_arguments() -> (CString, [*mut c_char; 2]) {
    let path = c"/bin/true";
    (path.to_owned(), [path.as_ptr().cast_mut(), ptr::null_mut()])
}

extern "C" fn child(_: *mut c_void) -> c_int {
    0
}

#[test]
fn forks_of_the_c_library_are_refused() {
    // SAFETY: none of them starts anything: a child would be a copy of this process.
    unsafe {
        refused_with_eperm(|| answered(libc::fork().into()));
        #[allow(deprecated, reason = "it is refused too")]
        refused_with_eperm(|| answered(libc::vfork().into()));
        refused_with_eperm(|| answered(super::processes::_Fork().into()));
        refused_with_eperm(|| answered(libc::daemon(1, 1).into()));
        refused_with_eperm(|| {
            let mut master = 0;
            let pid = libc::forkpty(&raw mut master, ptr::null_mut(), ptr::null(), ptr::null());
            answered(pid.into())
        });
        refused_with_eperm(|| {
            let mut stack = vec![0u8; 64 << 10];
            let top = stack.as_mut_ptr_range().end.cast();
            answered(libc::clone(child, top, libc::SIGCHLD, ptr::null_mut()).into())
        });
    }
}

#[test]
fn spawns_and_shells_of_the_c_library_are_refused() {
    // SAFETY: C strings, and lists of them that end with a null.
    unsafe {
        refused_with_eperm(|| {
            let (path, arguments) = true_and_its_arguments();
            let (mut pid, argv) = (0, arguments.as_ptr());
            returned(libc::posix_spawn(
                &raw mut pid,
                path.as_ptr(),
                ptr::null(),
                ptr::null(),
                argv,
                argv,
            ))
        });
        refused_with_eperm(|| {
            let (path, arguments) = true_and_its_arguments();
            let (mut pid, argv) = (0, arguments.as_ptr());
            returned(libc::posix_spawnp(
                &raw mut pid,
                path.as_ptr(),
                ptr::null(),
                ptr::null(),
                argv,
                argv,
            ))
        });
        refused_with_eperm(|| answered(libc::system(c"true".as_ptr()).into()));
        refused_with_eperm(|| match libc::popen(c"true".as_ptr(), c"r".as_ptr()) {
            file if file.is_null() => Err(io::Error::last_os_error()),
            _ => Ok(()),
        });
    }
}

#[test]
fn other_programs_in_this_process_are_refused() {
    // SAFETY: as above; and none of them comes so far.
    unsafe {
        refused_with_eperm(|| {
            let (path, arguments) = missing_and_its_arguments();
            let argv = arguments.as_ptr().cast();
            answered(libc::execve(path.as_ptr(), argv, argv).into())
        });
        refused_with_eperm(|| {
            let (path, arguments) = missing_and_its_arguments();
            answered(libc::execv(path.as_ptr(), arguments.as_ptr().cast()).into())
        });
        refused_with_eperm(|| {
            let (path, arguments) = missing_and_its_arguments();
            answered(libc::execvp(path.as_ptr(), arguments.as_ptr().cast()).into())
        });
        refused_with_eperm(|| {
            let (_, arguments) = missing_and_its_arguments();
            let argv = arguments.as_ptr().cast();
            answered(libc::fexecve(0, argv, argv).into())
        });
        refused_with_eperm(|| {
            let (path, arguments) = missing_and_its_arguments();
            let argv = arguments.as_ptr().cast();
            let execveat = super::processes::execveat;
            answered(execveat(libc::AT_FDCWD, path.as_ptr(), argv, argv, 0).into())
        });
        refused_with_eperm(|| {
            let (path, arguments) = missing_and_its_arguments();
            let argv = arguments.as_ptr().cast();
            answered(libc::execvpe(path.as_ptr(), argv, argv).into())
        });
    }
}

#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
#[test]
fn execl_functions_are_refused() {
    // SAFETY: C strings, a null behind the last, and for `execle` a list of them behind that.
    unsafe {
        refused_with_eperm(|| {
            let path = MISSING.as_ptr();
            answered(libc::execl(path, path, ptr::null::<c_char>()).into())
        });
        refused_with_eperm(|| {
            let path = MISSING.as_ptr();
            answered(libc::execlp(path, path, ptr::null::<c_char>()).into())
        });
        refused_with_eperm(|| {
            let (path, environment) = (MISSING.as_ptr(), [ptr::null::<c_char>()]);
            let end = ptr::null::<c_char>();
            answered(libc::execle(path, path, end, environment.as_ptr()).into())
        });
        // With more arguments than there are registers for.
        refused_with_eperm(|| {
            let (path, a) = (MISSING.as_ptr(), c"a".as_ptr());
            let end = ptr::null::<c_char>();
            answered(libc::execl(path, path, a, a, a, a, a, a, a, a, a, a, end).into())
        });
    }
}

/// Outside a run the program gets its arguments, both from registers and from the stack.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
#[test]
fn execl_functions_forward_their_arguments() {
    let end = ptr::null::<c_char>();
    let (shell, dash_c) = (c"/bin/sh".as_ptr(), c"-c".as_ptr());
    let counts =
        c"test \"$0$1$2$3$4$5$6$7$8\" = 012345678 && test -z \"$GIVEN\" && exit $#".as_ptr();
    let given = c"test \"$GIVEN\" = yes && test \"$5\" = 5 && exit $#".as_ptr();
    let digits = [c"0", c"1", c"2", c"3", c"4", c"5", c"6", c"7", c"8"].map(|digit| digit.as_ptr());
    let [a, b, c, d, e, f, g, h, i] = digits;
    let environment = [c"GIVEN=yes".as_ptr(), end];
    // SAFETY: as above; the child does nothing else.
    unsafe {
        let status = status_of_child(|| {
            libc::execl(shell, shell, dash_c, counts, a, b, c, d, e, f, g, h, i, end);
        });
        assert_eq!(status, 8, "execl");
        let status = status_of_child(|| {
            libc::execlp(c"sh".as_ptr(), shell, dash_c, counts, a, b, c, d, e, f, g, h, i, end);
        });
        assert_eq!(status, 8, "execlp");
        let status = status_of_child(|| {
            let environment = environment.as_ptr();
            libc::execle(shell, shell, dash_c, given, a, b, c, d, e, f, end, environment);
        });
        assert_eq!(status, 5, "execle");
    }
}

/// Returns the exit status of a child that calls `f` first.
///
/// # Safety
///
/// `f` must only do what is allowed in a forked child of a multi-threaded process.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
unsafe fn status_of_child(f: impl FnOnce()) -> c_int {
    // SAFETY: the caller meets the requirements of this call, and a child may call `_exit`.
    unsafe {
        let child = libc::fork();
        if child == 0 {
            f();
            libc::_exit(100);
        }
        let mut status = 0;
        assert_eq!(libc::waitpid(child, &raw mut status, 0), child);
        assert!(libc::WIFEXITED(status), "{status}");
        libc::WEXITSTATUS(status)
    }
}

#[test]
fn system_calls_by_number_are_refused() {
    // SAFETY: none of them starts anything.
    unsafe {
        #[cfg(target_arch = "x86_64")]
        refused_with_eperm(|| answered(libc::syscall(libc::SYS_fork)));
        refused_with_eperm(|| {
            answered(libc::syscall(libc::SYS_clone, libc::SIGCHLD, 0usize, 0usize, 0usize, 0usize))
        });
        refused_with_eperm(|| {
            let mut arguments = [0u64; 11];
            arguments[4] = libc::SIGCHLD as u64;
            answered(libc::syscall(libc::SYS_clone3, &raw const arguments, size_of_val(&arguments)))
        });
        refused_with_eperm(|| {
            let (path, arguments) = missing_and_its_arguments();
            let argv = arguments.as_ptr();
            answered(libc::syscall(libc::SYS_execve, path.as_ptr(), argv, argv))
        });
        refused_with_eperm(|| {
            let (path, arguments) = missing_and_its_arguments();
            let (argv, folder) = (arguments.as_ptr(), libc::AT_FDCWD);
            answered(libc::syscall(libc::SYS_execveat, folder, path.as_ptr(), argv, argv, 0))
        });
        #[cfg(target_arch = "x86_64")]
        refused_with_eperm(|| answered(libc::syscall(libc::SYS_vfork)));
    }
}

#[test]
fn command_in_a_destructor_is_refused() {
    struct Starts;
    impl Drop for Starts {
        fn drop(&mut self) {
            assert!(touch().status().is_err());
        }
    }
    // Of a task that ends, of one that is killed, and of one that is left at the end of the run.
    refused(|| SpecBuilder::new().body(async |_| drop(Starts)));
    refused(|| {
        let service = || async {
            let _starts = Starts;
            std::future::pending::<()>().await;
        };
        SpecBuilder::new().machine("api", service).body(async |sim| {
            sleep(1.secs()).await;
            sim.kill("api").map(drop)
        })
    });
    refused(|| {
        let service = || async {
            let _starts = Starts;
            std::future::pending::<()>().await;
        };
        SpecBuilder::new().machine("api", service).body(async |_| sleep(1.secs()).await)
    });
}

#[test]
fn command_in_the_spec_is_refused() {
    let ran = super::tests::outcome(0, || {
        touch().status().expect("it is refused");
        SpecBuilder::new().body(async |_| {})
    });
    match ran.verdict {
        crate::engine::failure::verdict::Verdict::Broken(words) => {
            assert!(words.contains("allow_processes"), "{words}");
        }
        other => panic!("expected a broken run: {other:?}"),
    }
}

/// An allowed thread is outside the run and may start processes; the run's thread must not.
#[test]
fn allowed_thread_may_start_a_process() {
    pass(|| {
        SpecBuilder::new().body(async |_| {
            let status = super::allow_threads(|| {
                std::thread::scope(|scope| scope.spawn(|| touch().status()).join())
            });
            assert!(status.expect("no panic").expect("it starts").success());
        })
    });
}

#[test]
fn allow_processes_permits_processes() {
    pass(|| {
        SpecBuilder::new().body(async |_| {
            super::allow_processes(|| {
                let output = Command::new("echo").arg("hello").output().expect("it starts");
                assert_eq!(output.stdout, b"hello\n");
                let forked = touch_by_fork().status().expect("it starts");
                assert!(forked.success());
                // SAFETY: the argument is a C string.
                assert_eq!(unsafe { libc::system(c"exit 3".as_ptr()) } >> 8, 3);
            });
        })
    });
    // It lets neither threads through nor what comes after it.
    refused(|| {
        SpecBuilder::new().native().body(async |_| {
            super::allow_processes(|| drop(std::thread::Builder::new().spawn(|| ())));
        })
    });
    refused(|| {
        SpecBuilder::new().body(async |_| {
            super::allow_processes(|| touch().status().expect("it starts"));
            assert!(touch().status().is_err());
        })
    });
    // And threads that are allowed are not processes.
    refused(|| {
        SpecBuilder::new().body(async |_| {
            super::allow_threads(|| assert!(touch().status().is_err()));
        })
    });
}

#[test]
fn processes_outside_a_run_are_started() {
    assert!(touch().status().expect("it starts").success());
    assert!(touch_by_fork().status().expect("it starts").success());
    // SAFETY: C strings; the stream is closed once.
    unsafe {
        assert_eq!(libc::system(c"exit 3".as_ptr()) >> 8, 3);
        let pipe = libc::popen(c"exit 4".as_ptr(), c"r".as_ptr());
        assert!(!pipe.is_null());
        assert_eq!(libc::pclose(pipe) >> 8, 4);
    }
    // SAFETY: the child ends at once, by a call that a child may make.
    unsafe {
        let child = libc::fork();
        if child == 0 {
            libc::_exit(5);
        }
        let mut status = 0;
        assert_eq!(libc::waitpid(child, &raw mut status, 0), child);
        assert_eq!(libc::WEXITSTATUS(status), 5);
    }
}
