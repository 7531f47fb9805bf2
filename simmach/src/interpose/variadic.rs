//! `execl`, `execlp` and `execle`, which take a variable number of arguments. A run refuses these
//! calls; see [`processes`].
//!
//! Stable Rust can neither define variadic functions nor forward unknown arguments. Therefore each
//! of these functions consists of a few instructions: they save the argument registers, call `ask`
//! for the address to continue at, restore the registers and jump there. All arguments are
//! pointers, so floating-point registers need not be saved.
//!
//! [`processes`]: super::processes

use std::ffi::{c_int, c_void};
use std::ptr;

use crate::interpose::linux::fail;
use crate::interpose::processes::is_process_refused;
use crate::interpose::real::Real;

static EXECL: Real<unsafe extern "C" fn()> = Real::named(c"execl");
static EXECLP: Real<unsafe extern "C" fn()> = Real::named(c"execlp");
static EXECLE: Real<unsafe extern "C" fn()> = Real::named(c"execle");

pub(super) fn find_all() {
    EXECL.find();
    EXECLP.find();
    EXECLE.find();
}

/// The functions that this module defines.
pub(super) fn defined() -> [*const (); 3] {
    [libc::execl as *const (), libc::execlp as *const (), libc::execle as *const ()]
}

/// Returns the function to continue with, or null with `errno` set if the call fails.
extern "C" fn ask(which: c_int) -> *const c_void {
    if is_process_refused() {
        fail(libc::EPERM);
        return ptr::null();
    }
    let real = match which {
        0 => &EXECL,
        1 => &EXECLP,
        _ => &EXECLE,
    };
    match real.function() {
        Some(real) => real as *const c_void,
        None => {
            fail(libc::ENOSYS);
            ptr::null()
        }
    }
}

/// Defines one of the functions; `$which` is its number for [`ask`].
#[cfg(target_arch = "x86_64")]
macro_rules! define {
    ($name:literal, $which:literal) => {
        std::arch::global_asm!(
            concat!(".pushsection .text.", $name, ",\"ax\",@progbits"),
            concat!(".globl ", $name),
            concat!(".type ", $name, ",@function"),
            ".p2align 4",
            concat!($name, ":"),
            ".cfi_startproc",
            "endbr64",
            // Saves seven registers, which aligns the stack: six argument registers, and `al`, the number of vector
            // registers used.
            "push rdi",
            ".cfi_adjust_cfa_offset 8",
            "push rsi",
            ".cfi_adjust_cfa_offset 8",
            "push rdx",
            ".cfi_adjust_cfa_offset 8",
            "push rcx",
            ".cfi_adjust_cfa_offset 8",
            "push r8",
            ".cfi_adjust_cfa_offset 8",
            "push r9",
            ".cfi_adjust_cfa_offset 8",
            "push rax",
            ".cfi_adjust_cfa_offset 8",
            concat!("mov edi, ", $which),
            "call {ask}",
            "mov r11, rax",
            "pop rax",
            ".cfi_adjust_cfa_offset -8",
            "pop r9",
            ".cfi_adjust_cfa_offset -8",
            "pop r8",
            ".cfi_adjust_cfa_offset -8",
            "pop rcx",
            ".cfi_adjust_cfa_offset -8",
            "pop rdx",
            ".cfi_adjust_cfa_offset -8",
            "pop rsi",
            ".cfi_adjust_cfa_offset -8",
            "pop rdi",
            ".cfi_adjust_cfa_offset -8",
            "test r11, r11",
            "jz 2f",
            "jmp r11",
            "2:",
            "mov eax, -1",
            "ret",
            ".cfi_endproc",
            concat!(".size ", $name, ", . - ", $name),
            ".popsection",
            ask = sym ask,
        );
    };
}

/// Defines one of the functions; `$which` is its number for [`ask`].
#[cfg(target_arch = "aarch64")]
macro_rules! define {
    ($name:literal, $which:literal) => {
        std::arch::global_asm!(
            concat!(".pushsection .text.", $name, ",\"ax\",@progbits"),
            concat!(".globl ", $name),
            concat!(".type ", $name, ",@function"),
            ".p2align 4",
            concat!($name, ":"),
            ".cfi_startproc",
            // A landing pad for indirect calls, `bti c`.
            "hint #34",
            "stp x29, x30, [sp, #-80]!",
            ".cfi_def_cfa_offset 80",
            ".cfi_offset x29, -80",
            ".cfi_offset x30, -72",
            "mov x29, sp",
            "stp x0, x1, [sp, #16]",
            "stp x2, x3, [sp, #32]",
            "stp x4, x5, [sp, #48]",
            "stp x6, x7, [sp, #64]",
            concat!("mov w0, #", $which),
            "bl {ask}",
            "mov x16, x0",
            "ldp x0, x1, [sp, #16]",
            "ldp x2, x3, [sp, #32]",
            "ldp x4, x5, [sp, #48]",
            "ldp x6, x7, [sp, #64]",
            "ldp x29, x30, [sp], #80",
            ".cfi_def_cfa_offset 0",
            ".cfi_restore x29",
            ".cfi_restore x30",
            "cbz x16, 2f",
            "br x16",
            "2:",
            "mov w0, #-1",
            "ret",
            ".cfi_endproc",
            concat!(".size ", $name, ", . - ", $name),
            ".popsection",
            ask = sym ask,
        );
    };
}

define!("execl", "0");
define!("execlp", "1");
define!("execle", "2");
