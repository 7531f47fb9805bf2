//! System calls by number (`syscall`) that behave like the functions on descriptors. These are the
//! calls that create a descriptor, and the calls on a simulated descriptor.

use std::ffi::{c_int, c_long};
use std::ptr;

use libc::ssize_t;

use crate::interpose::descriptors::{
    attributes, files, folders, lifecycle, memory, messages, open_files, polling, positions,
    settings, sockets, status, transfer,
};
use crate::interpose::system::is_simulated;

/// Calls the function for a system call. Returns `None` if the call should be forwarded to the kernel.
///
/// # Safety
///
/// The caller must meet the requirements of the system call.
pub(in crate::interpose) unsafe fn call(number: c_long, arguments: [c_long; 6]) -> Option<c_long> {
    // SAFETY: the caller meets the requirements of this call.
    unsafe {
        let created = create(number, arguments).or_else(|| on_paths(number, arguments));
        let created = created.map(c_long::from).or_else(|| on_old_paths(number, arguments));
        created.or_else(|| on_memory(number, arguments)).or_else(|| {
            if !is_simulated(arguments[0] as c_int) {
                return None;
            }
            control(number, arguments).map(c_long::from).or_else(|| transfer(number, arguments))
        })
    }
}

/// Handles calls that create a descriptor, and calls whose first argument is not a descriptor.
///
/// # Safety
///
/// The caller must meet the requirements of the system call.
unsafe fn create(number: c_long, [a, b, c, d, _, _]: [c_long; 6]) -> Option<c_int> {
    // SAFETY: the caller guarantees that the arguments are valid. The function takes the same ones
    // as the system call.
    let result = unsafe {
        match number {
            libc::SYS_socket => sockets::socket(a as _, b as _, c as _),
            libc::SYS_socketpair => sockets::socketpair(a as _, b as _, c as _, d as _),
            libc::SYS_eventfd2 => lifecycle::eventfd(a as _, b as _),
            libc::SYS_pipe2 => lifecycle::pipe2(a as _, b as _),
            libc::SYS_epoll_create1 => polling::epoll_create1(a as _),
            libc::SYS_openat => files::openat(a as _, b as _, c as _, d as _),
            libc::SYS_ppoll => polling::ppoll(a as _, b as _, c as _, d as _),
            #[cfg(target_arch = "x86_64")]
            libc::SYS_eventfd => lifecycle::eventfd(a as _, 0),
            #[cfg(target_arch = "x86_64")]
            libc::SYS_pipe => lifecycle::pipe(a as _),
            #[cfg(target_arch = "x86_64")]
            libc::SYS_epoll_create => polling::epoll_create(a as _),
            #[cfg(target_arch = "x86_64")]
            libc::SYS_open => files::open(a as _, b as _, c as _),
            #[cfg(target_arch = "x86_64")]
            libc::SYS_poll => polling::poll(a as _, b as _, c as _),
            _ => return None,
        }
    };
    Some(result)
}

/// Handles calls on paths and on a process's working folder.
///
/// # Safety
///
/// The caller must meet the requirements of the system call.
unsafe fn on_paths(number: c_long, [a, b, c, d, e, _]: [c_long; 6]) -> Option<c_int> {
    // SAFETY: the caller guarantees that the arguments are valid. The function takes the same ones
    // as the system call.
    let result = unsafe {
        match number {
            libc::SYS_mkdirat => files::mkdirat(a as _, b as _, c as _),
            libc::SYS_unlinkat => files::unlinkat(a as _, b as _, c as _),
            #[cfg(target_arch = "x86_64")]
            libc::SYS_renameat => files::renameat(a as _, b as _, c as _, d as _),
            libc::SYS_renameat2 => files::renameat2(a as _, b as _, c as _, d as _, e as _),
            libc::SYS_linkat => files::linkat(a as _, b as _, c as _, d as _, e as _),
            libc::SYS_symlinkat => files::symlinkat(a as _, b as _, c as _),
            libc::SYS_readlinkat => files::readlinkat(a as _, b as _, c as _, d as _) as c_int,
            libc::SYS_fchmodat => files::fchmodat(a as _, b as _, c as _, 0),
            libc::SYS_truncate => files::truncate(a as _, b as _),
            libc::SYS_chdir => files::chdir(a as _),
            libc::SYS_fchdir => files::fchdir(a as _),
            libc::SYS_sync => {
                open_files::sync();
                0
            }
            libc::SYS_statx => status::statx(a as _, b as _, c as _, d as _, e as _),
            libc::SYS_statfs => status::statfs(a as _, b as _),
            libc::SYS_faccessat => status::faccessat(a as _, b as _, c as _, 0),
            libc::SYS_utimensat => attributes::utimensat(a as _, b as _, c as _, d as _),
            #[cfg(target_arch = "x86_64")]
            libc::SYS_newfstatat => status::fstatat(a as _, b as _, c as _, d as _),
            libc::SYS_getcwd => folders::getcwd_by_number(a as _, b as _),
            _ => return None,
        }
    };
    Some(result)
}

