//! The functions of the C library that the interposed functions forward calls to.

use std::ffi::{CStr, c_void};
use std::marker::PhantomData;
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};

/// A function of the C library, identified by its name. `F` is the function's C type.
pub(super) struct Real<F> {
    name: &'static CStr,
    version: Option<&'static CStr>,
    address: AtomicPtr<c_void>,
    function: PhantomData<F>,
}

impl<F: Copy> Real<F> {
    pub(super) const fn named(name: &'static CStr) -> Self {
        const { assert!(size_of::<F>() == size_of::<*mut c_void>()) };
        Self {
            name,
            version: None,
            address: AtomicPtr::new(ptr::null_mut()),
            function: PhantomData,
        }
    }

    /// Creates a function with a version, for symbols that have several: before glibc 2.36,
    /// `dlsym(RTLD_NEXT)` finds the oldest version.
    #[cfg(target_os = "linux")]
    pub(super) const fn versioned(name: &'static CStr, version: &'static CStr) -> Self {
        Self { version: Some(version), ..Self::named(name) }
    }

    /// Returns the function, or `None` if the library does not have it.
    #[inline(always)]
    pub(super) fn function(&self) -> Option<F> {
        let mut address = self.address.load(Ordering::Relaxed);
        if address.is_null() {
            address = self.find();
        }
        if address.is_null() {
            return None;
        }
        // SAFETY: `F` is a function pointer, of a pointer's size as asserted above, and the statics, the only values of
        // this type, pair each name with the type that the C library documents for it.
        Some(unsafe { std::mem::transmute_copy::<*mut c_void, F>(&address) })
    }

    /// Whether the function was looked up, and the library has it.
    #[cfg(target_os = "linux")]
    #[inline(always)]
    pub(super) fn is_found(&self) -> bool {
        !self.address.load(Ordering::Relaxed).is_null()
    }

    #[cold]
    pub(super) fn find(&self) -> *mut c_void {
        let address = self.find_version().unwrap_or_else(|| {
            // SAFETY: the name is a C string; `RTLD_NEXT` asks for the definition behind the binary's own.
            unsafe { libc::dlsym(libc::RTLD_NEXT, self.name.as_ptr()) }
        });
        self.address.store(address, Ordering::Relaxed);
        address
    }

    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    fn find_version(&self) -> Option<*mut c_void> {
        let version = self.version?;
        // SAFETY: as in `find`; the version is a C string, too.
        let address =
            unsafe { libc::dlvsym(libc::RTLD_NEXT, self.name.as_ptr(), version.as_ptr()) };
        (!address.is_null()).then_some(address)
    }

    #[cfg(not(all(target_os = "linux", target_env = "gnu")))]
    fn find_version(&self) -> Option<*mut c_void> {
        None
    }
}
