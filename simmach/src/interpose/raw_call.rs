//! System calls by CPU instruction, for functions that allocators call before any symbol can be
//! looked up.

use std::arch::asm;
use std::ffi::c_long;

use crate::interpose::linux::{SYSCALL, fail, pass_on};

/// Makes a system call: through the C library if its function was looked up, since a run would trap the instruction. Returns
/// -1 and sets `errno` on an error, as `syscall` does.
///
/// # Safety
///
/// The caller must meet the requirements of the system call.
#[inline]
pub(super) unsafe fn call(number: c_long, arguments: [c_long; 6]) -> c_long {
    // SAFETY: guaranteed by the caller.
    unsafe {
        if SYSCALL.is_found() {
            pass_on(number, arguments)
        } else {
            by_instruction(number, arguments)
        }
    }
}

/// Makes a system call by an instruction of its own. Returns -1 and sets `errno` on an error.
///
/// # Safety
///
/// The caller must meet the requirements of the system call.
#[cfg(target_arch = "x86_64")]
#[inline]
pub(super) unsafe fn by_instruction(number: c_long, [a, b, c, d, e, f]: [c_long; 6]) -> c_long {
    let result: c_long;
    // SAFETY: the caller meets the requirements of the system call. The kernel changes only these
    // registers.
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") number => result,
            in("rdi") a,
            in("rsi") b,
            in("rdx") c,
            in("r10") d,
            in("r8") e,
            in("r9") f,
            lateout("rcx") _,
            lateout("r11") _,
            options(nostack),
        );
    }
    to_c(result)
}

/// Makes a system call by an instruction of its own. Returns -1 and sets `errno` on an error.
///
/// # Safety
///
/// The caller must meet the requirements of the system call.
#[cfg(target_arch = "aarch64")]
#[inline]
pub(super) unsafe fn by_instruction(number: c_long, [a, b, c, d, e, f]: [c_long; 6]) -> c_long {
    let result: c_long;
    // SAFETY: guaranteed by the caller. The kernel changes this register only.
    unsafe {
        asm!(
            "svc 0",
            in("x8") number,
            inlateout("x0") a => result,
            in("x1") b,
            in("x2") c,
            in("x3") d,
            in("x4") e,
            in("x5") f,
            options(nostack),
        );
    }
    to_c(result)
}

/// Makes a system call. Returns -1 and sets `errno` on an error.
///
/// # Safety
///
/// The caller must meet the requirements of the system call.
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
#[inline]
pub(super) unsafe fn by_instruction(number: c_long, arguments: [c_long; 6]) -> c_long {
    // SAFETY: guaranteed by the caller.
    unsafe { pass_on(number, arguments) }
}

#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
fn to_c(result: c_long) -> c_long {
    if (-4095..0).contains(&result) { fail(-result as i32).into() } else { result }
}
