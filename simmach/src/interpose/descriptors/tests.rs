//! Tests of calls on descriptors outside a run, where calls on real descriptors are forwarded and
//! calls on simulated ones fail. Also tests of the table of system calls by number.

use std::ffi::{c_int, c_long};
use std::io::{Error, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::{io, ptr};

use crate::interpose::system::FIRST_DESCRIPTOR;

const SIMULATED: c_int = FIRST_DESCRIPTOR + 7;

/// Returns the error of a call that returned -1.
#[track_caller]
fn error(result: c_long) -> c_int {
    assert_eq!(result, -1);
    Error::last_os_error().raw_os_error().expect("it is the system's")
}

#[test]
fn simulated_descriptors_can_be_closed_outside_a_run() {
    // SAFETY: no other value owns the descriptor.
    unsafe {
        assert_eq!(libc::close(SIMULATED), 0);
        assert_eq!(libc::syscall(libc::SYS_close, c_long::from(SIMULATED)), 0);
        assert_eq!(libc::fcntl(SIMULATED, libc::F_GETFD), libc::FD_CLOEXEC);
        assert_eq!(libc::syscall(libc::SYS_fcntl, SIMULATED, libc::F_GETFD), 1);
    }
    // SAFETY: as above.
    drop(unsafe { OwnedFd::from_raw_fd(SIMULATED) });
}

#[test]
fn other_calls_on_simulated_descriptors_fail_outside_a_run() {
    let mut bytes = [0_u8; 16];
    let buffer = bytes.as_mut_ptr().cast();
    let mut length = 16;
    let vector = libc::iovec { iov_base: buffer, iov_len: 16 };
    let mut event = libc::epoll_event { events: 0, u64: 0 };
    let address = [&(libc::AF_INET as u16).to_ne_bytes()[..], &[0; 14]].concat();
    // SAFETY: the buffers are valid.
    let results: [c_long; 22] = unsafe {
        let mut message: libc::msghdr = std::mem::zeroed();
        [
            libc::read(SIMULATED, buffer, 16) as c_long,
            libc::readv(SIMULATED, &raw const vector, 1) as c_long,
            libc::recv(SIMULATED, buffer, 16, 0) as c_long,
            libc::recvmsg(SIMULATED, &raw mut message, 0) as c_long,
            libc::write(SIMULATED, buffer, 16) as c_long,
            libc::writev(SIMULATED, &raw const vector, 1) as c_long,
            libc::send(SIMULATED, buffer, 16, 0) as c_long,
            libc::sendmsg(SIMULATED, &raw const message, 0) as c_long,
            libc::bind(SIMULATED, address.as_ptr().cast(), 16).into(),
            libc::connect(SIMULATED, address.as_ptr().cast(), 16).into(),
            libc::listen(SIMULATED, 1).into(),
            libc::accept(SIMULATED, ptr::null_mut(), ptr::null_mut()).into(),
            libc::getsockname(SIMULATED, buffer.cast(), &raw mut length).into(),
            libc::getsockopt(SIMULATED, 1, 1, buffer, &raw mut length).into(),
            libc::setsockopt(SIMULATED, 1, 1, buffer, 4).into(),
            libc::shutdown(SIMULATED, libc::SHUT_RD).into(),
            libc::dup(SIMULATED).into(),
            libc::dup2(SIMULATED, 100).into(),
            libc::fcntl(SIMULATED, libc::F_GETFL).into(),
            libc::ioctl(SIMULATED, libc::FIONBIO, buffer).into(),
            libc::epoll_ctl(SIMULATED, libc::EPOLL_CTL_ADD, 0, &raw mut event).into(),
            libc::epoll_wait(SIMULATED, &raw mut event, 1, 0).into(),
        ]
    };
    assert_eq!(results, [-1; 22]);
    assert_eq!(error(-1), libc::EBADF);
    // SAFETY: as above.
    unsafe {
        assert_eq!(error(libc::syscall(libc::SYS_read, SIMULATED, buffer, 16)), libc::EBADF);
        assert_eq!(error(libc::dup2(0, SIMULATED).into()), libc::EBADF);
        assert_eq!(error(libc::dup3(SIMULATED, SIMULATED, 0).into()), libc::EINVAL);
        let from = ptr::null_mut();
        assert_eq!(error(libc::sendfile(SIMULATED, 0, from, 1) as c_long), libc::EINVAL);
        let mut stat: libc::stat = std::mem::zeroed();
        assert_eq!(error(libc::fstat(SIMULATED, &raw mut stat).into()), libc::EBADF);
    }
}

#[test]
fn poll_reports_simulated_descriptors_as_invalid_outside_a_run() {
    let file = io::stdin();
    let entry = |fd| libc::pollfd { fd, events: 0, revents: 7 };
    let mut entries = [entry(SIMULATED), entry(file.as_raw_fd()), entry(-1)];
    // SAFETY: the array has three entries.
    let ready = unsafe { libc::poll(entries.as_mut_ptr(), 3, 0) };
    assert_eq!((ready, entries.map(|entry| entry.revents)), (1, [libc::POLLNVAL, 0, 0]));
}

#[test]
fn calls_on_real_descriptors_are_forwarded() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let mut client =
        TcpStream::connect(listener.local_addr().expect("it is bound")).expect("it listens");
    let (mut server, peer) = listener.accept().expect("it was connected");
    assert_eq!(client.local_addr().expect("it is connected"), peer);
    client.set_nodelay(true).expect("it is a socket");
    assert!(client.nodelay().expect("it is a socket"));
    client.set_nonblocking(true).expect("it is a socket");
    assert_eq!(client.read(&mut [0]).map_err(|error| error.kind()), Err(io::ErrorKind::WouldBlock));
    client.write_all(b"abc").expect("it is connected");
    let mut buffer = [0; 3];
    server.read_exact(&mut buffer).expect("it was written");
    assert_eq!(&buffer, b"abc");

    let descriptor = client.as_raw_fd();
    // SAFETY: the descriptors are open; those that are made are closed.
    unsafe {
        let other = libc::dup(descriptor);
        assert_eq!(libc::dup2(descriptor, descriptor), descriptor);
        assert_eq!(libc::dup2(descriptor, other), other);
        assert_eq!(error(libc::dup2(-1, -1).into()), libc::EBADF);
        let flags = libc::fcntl(other, libc::F_GETFL);
        assert_eq!(flags & (libc::O_RDWR | libc::O_NONBLOCK), libc::O_RDWR | libc::O_NONBLOCK);
        assert_eq!(libc::fcntl(other, libc::F_GETOWN), 0);
        assert_eq!(libc::close(other), 0);
        assert_eq!(error(libc::close(other).into()), libc::EBADF);

        let events = libc::eventfd(3, libc::EFD_NONBLOCK);
        let epoll = libc::epoll_create1(libc::EPOLL_CLOEXEC);
        let mut event = libc::epoll_event { events: libc::EPOLLIN as u32, u64: 5 };
        assert_eq!(libc::epoll_ctl(epoll, libc::EPOLL_CTL_ADD, events, &raw mut event), 0);
        event.u64 = 0;
        assert_eq!(libc::epoll_wait(epoll, &raw mut event, 1, 0), 1);
        assert_eq!({ event.u64 }, 5);
        let mut count = 0_u64;
        assert_eq!(libc::read(events, (&raw mut count).cast(), 8), 8);
        assert_eq!(count, 3);
        assert_eq!((libc::close(epoll), libc::close(events)), (0, 0));

        let mut ends = [0; 2];
        assert_eq!(libc::pipe(ends.as_mut_ptr()), 0);
        assert!(ends.iter().all(|end| *end < FIRST_DESCRIPTOR));
        assert_eq!((libc::close(ends[0]), libc::close(ends[1])), (0, 0));
    }
}

