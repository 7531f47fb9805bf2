//! Starts threads. In a guest, the run starts them. In other code of a run, starting a thread is
//! refused unless the run allows it. Allowed threads, and threads that they start, are counted
//! while they live, since each of them may end a wait of the run's thread.

use std::cell::Cell;
use std::ffi::{CStr, c_char, c_int, c_ulong, c_void};
use std::ptr;
use std::sync::OnceLock;

use libc::{pthread_attr_t, pthread_key_t, pthread_t};

use crate::engine::failure::refusals::ForbiddenCall;
use crate::interpose::linux::fail;
use crate::interpose::real::Real;
use crate::interpose::system::Routine;
use crate::interpose::trap::Trap;
use crate::interpose::{answers, system};

type Start = extern "C-unwind" fn(*mut c_void) -> *mut c_void;

static PTHREAD_CREATE: Real<
    unsafe extern "C" fn(*mut pthread_t, *const pthread_attr_t, Start, *mut c_void) -> c_int,
> = Real::named(c"pthread_create");

static PTHREAD_SETNAME_NP: Real<unsafe extern "C" fn(pthread_t, *const c_char) -> c_int> =
    Real::named(c"pthread_setname_np");
static PRCTL: Real<unsafe extern "C" fn(c_int, ...) -> c_int> = Real::named(c"prctl");

/// A thread-specific value of each counted thread. Its destructor runs when the thread ends in any
/// way.
static COUNTED: OnceLock<Option<pthread_key_t>> = OnceLock::new();

thread_local! {
    /// Whether a run allowed this thread.
    static IS_ALLOWED: Cell<bool> = const { Cell::new(false) };
}

/// The start routine of a counted thread, with its argument.
struct Work {
    start: Start,
    argument: *mut c_void,
}

pub(super) fn find_all() {
    PTHREAD_CREATE.find();
    PTHREAD_SETNAME_NP.find();
    PRCTL.find();
}

/// The functions that this module defines.
pub(super) fn defined() -> [*const (); 3] {
    [pthread_create as *const (), pthread_setname_np as *const (), prctl as *const ()]
}

unsafe extern "C" {
    fn pthread_attr_getdetachstate(attributes: *const pthread_attr_t, state: *mut c_int) -> c_int;
}

/// Whether threads with these attributes are detached from the beginning.
///
/// # Safety
///
/// `attributes` must be null or initialized.
unsafe fn is_detached(attributes: *const pthread_attr_t) -> bool {
    let mut state = libc::PTHREAD_CREATE_JOINABLE;
    // SAFETY: the pointer is not null, and the caller guarantees that it is valid.
    !attributes.is_null()
        && unsafe { pthread_attr_getdetachstate(attributes, &raw mut state) } == 0
        && state == libc::PTHREAD_CREATE_DETACHED
}

/// # Safety
///
/// The caller must meet the requirements of the C function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pthread_create(
    thread: *mut pthread_t,
    attributes: *const pthread_attr_t,
    start: Start,
    argument: *mut c_void,
) -> c_int {
    if let Some(calls) = system::calls().filter(|calls| calls.has_threads()) {
        let routine = Routine::new(move || start(argument));
        let mut create = |routine: Routine| {
            let Some(real) = PTHREAD_CREATE.function() else { return Err(libc::EAGAIN) };
            let routine = Box::into_raw(Box::new(routine));
            let mut handle = 0;
            // SAFETY: guaranteed by the caller for the attributes; the start routine takes this argument.
            let error = unsafe { real(&raw mut handle, attributes, run_routine, routine.cast()) };
            if error != 0 {
                // SAFETY: no thread was started, so nothing else owns it.
                drop(unsafe { Box::from_raw(routine) });
                return Err(error);
            }
            // SAFETY: the pointer is valid for writes of a handle, as guaranteed by the caller.
            unsafe { thread.write(handle) };
            Ok(handle)
        };
        // SAFETY: the caller guarantees that the attributes are valid.
        let is_detached = unsafe { is_detached(attributes) };
        return calls.start_thread(routine, is_detached, &mut create);
    }
    if answers::refuse(ForbiddenCall::Thread) {
        return libc::EAGAIN;
    }
    let Some(real) = PTHREAD_CREATE.function() else { return libc::EAGAIN };
    if !answers::record_allowed_thread() && !IS_ALLOWED.get() {
        // SAFETY: the caller guarantees that the arguments are valid.
        return unsafe { real(thread, attributes, start, argument) };
    }
    // SAFETY: `malloc` has no preconditions.
    let work = unsafe { libc::malloc(size_of::<Work>()) }.cast::<Work>();
    if work.is_null() {
        return libc::EAGAIN;
    }
    // SAFETY: the memory is not null, aligned for any type, and large enough.
    unsafe { work.write(Work { start, argument }) };
    answers::count_thread_start();
    // SAFETY: guaranteed by the caller, except for the start routine and its argument; the start routine takes this
    // argument.
    let error = unsafe { real(thread, attributes, begin, work.cast()) };
    if error != 0 {
        answers::count_thread_end();
        // SAFETY: no thread was started, so nothing else owns it.
        unsafe { libc::free(work.cast()) };
    }
    error
}

