//! This thread's static TLS block, which contains the `thread_local!`s of the program.

use std::ffi::{c_int, c_void};

/// The words of this thread's TLS block for one object: the program, or a library.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ThreadStorage {
    first: *const u64,
    length: usize,
}

thread_local! {
    static ANCHOR: u64 = const { 0 };
}

impl ThreadStorage {
    /// Returns the TLS block of the object that contains simmach: the program, or a library that is linked with it.
    pub(crate) fn of_this_object() -> Option<Self> {
        let anchor = ANCHOR.with(|anchor| std::ptr::from_ref(anchor).expose_provenance());
        let mut search = Search { anchor, found: None };
        // SAFETY: the callback is called only before this call returns, with a pointer that is valid until then.
        unsafe { libc::dl_iterate_phdr(Some(look_into), (&raw mut search).cast()) };
        search.found
    }

    pub(crate) fn len(self) -> usize {
        self.length
    }

    /// The word with this number; `None` beyond the end.
    pub(crate) fn get(self, at: usize) -> Option<u64> {
        // SAFETY: the TLS block has this many words and is valid for reads as long as the thread lives.
        (at < self.length).then(|| unsafe { self.first.add(at).read_volatile() })
    }

    /// Sets the word with this number. The caller must know that every value is valid for the word,
    /// as for the state of a generator.
    pub(crate) fn set(self, at: usize, value: u64) {
        if at < self.length {
            // SAFETY: as in `get`; the word is in a `Cell` of this thread, and no reference to it
            // exists during the write.
            unsafe { self.first.cast_mut().add(at).write_volatile(value) };
        }
    }

    /// The address of the word with this number.
    pub(crate) fn address(self, at: usize) -> usize {
        self.first.expose_provenance() + at * size_of::<u64>()
    }
}

struct Search {
    anchor: usize,
    found: Option<ThreadStorage>,
}

unsafe extern "C" fn look_into(
    object: *mut libc::dl_phdr_info,
    _size: usize,
    search: *mut c_void,
) -> c_int {
    // SAFETY: `dl_iterate_phdr` passes a valid object, and the pointer to the `Search` that `of_this_object` gave it.
    let (object, search) = unsafe { (&*object, &mut *search.cast::<Search>()) };
    let first = object.dlpi_tls_data as *const u64;
    if first.is_null() || !first.is_aligned() {
        return 0;
    }
    // SAFETY: `dlpi_phdr` points to `dlpi_phnum` headers, which are valid for reads during the callback.
    let headers = unsafe { std::slice::from_raw_parts(object.dlpi_phdr, object.dlpi_phnum.into()) };
    let Some(tls) = headers.iter().find(|header| header.p_type == libc::PT_TLS) else { return 0 };
    let length = tls.p_memsz as usize / size_of::<u64>();
    let from = first.expose_provenance();
    if !(from..from + length * size_of::<u64>()).contains(&search.anchor) {
        return 0;
    }
    search.found = Some(ThreadStorage { first, length });
    1
}
