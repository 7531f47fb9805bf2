//! Processes whose addresses are the same each time, so that what depends on them can be told from what does not.

/// Calls `f`; processes that this thread starts in it are loaded at fixed addresses. `None` where the system can't.
#[cfg(target_os = "linux")]
pub(crate) fn fixed<R>(f: impl FnOnce() -> R) -> Option<R> {
    struct Back(libc::c_int);
    impl Drop for Back {
        fn drop(&mut self) {
            // SAFETY: it takes a number, and sets what this thread's own children inherit.
            unsafe { libc::personality(self.0 as libc::c_ulong) };
        }
    }
    /// Asks what it is, and sets nothing.
    const ASK: libc::c_ulong = 0xffff_ffff;
    // SAFETY: as above.
    let before = unsafe { libc::personality(ASK) };
    let wanted = (before | libc::ADDR_NO_RANDOMIZE) as libc::c_ulong;
    // SAFETY: as above.
    if before == -1 || unsafe { libc::personality(wanted) } == -1 {
        return None;
    }
    let _back = Back(before);
    Some(f())
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn fixed<R>(_: impl FnOnce() -> R) -> Option<R> {
    None
}
