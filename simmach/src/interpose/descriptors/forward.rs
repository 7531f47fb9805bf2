//! Forwards calls on descriptors, and converts their results.
//!
//! A call that cannot wait is forwarded as a system call by number; the C library's function would
//! do nothing more. This needs no symbol lookup and therefore also works in a signal handler, and
//! in a child after `vfork`. A call that may wait is forwarded to the C library's function, since
//! the thread may be cancelled while it waits there.

use std::ffi::{c_int, c_long};

use crate::interpose::linux::{fail, pass_on};
use crate::interpose::system::Answer;

/// Calls the C library's function.
macro_rules! forward {
    ($real:ident($($argument:expr),* $(,)?)) => {
        match $real.function() {
            // SAFETY: the caller guarantees that the arguments are valid.
            Some(real) => unsafe { real($($argument),*) },
            None => $crate::interpose::linux::fail(libc::ENOSYS) as _,
        }
    };
}

/// Makes a system call by number.
macro_rules! forward_by_number {
    ($number:ident($($argument:expr),* $(,)?)) => {
        // SAFETY: the caller guarantees that the arguments are valid.
        unsafe { $crate::interpose::descriptors::forward::by_number(libc::$number, [$($argument as c_long),*]) }
    };
}

/// Defines a second name of a function. On 64-bit Linux, the functions for large files, such as
/// `pread64`, are second names.
macro_rules! second_name {
    ($name:ident = $first:ident($($argument:ident: $type:ty),* $(,)?) -> $result:ty) => {
        #[doc = concat!("Another name of [`", stringify!($first), "`].")]
        ///
        /// # Safety
        ///
        /// The caller must meet the requirements of the C function.
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $name($($argument: $type),*) -> $result {
            // SAFETY: the caller guarantees that the arguments are valid.
            unsafe { $first($($argument),*) }
        }
    };
}

pub(super) use forward;
pub(super) use forward_by_number;
pub(super) use second_name;

/// Makes a system call whose result is an `int`.
///
/// # Safety
///
/// The caller must meet the requirements of the system call.
#[inline]
pub(super) unsafe fn by_number<const N: usize>(number: c_long, arguments: [c_long; N]) -> c_int {
    let mut all = [0; 6];
    all[..N].copy_from_slice(&arguments);
    // SAFETY: the caller meets the requirements of this call.
    unsafe { pass_on(number, all) as c_int }
}

/// A type in which a function of the C library returns a result, or -1.
pub(super) trait ToC {
    type Result;
    fn to_c(self) -> Self::Result;
}

impl ToC for Answer<()> {
    type Result = c_int;

    #[inline]
    fn to_c(self) -> c_int {
        self.map(|()| 0).to_c()
    }
}

impl ToC for Answer<c_int> {
    type Result = c_int;

    #[inline]
    fn to_c(self) -> c_int {
        self.unwrap_or_else(|error| fail(error.0))
    }
}

impl ToC for Answer<usize> {
    type Result = libc::ssize_t;

    #[inline]
    fn to_c(self) -> libc::ssize_t {
        match self {
            Ok(count) => count as libc::ssize_t,
            Err(error) => fail(error.0) as libc::ssize_t,
        }
    }
}