/// # Safety
///
/// The caller must meet the requirements of the C function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pthread_setname_np(thread: pthread_t, name: *const c_char) -> c_int {
    // SAFETY: the name is a C string, as guaranteed by the caller.
    unsafe { keep_name(thread, name) };
    match PTHREAD_SETNAME_NP.function() {
        // SAFETY: the caller guarantees that the arguments are valid.
        Some(real) => unsafe { real(thread, name) },
        None => libc::ENOSYS,
    }
}

/// In C, this function is variadic; see [`syscall`](super::linux::syscall).
///
/// # Safety
///
/// The caller must meet the requirements of the C function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn prctl(
    option: c_int,
    a: c_ulong,
    b: c_ulong,
    c: c_ulong,
    d: c_ulong,
) -> c_int {
    if option == libc::PR_SET_NAME {
        // SAFETY: the name is a C string, as guaranteed by the caller; `pthread_self` has no preconditions.
        unsafe { keep_name(libc::pthread_self(), ptr::with_exposed_provenance(a as usize)) };
    }
    match PRCTL.function() {
        // SAFETY: the caller guarantees that the arguments are valid.
        Some(real) => unsafe { real(option, a, b, c, d) },
        None => fail(libc::ENOSYS),
    }
}

/// Keeps the name of a guest's thread for reports.
///
/// # Safety
///
/// `name` must be null or a C string.
unsafe fn keep_name(thread: pthread_t, name: *const c_char) {
    if let Some(calls) = system::calls().filter(|_| !name.is_null()) {
        // SAFETY: the pointer is not null, and the caller guarantees that it is valid.
        let name = unsafe { CStr::from_ptr(name) };
        calls.name_thread(thread, &name.to_string_lossy());
    }
}

/// The start routine of threads that a guest starts.
extern "C-unwind" fn run_routine(routine: *mut c_void) -> *mut c_void {
    // SAFETY: `pthread_create` created it for this thread alone.
    let routine = unsafe { Box::from_raw(routine.cast::<Routine>()) };
    let _trap = Trap::set();
    routine.call()
}

/// Calls `end` when this thread ends, after the destructors of its thread-locals. All calls in a process must pass the same
/// function: the first one is used.
pub(crate) fn on_thread_end(end: fn()) {
    static END: OnceLock<fn()> = OnceLock::new();
    static KEY: OnceLock<Option<pthread_key_t>> = OnceLock::new();
    extern "C" fn ended(_: *mut c_void) {
        if let Some(end) = END.get() {
            end();
        }
    }
    END.get_or_init(|| end);
    let key = *KEY.get_or_init(|| {
        let mut key = 0;
        // SAFETY: `key` has room for a key, and `ended` may be called with any value.
        let error = unsafe { libc::pthread_key_create(&raw mut key, Some(ended)) };
        (error == 0).then_some(key)
    });
    if let Some(key) = key {
        // SAFETY: the key exists; the value is only compared with null.
        unsafe { libc::pthread_setspecific(key, ptr::dangling()) };
    }
}

/// The start routine of counted threads. It holds no value with a destructor, since a thread may end by `pthread_exit`.
extern "C-unwind" fn begin(work: *mut c_void) -> *mut c_void {
    // SAFETY: `pthread_create` wrote it for this thread alone.
    let Work { start, argument } = unsafe { work.cast::<Work>().read() };
    // SAFETY: the memory comes from `malloc`, and no other thread uses it.
    unsafe { libc::free(work) };
    IS_ALLOWED.set(true);
    if let Some(key) = counted() {
        // SAFETY: the key exists; the value is only compared with null. If memory for it is lacking, the thread is counted as
        // alive forever.
        unsafe { libc::pthread_setspecific(key, ptr::dangling()) };
    }
    start(argument)
}

fn counted() -> Option<pthread_key_t> {
    *COUNTED.get_or_init(|| {
        extern "C" fn ended(_: *mut c_void) {
            answers::count_thread_end();
        }
        let mut key = 0;
        // SAFETY: `key` has room for a key, and `ended` may be called with any value.
        let error = unsafe { libc::pthread_key_create(&raw mut key, Some(ended)) };
        (error == 0).then_some(key)
    })
}