#[test]
fn files_are_opened_with_their_mode() {
    use std::os::unix::fs::{MetadataExt, OpenOptionsExt};

    let path = std::env::temp_dir().join(format!("simmach-mode-{}", std::process::id()));
    let file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
    let mode = file.and_then(|file| file.metadata()).map(|found| found.mode() & 0o777);
    std::fs::remove_file(&path).expect("it is there");
    assert_eq!(mode.expect("it was made"), 0o600);
}

/// Functions that need no row in `by_number.rs`. The kernel has no call of this name, or fails it with `EBADF` for a simulated
/// descriptor, which makes callers copy by reads and writes.
const WITHOUT_ROW: [&str; 63] = [
    "closedir",
    "copy_file_range",
    "creat64",
    "dirfd",
    "fallocate64",
    "fcntl64",
    "fdopen",
    "fdopendir",
    "fileno",
    "fileno_unlocked",
    "fopen",
    "fopen64",
    "fstat64",
    "fstatat",
    "fstatat64",
    "fstatfs64",
    "fstatvfs",
    "fstatvfs64",
    "ftruncate64",
    "futimens",
    "isatty",
    "lseek64",
    "lstat64",
    "mkdtemp",
    "mkostemp",
    "mkostemp64",
    "mkstemp",
    "mkstemp64",
    "mkstemps",
    "mmap64",
    "open64",
    "openat64",
    "opendir",
    "posix_fadvise",
    "posix_fadvise64",
    "posix_fallocate",
    "posix_fallocate64",
    "pread",
    "preadv64",
    "preadv64v2",
    "pwrite",
    "pwritev64",
    "pwritev64v2",
    "readdir",
    "readdir64",
    "readdir64_r",
    "readdir_r",
    "realpath",
    "recv",
    "remove",
    "rewinddir",
    "seekdir",
    "send",
    "sendfile",
    "sendfile64",
    "splice",
    "stat64",
    "statfs64",
    "statvfs",
    "statvfs64",
    "telldir",
    "tmpfile",
    "tmpfile64",
];

/// Code that calls through `syscall` must get the same answers as code that calls the C library's functions.
#[test]
fn every_function_with_a_system_call_number_has_a_row() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/interpose/descriptors");
    let rows = include_str!("by_number.rs");
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder).expect("the sources are there") {
        let text = std::fs::read_to_string(entry.expect("an entry").path()).expect("a source file");
        for before in ["pub unsafe extern \"C\" fn ", "second_name!("] {
            let definitions = text.split(before).skip(1).map(str::trim_start);
            let name = |rest: &str| rest.split(['(', ' ']).next().map(str::to_owned);
            names.extend(definitions.filter_map(name));
        }
    }
    // Not the definition in the macro `second_name`, and not these lines.
    names.retain(|name| name.starts_with(|first: char| first.is_ascii_lowercase()));
    names.sort();
    assert!(names.len() > 40, "{names:?}");
    let has_row = |name: &str| rows.contains(&format!("libc::SYS_{name} => "));
    names.retain(|name| !has_row(name) && !WITHOUT_ROW.contains(&name.as_str()));
    assert_eq!(names, [""; 0], "add a row to by_number.rs, or a name to `WITHOUT_ROW`");
}
