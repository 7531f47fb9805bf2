//! What tokio keeps in private statics, which runs of one process share.
//!
//! A runtime's generator, which `tokio::select!` and `watch` draw from, is seeded with the number of runtimes built before. A
//! run puts that counter back, so that it does not depend on the runs before it. The counter is private: it is found by
//! its behaviour, as the one word of the program's data that grows by one with each `Builder`. If there is no such word, it is
//! left alone; the determinism check then finds what depends on it.

mod fairness;

use std::cell::Cell;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Once, OnceLock};

use tokio::runtime::Builder;

/// Makes what tokio keeps in statics, outside every run: its socket pair for signals would otherwise be one of the first run.
pub(crate) fn prepare() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // Without descriptors it cannot be built, and no run could begin either.
        drop(Builder::new_current_thread().enable_all().build());
        counter();
        fairness::prepare();
    });
}

/// Puts the counter back, at the beginning of a run.
pub(crate) fn reset() {
    // A thread's own generator takes a number when a runtime is first entered there.
    thread_local! {
        static IS_ENTERED: Cell<bool> = const { Cell::new(false) };
    }
    if !IS_ENTERED.replace(true)
        && let Ok(runtime) = Builder::new_current_thread().build()
    {
        runtime.block_on(async {});
    }
    fairness::reset();
    if let Some(counter) = counter() {
        counter.store(1, Ordering::Relaxed);
    }
}

/// Counts of builders that are made to find the counter. No other word grows by all of them.
const COUNTS: [u32; 3] = [3, 7, 11];

fn counter() -> Option<&'static AtomicU32> {
    static COUNTER: OnceLock<Option<&'static AtomicU32>> = OnceLock::new();
    *COUNTER.get_or_init(|| {
        let mut candidates: Vec<&'static AtomicU32> = words::writable();
        for count in COUNTS {
            let before: Vec<u32> =
                candidates.iter().map(|word| word.load(Ordering::Relaxed)).collect();
            (0..count).for_each(|_| drop(Builder::new_current_thread()));
            let mut before = before.into_iter();
            candidates.retain(|word| {
                let before = before.next().unwrap_or(0);
                word.load(Ordering::Relaxed).wrapping_sub(before) == count
            });
        }
        match candidates[..] {
            [only] => Some(only),
            _ => None,
        }
    })
}

mod words {
    use std::ffi::{c_int, c_void};
    use std::mem::MaybeUninit;
    use std::sync::atomic::{AtomicU32, AtomicU64};

    /// The words of the program's own writable data.
    pub(super) fn writable() -> Vec<&'static AtomicU32> {
        let mut found = Vec::new();
        // SAFETY: the callback is only called before this returns, with the pointer passed here.
        unsafe { libc::dl_iterate_phdr(Some(add), (&raw mut found).cast()) };
        found
    }

    /// As [`writable`], by words of 64 bits.
    pub(super) fn writable_pairs() -> Vec<&'static AtomicU64> {
        let halves = writable().into_iter().map(AtomicU32::as_ptr);
        let firsts = halves.filter(|half| half.addr().is_multiple_of(8));
        // SAFETY: as for the halves, of which there are two at each of these addresses: a segment's pages are mapped whole.
        firsts.map(|half| unsafe { AtomicU64::from_ptr(half.cast()) }).collect()
    }

    /// The `count` words at an address, which are never freed.
    pub(super) fn at(address: u64, count: usize) -> &'static [AtomicU64] {
        let first = std::ptr::with_exposed_provenance(address as usize);
        // SAFETY: the callers' addresses are in a table that is never freed, found by its form. Its words are written by this
        // thread, or by others atomically or under a lock of theirs that does not cover those written here.
        unsafe { std::slice::from_raw_parts(first, count) }
    }

    /// Copies a value from an address that may not be mapped.
    pub(super) fn copy<T: Copy>(address: u64) -> Option<T> {
        let mut value = MaybeUninit::<T>::uninit();
        let length = size_of::<T>();
        let to = libc::iovec { iov_base: value.as_mut_ptr().cast(), iov_len: length };
        let from = std::ptr::with_exposed_provenance_mut(address as usize);
        let from = libc::iovec { iov_base: from, iov_len: length };
        let own = std::process::id().cast_signed();
        // SAFETY: `to` has room for the value; the kernel checks the other address.
        let copied =
            unsafe { libc::process_vm_readv(own, &raw const to, 1, &raw const from, 1, 0) };
        // SAFETY: all of it is written, by any bytes, which the callers' arrays of integers may have.
        (copied.cast_unsigned() == length).then(|| unsafe { value.assume_init() })
    }

    unsafe extern "C" fn add(
        object: *mut libc::dl_phdr_info,
        _size: usize,
        found: *mut c_void,
    ) -> c_int {
        // SAFETY: the caller's object, and the vector that `writable` passed in.
        let (object, found) = unsafe { (&*object, &mut *found.cast::<Vec<&AtomicU32>>()) };
        // SAFETY: the object has this many headers.
        let headers =
            unsafe { std::slice::from_raw_parts(object.dlpi_phdr, object.dlpi_phnum.into()) };
        for header in headers {
            if header.p_type != libc::PT_LOAD || header.p_flags & libc::PF_W == 0 {
                continue;
            }
            let start = (object.dlpi_addr as usize).wrapping_add(header.p_vaddr as usize);
            let (from, to) = (start.next_multiple_of(4), start + header.p_memsz as usize);
            for address in (from..to.saturating_sub(3)).step_by(4) {
                let word = std::ptr::with_exposed_provenance_mut(address);
                // SAFETY: the program's own data is mapped and aligned for as long as it runs. It is read and written
                // atomically here; a word that others write without is no candidate for long.
                found.push(unsafe { AtomicU32::from_ptr(word) });
            }
        }
        // The first object is the program: the others are not looked at.
        1
    }
}