/// Handles calls on paths that newer calls have replaced, and that newer architectures do not have.
///
/// # Safety
///
/// The caller must meet the requirements of the system call.
#[cfg(target_arch = "x86_64")]
unsafe fn on_old_paths(number: c_long, [a, b, c, _, _, _]: [c_long; 6]) -> Option<c_long> {
    // SAFETY: the caller guarantees that the arguments are valid. The function takes the same ones
    // as the system call.
    let result = unsafe {
        match number {
            libc::SYS_access => status::access(a as _, b as _),
            libc::SYS_chmod => files::chmod(a as _, b as _),
            libc::SYS_chown => attributes::chown(a as _, b as _, c as _),
            libc::SYS_creat => files::creat(a as _, b as _),
            libc::SYS_lchown => attributes::lchown(a as _, b as _, c as _),
            libc::SYS_link => files::link(a as _, b as _),
            libc::SYS_lstat => status::lstat(a as _, b as _),
            libc::SYS_mkdir => files::mkdir(a as _, b as _),
            libc::SYS_readlink => files::readlink(a as _, b as _, c as _) as c_int,
            libc::SYS_rename => files::rename(a as _, b as _),
            libc::SYS_rmdir => files::rmdir(a as _),
            libc::SYS_stat => status::stat(a as _, b as _),
            libc::SYS_symlink => files::symlink(a as _, b as _),
            libc::SYS_unlink => files::unlink(a as _),
            libc::SYS_utimes => attributes::utimes(a as _, b as _),
            _ => return None,
        }
    };
    Some(result.into())
}

/// This architecture has no such calls.
///
/// # Safety
///
/// It has no preconditions.
#[cfg(not(target_arch = "x86_64"))]
unsafe fn on_old_paths(_: c_long, _: [c_long; 6]) -> Option<c_long> {
    None
}

/// Handles calls on mapped memory.
///
/// # Safety
///
/// The caller must meet the requirements of the system call.
unsafe fn on_memory(number: c_long, [a, b, c, d, e, f]: [c_long; 6]) -> Option<c_long> {
    let address = |raw: c_long| ptr::with_exposed_provenance_mut(raw as usize);
    // SAFETY: the caller guarantees that the arguments are valid. The function takes the same ones
    // as the system call.
    let result = unsafe {
        match number {
            libc::SYS_mmap => {
                let mapped = memory::mmap(address(a), b as _, c as _, d as _, e as _, f);
                mapped.expose_provenance() as c_long
            }
            libc::SYS_mremap => {
                let moved = memory::mremap(address(a), b as _, c as _, d as _, address(e));
                moved.expose_provenance() as c_long
            }
            libc::SYS_munmap => memory::munmap(address(a), b as _).into(),
            libc::SYS_msync => memory::msync(address(a), b as _, c as _).into(),
            _ => return None,
        }
    };
    Some(result)
}

