//! The C library's function `pthread_once`, which waits while another thread runs the initializer.

use std::ffi::c_int;
use std::sync::atomic::AtomicI32;
use std::sync::atomic::Ordering::Acquire;

use libc::pthread_once_t;

use crate::interpose::answers;
use crate::interpose::locks::waiting;
use crate::interpose::real::Real;

type Initializer = extern "C-unwind" fn();

static ONCE: Real<unsafe extern "C-unwind" fn(*mut pthread_once_t, Initializer) -> c_int> =
    Real::named(c"pthread_once");

/// The bits of glibc's control word.
const IN_PROGRESS: c_int = 1;
const DONE: c_int = 2;

/// The function that this module defines.
pub(super) fn defined() -> [*const (); 1] {
    [pthread_once as *const ()]
}

/// # Safety
///
/// The caller must meet the requirements of the C function.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn pthread_once(
    control: *mut pthread_once_t,
    initializer: Initializer,
) -> c_int {
    let Some(real) = ONCE.function() else { return libc::ENOSYS };
    if answers::is_here() && !control.is_null() {
        // SAFETY: the control word lives as long as the program, as guaranteed by the caller.
        let word = unsafe { AtomicI32::from_ptr(control) };
        let is_in_progress = || word.load(Acquire) & (IN_PROGRESS | DONE) == IN_PROGRESS;
        if is_in_progress() {
            waiting::wait_while(control.addr(), &mut { is_in_progress }, None);
        }
    }
    // SAFETY: the caller guarantees that the arguments are valid.
    let answer = unsafe { real(control, initializer) };
    waiting::wake(control.addr(), usize::MAX);
    answer
}
