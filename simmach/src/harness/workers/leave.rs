//! Ends this process at once: no destructor, no exit handler.
//!
//! A worker's parent may be gone, or one of its runs may hang, while other threads are at work in code that must not see
//! its process being taken down. One exit handler is missed: in a binary built with `-C instrument-coverage` it writes the
//! profile. That is done here before the process ends (on Linux, 64 bits).

use std::time::Duration;

/// Ends this process; its coverage profile is written if there is one.
pub(crate) fn leave(status: i32) -> ! {
    profile::write();
    signal_hook::low_level::exit(status)
}

/// Calls `end` when this process ends in order, if it collects a profile: `end` waits for the workers, whose profiles would
/// else still be written while whoever started this process reads them.
pub(crate) fn when_profiled_at_exit(end: extern "C" fn()) {
    if is_instrumented() {
        // SAFETY: the function is never unloaded, and does not unwind: it is `extern "C"`. An error means that there is no
        // memory for it: then the workers are not waited for.
        unsafe { libc::atexit(end) };
    }
}

/// How long a worker that was told to go is waited for before it is killed.
pub(crate) fn patience(usual: Duration) -> Duration {
    // Enough for a profile of any size on a busy machine.
    if is_instrumented() { usual.max(Duration::from_secs(30)) } else { usual }
}

/// Whether this binary collects a coverage profile.
fn is_instrumented() -> bool {
    profile::writer().is_some()
}

#[cfg(all(target_os = "linux", target_pointer_width = "64"))]
mod profile {
    use std::ffi::c_int;

    // The address of LLVM's function, which the linker sets to zero where the binary has none. Neither `dlsym` nor a plain
    // declaration would do: the function is not exported, and it is there in instrumented binaries only.
    std::arch::global_asm!(
        ".weak __llvm_profile_write_file",
        ".pushsection .data.rel.ro.simmach_profile_writer, \"aw\", %progbits",
        ".p2align 3",
        ".hidden simmach_profile_writer",
        ".globl simmach_profile_writer",
        "simmach_profile_writer:",
        ".quad __llvm_profile_write_file",
        ".popsection",
    );

    type Writer = unsafe extern "C" fn() -> c_int;

    unsafe extern "C" {
        #[link_name = "simmach_profile_writer"]
        static WRITER: Option<Writer>;
    }

    pub(crate) fn writer() -> Option<Writer> {
        // SAFETY: the word is defined above; the loader has set it before any code ran, and nothing changes it. Zero is
        // `None`, and anything else is the address of a function of this type.
        unsafe { WRITER }
    }

    pub(crate) fn write() {
        if let Some(write) = writer() {
            // SAFETY: it may be called at any time, by any thread. A failure is reported by LLVM on standard error.
            unsafe { write() };
        }
    }
}

#[cfg(not(all(target_os = "linux", target_pointer_width = "64")))]
mod profile {
    pub(crate) fn writer() -> Option<()> {
        None
    }

    pub(crate) fn write() {}
}
