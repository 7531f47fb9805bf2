//! Tests which functions of the C library a binary defines: those of the feature `sim`, and none
//! without that feature.
#![cfg(target_os = "linux")]

use std::path::{Path, PathBuf};
use std::process::Command;

const NAMES: [&str; 234] = [
    "_Fork",
    "accept",
    "accept4",
    "access",
    "bind",
    "chdir",
    "chmod",
    "chown",
    "clock_gettime",
    "clock_nanosleep",
    "clone",
    "close",
    "closedir",
    "connect",
    "copy_file_range",
    "creat",
    "creat64",
    "daemon",
    "dirfd",
    "dup",
    "dup2",
    "dup3",
    "epoll_create",
    "epoll_create1",
    "epoll_ctl",
    "epoll_pwait",
    "epoll_pwait2",
    "epoll_wait",
    "eventfd",
    "execl",
    "execle",
    "execlp",
    "execv",
    "execve",
    "execveat",
    "execvp",
    "execvpe",
    "faccessat",
    "fallocate",
    "fallocate64",
    "fanotify_init",
    "fchdir",
    "fchmod",
    "fchmodat",
    "fchown",
    "fcntl",
    "fcntl64",
    "fdatasync",
    "fdopen",
    "fdopendir",
    "fexecve",
    "fileno",
    "fileno_unlocked",
    "flock",
    "fopen",
    "fopen64",
    "fork",
    "forkpty",
    "freeaddrinfo",
    "fstat",
    "fstat64",
    "fstatat",
    "fstatat64",
    "fstatfs",
    "fstatfs64",
    "fstatvfs",
    "fstatvfs64",
    "fsync",
    "ftruncate",
    "ftruncate64",
    "futimens",
    "getaddrinfo",
    "getauxval",
    "getcwd",
    "getdents64",
    "getentropy",
    "gethostbyname",
    "gethostname",
    "getnameinfo",
    "getpeername",
    "getrandom",
    "getsockname",
    "getsockopt",
    "gettimeofday",
    "inotify_init",
    "inotify_init1",
    "ioctl",
    "isatty",
    "lchown",
    "link",
    "linkat",
    "listen",
    "lseek",
    "lseek64",
    "lstat",
    "lstat64",
    "mkdir",
    "mkdirat",
    "mkdtemp",
    "mkostemp",
    "mkostemp64",
    "mkstemp",
    "mkstemp64",
    "mkstemps",
    "mmap",
    "mmap64",
    "mremap",
    "msync",
    "munmap",
    "nanosleep",
    "open",
    "open64",
    "openat",
    "openat64",
    "opendir",
    "pidfd_spawn",
    "pidfd_spawnp",
    "pipe",
    "pipe2",
    "poll",
    "popen",
    "posix_fadvise",
    "posix_fadvise64",
    "posix_fallocate",
    "posix_fallocate64",
    "posix_spawn",
    "posix_spawnp",
    "ppoll",
    "prctl",
    "pread",
    "pread64",
    "preadv",
    "preadv2",
    "preadv64",
    "preadv64v2",
    "pthread_cond_broadcast",
    "pthread_cond_clockwait",
    "pthread_cond_signal",
    "pthread_cond_timedwait",
    "pthread_cond_wait",
    "pthread_create",
    "pthread_join",
    "pthread_mutex_clocklock",
    "pthread_mutex_lock",
    "pthread_mutex_timedlock",
    "pthread_mutex_unlock",
    "pthread_once",
    "pthread_rwlock_clockrdlock",
    "pthread_rwlock_clockwrlock",
    "pthread_rwlock_rdlock",
    "pthread_rwlock_timedrdlock",
    "pthread_rwlock_timedwrlock",
    "pthread_rwlock_unlock",
    "pthread_rwlock_wrlock",
    "pthread_setname_np",
    "pthread_sigmask",
    "pwrite",
    "pwrite64",
    "pwritev",
    "pwritev2",
    "pwritev64",
    "pwritev64v2",
    "read",
    "readdir",
    "readdir64",
    "readdir64_r",
    "readdir_r",
    "readlink",
    "readlinkat",
    "readv",
    "realpath",
    "recv",
    "recvfrom",
    "recvmmsg",
    "recvmsg",
    "remove",
    "rename",
    "renameat",
    "renameat2",
    "rewinddir",
    "rmdir",
    "sched_getaffinity",
    "seekdir",
    "select",
    "sem_clockwait",
    "sem_post",
    "sem_timedwait",
    "sem_wait",
    "send",
    "sendfile",
    "sendfile64",
    "sendmmsg",
    "sendmsg",
    "sendto",
    "setsockopt",
    "shutdown",
    "sigaction",
    "signal",
    "signalfd",
    "sigprocmask",
    "sleep",
    "socket",
    "socketpair",
    "splice",
    "stat",
    "stat64",
    "statfs",
    "statfs64",
    "statvfs",
    "statvfs64",
    "statx",
    "symlink",
    "symlinkat",
    "sync",
    "sync_file_range",
    "syncfs",
    "syscall",
    "sysconf",
    "system",
    "telldir",
    "time",
    "timerfd_create",
    "tmpfile",
    "tmpfile64",
    "truncate",
    "uname",
    "unlink",
    "unlinkat",
    "usleep",
    "utimensat",
    "utimes",
    "vfork",
    "write",
    "writev",
];

