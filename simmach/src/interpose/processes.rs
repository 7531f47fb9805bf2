//! Functions of the C library that start a process or execute a program. A run refuses these calls.
//!
//! These are the functions that std's `Command` uses. A refused call fails with `EPERM`, and the run fails. `execl`, `execlp`
//! and `execle` take a variable number of arguments and are in the module `variadic`.

use std::ffi::{c_char, c_int, c_long, c_void};
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering};

use libc::{FILE, pid_t, posix_spawn_file_actions_t, posix_spawnattr_t, termios, winsize};

use crate::engine::failure::refusals::ForbiddenCall;
use crate::interpose::answers;
use crate::interpose::linux::fail;
use crate::interpose::real::Real;
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
use crate::interpose::variadic;

type Strings = *const *const c_char;
type Spawn<P> = unsafe extern "C" fn(
    *mut P,
    *const c_char,
    *const posix_spawn_file_actions_t,
    *const posix_spawnattr_t,
    Strings,
    Strings,
) -> c_int;
type Fork = unsafe extern "C" fn() -> pid_t;

static FORK: Real<Fork> = Real::named(c"fork");
static BARE_FORK: Real<Fork> = Real::named(c"_Fork");
static FORKPTY: Real<
    unsafe extern "C" fn(*mut c_int, *mut c_char, *const termios, *const winsize) -> pid_t,
> = Real::named(c"forkpty");
static DAEMON: Real<unsafe extern "C" fn(c_int, c_int) -> c_int> = Real::named(c"daemon");
static CLONE: Real<unsafe extern "C" fn(Child, *mut c_void, c_int, ...) -> c_int> =
    Real::named(c"clone");
static POSIX_SPAWN: Real<Spawn<pid_t>> = Real::named(c"posix_spawn");
static POSIX_SPAWNP: Real<Spawn<pid_t>> = Real::named(c"posix_spawnp");
static PIDFD_SPAWN: Real<Spawn<c_int>> = Real::named(c"pidfd_spawn");
static PIDFD_SPAWNP: Real<Spawn<c_int>> = Real::named(c"pidfd_spawnp");
static SYSTEM: Real<unsafe extern "C" fn(*const c_char) -> c_int> = Real::named(c"system");
static POPEN: Real<unsafe extern "C" fn(*const c_char, *const c_char) -> *mut FILE> =
    Real::named(c"popen");
static EXECVE: Real<unsafe extern "C" fn(*const c_char, Strings, Strings) -> c_int> =
    Real::named(c"execve");
static EXECV: Real<unsafe extern "C" fn(*const c_char, Strings) -> c_int> = Real::named(c"execv");
static EXECVP: Real<unsafe extern "C" fn(*const c_char, Strings) -> c_int> = Real::named(c"execvp");
static EXECVPE: Real<unsafe extern "C" fn(*const c_char, Strings, Strings) -> c_int> =
    Real::named(c"execvpe");
static FEXECVE: Real<unsafe extern "C" fn(c_int, Strings, Strings) -> c_int> =
    Real::named(c"fexecve");
static EXECVEAT: Real<
    unsafe extern "C" fn(c_int, *const c_char, Strings, Strings, c_int) -> c_int,
> = Real::named(c"execveat");

type Child = extern "C" fn(*mut c_void) -> c_int;

/// Finds the functions that a child process calls before it starts a program, where symbols must not be looked up. Called
/// before a process is forked, since most processes never are.
fn find_all() {
    static IS_DONE: AtomicBool = AtomicBool::new(false);
    if IS_DONE.load(Ordering::Acquire) {
        return;
    }
    FORK.find();
    BARE_FORK.find();
    CLONE.find();
    EXECVE.find();
    EXECV.find();
    EXECVP.find();
    EXECVPE.find();
    FEXECVE.find();
    EXECVEAT.find();
    #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
    variadic::find_all();
    IS_DONE.store(true, Ordering::Release);
}

/// The functions that this module defines.
pub(super) fn defined() -> [*const (); 19] {
    [
        variadic_defined(),
        fork as *const (),
        _Fork as *const (),
        vfork as *const (),
        forkpty as *const (),
        daemon as *const (),
        clone as *const (),
        posix_spawn as *const (),
        posix_spawnp as *const (),
        pidfd_spawn as *const (),
        pidfd_spawnp as *const (),
        system as *const (),
        popen as *const (),
        execve as *const (),
        execv as *const (),
        execvp as *const (),
        execvpe as *const (),
        fexecve as *const (),
        execveat as *const (),
    ]
}

