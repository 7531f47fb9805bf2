//! Starts processes without address space randomization, to find out whether a run depends on addresses.

/// Calls `f`. Processes that `f` starts on this thread have no address randomization. Returns
/// `None` if the system does not support disabling it.
#[cfg(target_os = "linux")]
pub(crate) fn without_randomization<R>(f: impl FnOnce() -> R) -> Option<R> {
    struct Restore(libc::c_int);
    impl Drop for Restore {
        fn drop(&mut self) {
            // SAFETY: `personality` takes a number, and only sets what children of this thread inherit.
            unsafe { libc::personality(self.0 as libc::c_ulong) };
        }
    }
    /// Argument that only queries the personality.
    const QUERY: libc::c_ulong = 0xffff_ffff;
    // SAFETY: as above.
    let before = unsafe { libc::personality(QUERY) };
    let wanted = (before | libc::ADDR_NO_RANDOMIZE) as libc::c_ulong;
    // SAFETY: as above.
    if before == -1 || unsafe { libc::personality(wanted) } == -1 {
        return None;
    }
    let _restore = Restore(before);
    Some(f())
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn without_randomization<R>(_: impl FnOnce() -> R) -> Option<R> {
    None
}