/// The names in the list that a binary defines itself, by `nm`.
fn defined(binary: &Path) -> Vec<String> {
    let ran = Command::new("nm").args(["--defined-only", "--format=posix"]).arg(binary).output();
    let ran = ran.expect("there is an `nm` beside the linker");
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    let text = String::from_utf8_lossy(&ran.stdout).into_owned();
    let names = text.lines().filter_map(|line| line.split_whitespace().next());
    let mut names: Vec<String> =
        names.filter(|name| NAMES.contains(name)).map(str::to_owned).collect();
    names.sort();
    names
}

#[test]
fn symbols_are_all_defined_with_sim() {
    assert_eq!(defined(Path::new(env!("CARGO_BIN_EXE_fixture"))), NAMES);
}

/// Builds in a folder of its own: `cargo test -p simmach-tests --test symbols -- --ignored`.
#[test]
#[ignore = "it builds simmach twice more"]
fn symbols_are_not_defined_without_sim() {
    let bare = without_the_simulation(&[]);
    assert_eq!(defined(&bare), Vec::<String>::new());
    let real = without_the_simulation(&["--features", "real"]);
    assert_eq!(defined(&real), Vec::<String>::new());
    // The program does use these functions.
    let ran = Command::new(&real).output().expect("it was built");
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    assert!(String::from_utf8_lossy(&ran.stdout).contains("into a real folder"));
}

/// A static glibc cannot work with the feature `sim`: that must be a compile error, not a crash before `main`. Checks simmach in
/// a separate target folder.
#[cfg(target_env = "gnu")]
#[test]
#[ignore = "it checks simmach twice more"]
fn static_glibc_is_a_compile_error_of_the_simulation_alone() {
    let (success, with_sim) = check_with_static_glibc(&[]);
    assert!(!success, "it compiles");
    let errors: Vec<&str> = with_sim.lines().filter(|line| line.starts_with("error")).collect();
    assert_eq!(errors.len(), 2, "{with_sim}");
    for part in ["statically linked glibc", "without `-C target-feature=+crt-static`"] {
        assert!(errors[0].contains(part), "no {part:?} in:\n{with_sim}");
    }
    assert!(errors[1].starts_with("error: could not compile `simmach`"), "{with_sim}");
    let (success, real) = check_with_static_glibc(&["--no-default-features", "--features", "real"]);
    assert!(success, "{real}");
}

#[cfg(target_env = "gnu")]
fn check_with_static_glibc(features: &[&str]) -> (bool, String) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace");
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("static-glibc");
    let host = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let mut check = Command::new(env!("CARGO"));
    check.args(["check", "--locked", "-p", "simmach", "--lib", "--color=never"]).args(features);
    // With an explicit target, procedural macros are built without the flags.
    check.args(["--target", &host, "--target-dir"]).arg(&target);
    check.env("RUSTFLAGS", "-C target-feature=+crt-static").env_remove("CARGO_ENCODED_RUSTFLAGS");
    let ran = check.current_dir(root).output().expect("there is a cargo");
    (ran.status.success(), String::from_utf8_lossy(&ran.stderr).into_owned())
}

fn without_the_simulation(features: &[&str]) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace");
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("without-sim");
    let mut build = Command::new(env!("CARGO"));
    build.args(["build", "--locked", "-p", "simmach", "--example", "without_sim"]);
    build.arg("--no-default-features").args(features).arg("--target-dir").arg(&target);
    let ran = build.current_dir(root).output().expect("there is a cargo");
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    target.join("debug/examples/without_sim")
}