fn variadic_defined() -> *const () {
    #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
    return variadic::defined as *const ();
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    std::ptr::null()
}

pub(super) fn is_process_refused() -> bool {
    answers::refuse(ForbiddenCall::Process)
}

/// Prepares for a system call by number, if it may fork this process.
pub(super) fn prepare(number: c_long) {
    match number {
        #[cfg(target_arch = "x86_64")]
        libc::SYS_fork | libc::SYS_vfork => find_all(),
        libc::SYS_clone | libc::SYS_clone3 => find_all(),
        _ => {}
    }
}

/// Refuses a system call by number, if it starts a process, a thread or a program.
pub(super) fn is_refused(number: c_long, first: c_long) -> bool {
    if !answers::is_here() {
        return false;
    }
    match number {
        #[cfg(target_arch = "x86_64")]
        libc::SYS_fork | libc::SYS_vfork => is_process_refused(),
        libc::SYS_execve | libc::SYS_execveat => is_process_refused(),
        libc::SYS_clone => is_clone_refused(first as u64),
        // SAFETY: the pointer is null or points to a structure whose first field contains the flags.
        libc::SYS_clone3 if first != 0 => is_clone_refused(unsafe { *(first as *const u64) }),
        _ => false,
    }
}

fn is_clone_refused(flags: u64) -> bool {
    let is_thread = flags & libc::CLONE_THREAD as u64 != 0;
    answers::refuse(if is_thread { ForbiddenCall::Thread } else { ForbiddenCall::Process })
}

/// Defines functions of C that start a process or replace this one. In a run they fail with `EPERM`, and the run fails.
macro_rules! refuse_in_runs {
    ($(
        $(#[$attribute:meta])*
        fn $name:ident($($argument:ident: $type:ty),*) -> $result:ty = $real:ident;
    )*) => {$(
        /// # Safety
        ///
        /// The caller must meet the requirements of the C function.
        #[unsafe(no_mangle)]
        $(#[$attribute])*
        pub unsafe extern "C" fn $name($($argument: $type),*) -> $result {
            if is_process_refused() {
                return fail(libc::EPERM);
            }
            find_all();
            match $real.function() {
                // SAFETY: the caller guarantees that the arguments are valid.
                Some(real) => unsafe { real($($argument),*) },
                None => fail(libc::ENOSYS),
            }
        }
    )*};
}

refuse_in_runs! {
    fn fork() -> pid_t = FORK;
    #[allow(non_snake_case, reason = "the system's name")]
    fn _Fork() -> pid_t = BARE_FORK;
    fn forkpty(master: *mut c_int, name: *mut c_char, terminal: *const termios, size: *const winsize) -> pid_t = FORKPTY;
    fn daemon(keeps_folder: c_int, keeps_output: c_int) -> c_int = DAEMON;
    fn execve(path: *const c_char, arguments: Strings, environment: Strings) -> c_int = EXECVE;
    fn execv(path: *const c_char, arguments: Strings) -> c_int = EXECV;
    fn execvp(file: *const c_char, arguments: Strings) -> c_int = EXECVP;
    fn execvpe(file: *const c_char, arguments: Strings, environment: Strings) -> c_int = EXECVPE;
    fn fexecve(descriptor: c_int, arguments: Strings, environment: Strings) -> c_int = FEXECVE;
    fn execveat(folder: c_int, path: *const c_char, arguments: Strings, environment: Strings, flags: c_int) -> c_int = EXECVEAT;
}

/// Like [`fork`]. A child that shares its parent's stack could not return from this function, and
/// POSIX allows `vfork` to be the same as `fork`.
///
/// # Safety
///
/// The caller must meet the requirements of the C function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vfork() -> pid_t {
    // SAFETY: the caller meets the requirements of this call.
    unsafe { fork() }
}

/// In C, callers pass the last three arguments only if the flags require them. See [`syscall`](super::linux::syscall).
///
/// # Safety
///
/// The caller must meet the requirements of the C function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn clone(
    child: Child,
    stack: *mut c_void,
    flags: c_int,
    argument: *mut c_void,
    parent_tid: *mut pid_t,
    tls: *mut c_void,
    child_tid: *mut pid_t,
) -> c_int {
    if answers::is_here() && is_clone_refused(flags as u64) {
        return fail(libc::EPERM);
    }
    find_all();
    match CLONE.function() {
        // SAFETY: the caller guarantees that the arguments are valid.
        Some(real) => unsafe { real(child, stack, flags, argument, parent_tid, tls, child_tid) },
        None => fail(libc::ENOSYS),
    }
}