/// Handles calls on a descriptor whose result is an `int`.
///
/// # Safety
///
/// The caller must meet the requirements of the system call.
unsafe fn control(number: c_long, [a, b, c, d, e, _]: [c_long; 6]) -> Option<c_int> {
    // SAFETY: the caller guarantees that the arguments are valid. The function takes the same ones
    // as the system call.
    let result = unsafe {
        match number {
            libc::SYS_close => lifecycle::close(a as _),
            libc::SYS_fstat => status::fstat(a as _, b as _),
            libc::SYS_ftruncate => open_files::ftruncate(a as _, b as _),
            libc::SYS_fallocate => open_files::fallocate(a as _, b as _, c as _, d as _),
            libc::SYS_fsync => open_files::fsync(a as _),
            libc::SYS_fdatasync => open_files::fdatasync(a as _),
            libc::SYS_syncfs => open_files::syncfs(a as _),
            libc::SYS_flock => open_files::flock(a as _, b as _),
            libc::SYS_fchmod => attributes::fchmod(a as _, b as _),
            libc::SYS_fchown => attributes::fchown(a as _, b as _, c as _),
            libc::SYS_fstatfs => status::fstatfs(a as _, b as _),
            libc::SYS_sync_file_range => {
                open_files::sync_file_range(a as _, b as _, c as _, d as _)
            }
            libc::SYS_dup => lifecycle::dup(a as _),
            #[cfg(target_arch = "x86_64")]
            libc::SYS_dup2 => lifecycle::dup2(a as _, b as _),
            libc::SYS_dup3 => lifecycle::dup3(a as _, b as _, c as _),
            libc::SYS_fcntl => settings::fcntl(a as _, b as _, c),
            libc::SYS_ioctl => settings::ioctl(a as _, b as _, c as _),
            libc::SYS_bind => sockets::bind(a as _, b as _, c as _),
            libc::SYS_listen => sockets::listen(a as _, b as _),
            libc::SYS_connect => sockets::connect(a as _, b as _, c as _),
            libc::SYS_accept => sockets::accept(a as _, b as _, c as _),
            libc::SYS_accept4 => sockets::accept4(a as _, b as _, c as _, d as _),
            libc::SYS_getsockname => sockets::getsockname(a as _, b as _, c as _),
            libc::SYS_getpeername => sockets::getpeername(a as _, b as _, c as _),
            libc::SYS_getsockopt => sockets::getsockopt(a as _, b as _, c as _, d as _, e as _),
            libc::SYS_setsockopt => sockets::setsockopt(a as _, b as _, c as _, d as _, e as _),
            libc::SYS_shutdown => sockets::shutdown(a as _, b as _),
            libc::SYS_recvmmsg => messages::recvmmsg(a as _, b as _, c as _, d as _, e as _),
            libc::SYS_sendmmsg => messages::sendmmsg(a as _, b as _, c as _, d as _),
            libc::SYS_epoll_ctl => polling::epoll_ctl(a as _, b as _, c as _, d as _),
            #[cfg(target_arch = "x86_64")]
            libc::SYS_epoll_wait => polling::epoll_wait(a as _, b as _, c as _, d as _),
            libc::SYS_epoll_pwait => polling::epoll_pwait(a as _, b as _, c as _, d as _, e as _),
            libc::SYS_epoll_pwait2 => polling::epoll_pwait2(a as _, b as _, c as _, d as _, e as _),
            _ => return None,
        }
    };
    Some(result)
}

/// Handles calls on a descriptor whose result is a number of bytes.
///
/// # Safety
///
/// The caller must meet the requirements of the system call.
unsafe fn transfer(number: c_long, [a, b, c, d, e, f]: [c_long; 6]) -> Option<c_long> {
    // SAFETY: the caller guarantees that the arguments are valid. The function takes the same ones
    // as the system call.
    let result = unsafe {
        match number {
            libc::SYS_read => transfer::read(a as _, b as _, c as _),
            libc::SYS_pread64 => positions::pread(a as _, b as _, c as _, d as _),
            libc::SYS_pwrite64 => positions::pwrite(a as _, b as _, c as _, d as _),
            // The kernel takes the position in two halves, of which 64-bit targets use the first.
            libc::SYS_preadv => positions::preadv(a as _, b as _, c as _, d as _),
            libc::SYS_pwritev => positions::pwritev(a as _, b as _, c as _, d as _),
            libc::SYS_preadv2 => positions::preadv2(a as _, b as _, c as _, d as _, f as _),
            libc::SYS_pwritev2 => positions::pwritev2(a as _, b as _, c as _, d as _, f as _),
            libc::SYS_lseek => positions::lseek(a as _, b as _, c as _) as ssize_t,
            libc::SYS_getdents64 => folders::getdents64(a as _, b as _, c as _),
            libc::SYS_readv => transfer::readv(a as _, b as _, c as _),
            libc::SYS_recvfrom => {
                transfer::recvfrom(a as _, b as _, c as _, d as _, e as _, f as _)
            }
            libc::SYS_recvmsg => messages::recvmsg(a as _, b as _, c as _),
            libc::SYS_write => transfer::write(a as _, b as _, c as _),
            libc::SYS_writev => transfer::writev(a as _, b as _, c as _),
            libc::SYS_sendto => transfer::sendto(a as _, b as _, c as _, d as _, e as _, f as _),
            libc::SYS_sendmsg => messages::sendmsg(a as _, b as _, c as _),
            _ => return None,
        }
    };
    Some(result as c_long)
}
