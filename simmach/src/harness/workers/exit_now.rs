//! Exits this process immediately, without destructors and exit handlers.
//!
//! When a worker's parent has ended, or a run hangs, other threads may still execute code, which
//! must not see the process being torn down. Only one exit handler matters: with
//! `-C instrument-coverage`, it writes the coverage profile. On 64-bit Linux, this module writes
//! the profile instead.

use std::time::Duration;

/// Exits this process, after writing its coverage profile if it collects one.
pub(crate) fn exit_now(status: i32) -> ! {
    profile::write();
    signal_hook::low_level::exit(status)
}

/// Registers an exit handler if this process collects a coverage profile. The handler waits for the
/// workers. Otherwise, they would still write their profiles when the caller of this process reads
/// them.
pub(crate) fn at_exit_if_profiled(end: extern "C" fn()) {
    if is_instrumented() {
        // SAFETY: the function is never unloaded, and does not unwind, since it is `extern "C"`. An error means that there
        // was not enough memory for the handler. In that case the process does not wait for the workers.
        unsafe { libc::atexit(end) };
    }
}

/// How long to wait for a worker to exit before it is killed.
pub(crate) fn timeout(usual: Duration) -> Duration {
    // Long enough to write a profile of any size on a busy machine.
    if is_instrumented() { usual.max(Duration::from_secs(30)) } else { usual }
}

/// Whether this binary collects a coverage profile.
fn is_instrumented() -> bool {
    profile::writer().is_some()
}

#[cfg(all(target_os = "linux", target_pointer_width = "64"))]
mod profile {
    use std::ffi::c_int;

    // The address of LLVM's function. The linker sets it to zero if the binary does not contain the function. `dlsym` would
    // not find the function, since it is not exported. A plain declaration would not link, since only instrumented binaries
    // contain it.
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

    type ProfileWriter = unsafe extern "C" fn() -> c_int;

    unsafe extern "C" {
        #[link_name = "simmach_profile_writer"]
        static WRITER: Option<ProfileWriter>;
    }

    pub(crate) fn writer() -> Option<ProfileWriter> {
        // SAFETY: the word is defined above. The loader set it before any code ran, and nothing changes it. Zero is `None`;
        // any other value is the address of a function of this type.
        unsafe { WRITER }
    }

    pub(crate) fn write() {
        if let Some(write) = writer() {
            // SAFETY: the function may be called at any time, by any thread. LLVM reports failures on standard error.
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