/// # Safety
///
/// The caller must meet the requirements of the C function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn posix_spawn(
    pid: *mut pid_t,
    path: *const c_char,
    actions: *const posix_spawn_file_actions_t,
    attributes: *const posix_spawnattr_t,
    arguments: Strings,
    environment: Strings,
) -> c_int {
    // SAFETY: the caller guarantees that the arguments are valid.
    unsafe { spawn(&POSIX_SPAWN, pid, path, actions, attributes, arguments, environment) }
}

/// # Safety
///
/// The caller must meet the requirements of the C function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn posix_spawnp(
    pid: *mut pid_t,
    file: *const c_char,
    actions: *const posix_spawn_file_actions_t,
    attributes: *const posix_spawnattr_t,
    arguments: Strings,
    environment: Strings,
) -> c_int {
    // SAFETY: the caller guarantees that the arguments are valid.
    unsafe { spawn(&POSIX_SPAWNP, pid, file, actions, attributes, arguments, environment) }
}

/// # Safety
///
/// The caller must meet the requirements of the C function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pidfd_spawn(
    pidfd: *mut c_int,
    path: *const c_char,
    actions: *const posix_spawn_file_actions_t,
    attributes: *const posix_spawnattr_t,
    arguments: Strings,
    environment: Strings,
) -> c_int {
    // SAFETY: the caller guarantees that the arguments are valid.
    unsafe { spawn(&PIDFD_SPAWN, pidfd, path, actions, attributes, arguments, environment) }
}

/// # Safety
///
/// The caller must meet the requirements of the C function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pidfd_spawnp(
    pidfd: *mut c_int,
    file: *const c_char,
    actions: *const posix_spawn_file_actions_t,
    attributes: *const posix_spawnattr_t,
    arguments: Strings,
    environment: Strings,
) -> c_int {
    // SAFETY: the caller guarantees that the arguments are valid.
    unsafe { spawn(&PIDFD_SPAWNP, pidfd, file, actions, attributes, arguments, environment) }
}

/// Calls a function that returns its error instead of setting `errno`.
///
/// # Safety
///
/// The caller must meet the requirements of the C function.
unsafe fn spawn<P>(
    real: &Real<Spawn<P>>,
    child: *mut P,
    file: *const c_char,
    actions: *const posix_spawn_file_actions_t,
    attributes: *const posix_spawnattr_t,
    arguments: Strings,
    environment: Strings,
) -> c_int {
    if is_process_refused() {
        return libc::EPERM;
    }
    match real.function() {
        // SAFETY: the caller guarantees that the arguments are valid.
        Some(real) => unsafe { real(child, file, actions, attributes, arguments, environment) },
        None => libc::ENOSYS,
    }
}

/// A null command asks whether a shell is available. In a run, no shell is available.
///
/// # Safety
///
/// The caller must meet the requirements of the C function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn system(command: *const c_char) -> c_int {
    if command.is_null() && answers::is_here() {
        return 0;
    }
    if is_process_refused() {
        return fail(libc::EPERM);
    }
    match SYSTEM.function() {
        // SAFETY: the caller guarantees that the argument is valid.
        Some(real) => unsafe { real(command) },
        None => fail(libc::ENOSYS),
    }
}

/// # Safety
///
/// The caller must meet the requirements of the C function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn popen(command: *const c_char, mode: *const c_char) -> *mut FILE {
    if is_process_refused() {
        fail(libc::EPERM);
        return ptr::null_mut();
    }
    match POPEN.function() {
        // SAFETY: the caller guarantees that the arguments are valid.
        Some(real) => unsafe { real(command, mode) },
        None => ptr::null_mut(),
    }
}
