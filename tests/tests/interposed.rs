//! Tests the interposed C functions in unusual places: before `main`, in constructors and
//! destructors of threads, inside an allocator, and in a signal handler. `benches/instant.rs`
//! measures their cost.
//!
//! This binary's allocator reads the clock at every allocation, in a run and outside.
#![cfg(target_os = "linux")]
#![allow(
    clippy::disallowed_methods,
    reason = "what std and the C library answer is what is tested"
)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::ffi::{CStr, c_int, c_void};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use simmach::prelude::*;
use simmach::program::{Program, Scenario};
use simmach::time::sleep;

#[global_allocator]
static ALLOCATOR: Asking = Asking;

/// An allocator that calls interposed functions before it allocates.
struct Asking;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

// SAFETY: the system's allocator upholds the contract of `GlobalAlloc`.
unsafe impl GlobalAlloc for Asking {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        ask();
        // SAFETY: the caller meets the requirements of this call.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        ask();
        // SAFETY: the caller meets the requirements of this call.
        unsafe { System.dealloc(at, layout) }
    }
}

/// Asks for the time and for randomness. Returns the second.
fn ask() -> i64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    let mut bytes = [0u8; 8];
    // SAFETY: each is given room for what it writes.
    unsafe {
        libc::clock_gettime(libc::CLOCK_REALTIME, &raw mut time);
        libc::getrandom(bytes.as_mut_ptr().cast(), bytes.len(), 0);
    }
    time.tv_sec
}

static BEFORE_MAIN: AtomicI64 = AtomicI64::new(0);

#[used]
#[unsafe(link_section = ".init_array")]
static CONSTRUCTOR: extern "C" fn() = {
    extern "C" fn constructor() {
        BEFORE_MAIN.store(ask(), Ordering::Relaxed);
    }
    constructor
};

/// The second at which runs begin.
const EPOCH: i64 = 1_767_225_600;
const DAY: i64 = 86_400;

#[test]
fn hook_in_a_constructor() {
    let then = BEFORE_MAIN.load(Ordering::Relaxed);
    assert!((then - ask()).abs() < DAY, "{then} is not the system's time");
}

/// Allocations in a run call the hooks too; this run makes many, also inside the engine.
#[sim_test(seeds = 3, machines("a{1..=3}" => || async { churn().await }))]
async fn hook_in_an_allocator(sim: Sim) -> Result<()> {
    let before = ALLOCATIONS.load(Ordering::Relaxed);
    churn().await;
    assert!(ALLOCATIONS.load(Ordering::Relaxed) > before + 100);
    assert!((EPOCH..EPOCH + DAY).contains(&ask()));
    assert!(sim.elapsed() >= 100.millis());
    Ok(())
}

async fn churn() {
    let mut tasks = Vec::new();
    for nth in 0..100u64 {
        tasks.push(simmach::task::spawn(async move {
            sleep(nth.millis()).await;
            vec![nth; 100].len()
        }));
    }
    for task in tasks {
        assert_eq!(task.await.unwrap(), 100);
    }
    sleep(1.millis()).await;
}

/// The seconds that a thread-local saw when it was made and when it was dropped.
static MADE: AtomicI64 = AtomicI64::new(0);
static DROPPED: AtomicI64 = AtomicI64::new(0);
static KEY_DROPPED: AtomicI64 = AtomicI64::new(0);

struct Probe;

impl Probe {
    fn new() -> Self {
        MADE.store(ask(), Ordering::Relaxed);
        Self
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        DROPPED.store(ask(), Ordering::Relaxed);
    }
}

thread_local!(static PROBE: Probe = Probe::new());

/// The destructor of a `pthread` key, which runs after those of Rust's thread-locals.
extern "C" fn key_dropped(_: *mut c_void) {
    KEY_DROPPED.store(ask(), Ordering::Relaxed);
}

fn use_thread_locals() {
    let mut key = 0;
    // SAFETY: a function that may be called with any value, and a key that there is.
    unsafe {
        assert_eq!(libc::pthread_key_create(&raw mut key, Some(key_dropped)), 0);
        assert_eq!(libc::pthread_setspecific(key, (&raw const MADE).cast()), 0);
    }
    PROBE.with(|_| ());
}

fn take_seconds() -> [i64; 3] {
    [&MADE, &DROPPED, &KEY_DROPPED].map(|second| second.swap(0, Ordering::Relaxed))
}

/// On a run's thread: values made in the run see its time; when dropped after it, the system's.
#[test]
fn hook_in_thread_locals_of_a_run_s_thread() {
    let _one = ONE_AT_A_TIME.lock().unwrap_or_else(|broken| broken.into_inner());
    let program = Program::new(|| Scenario::new().body(async |_: Sim| use_thread_locals()));
    take_seconds();
    assert!(program.run(0).passed());
    let [made, dropped, key_dropped] = take_seconds();
    assert!((EPOCH..EPOCH + DAY).contains(&made), "{made}");
    for second in [dropped, key_dropped] {
        assert!((second - ask()).abs() < DAY, "{second} is not the system's time");
    }
}

/// On any other thread, also one that a run was allowed to start.
#[test]
fn hook_in_thread_locals_of_other_threads() {
    let _one = ONE_AT_A_TIME.lock().unwrap_or_else(|broken| broken.into_inner());
    let thread = || thread::spawn(use_thread_locals).join().map_err(|_| "it panicked");
    let program = Program::new(move || {
        Scenario::new().body(async move |_: Sim| simmach::interpose::allow_threads(thread))
    });
    take_seconds();
    assert!(program.run(0).passed());
    let inside = take_seconds();
    assert_eq!(thread(), Ok(()));
    for second in inside.into_iter().chain(take_seconds()) {
        assert!((second - ask()).abs() < DAY, "{second} is not the system's time");
    }
}

/// Serializes the tests that use these statics.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

static HANDLED: AtomicUsize = AtomicUsize::new(0);
static HANDLED_IN_A_RUN: AtomicUsize = AtomicUsize::new(0);

extern "C" fn handler(_: c_int) {
    let second = ask();
    HANDLED.fetch_add(1, Ordering::Relaxed);
    if (EPOCH..EPOCH + DAY).contains(&second) {
        HANDLED_IN_A_RUN.fetch_add(1, Ordering::Relaxed);
    }
}

/// Sends signals all the time; most arrive inside the engine.
#[sim_test(seeds = 1, machines("a{1..=3}" => || async { churn().await }))]
async fn hook_in_a_signal_handler() {
    let install = || {
        // SAFETY: the handler does nothing that a signal handler must not do.
        unsafe { libc::signal(libc::SIGUSR1, handler as *const () as libc::sighandler_t) }
    };
    // Otherwise it would only be recorded.
    simmach::interpose::allow_threads(install);
    // SAFETY: the function takes no arguments.
    let thread = unsafe { libc::pthread_self() };
    let stop = &*Box::leak(Box::new(AtomicBool::new(false)));
    let signals = simmach::interpose::allow_threads(|| {
        thread::spawn(move || {
            while !stop.load(Ordering::Relaxed) {
                // SAFETY: the thread runs until it has joined this one.
                unsafe { libc::pthread_kill(thread, libc::SIGUSR1) };
                thread::sleep(Duration::from_micros(20));
            }
        })
    });
    for _ in 0..200 {
        churn().await;
    }
    stop.store(true, Ordering::Relaxed);
    signals.join().unwrap();
    assert!(HANDLED_IN_A_RUN.load(Ordering::Relaxed) > 10);
    assert!(HANDLED.load(Ordering::Relaxed) >= HANDLED_IN_A_RUN.load(Ordering::Relaxed));
}

/// Both for linked Rust code and for functions that are looked up at run time.
#[test]
fn hooks_precede_the_c_library() {
    let here = object_of(hooks_precede_the_c_library as *const c_void);
    let linked = [
        (c"clock_gettime", libc::clock_gettime as *const c_void),
        (c"gettimeofday", libc::gettimeofday as *const c_void),
        (c"time", libc::time as *const c_void),
        (c"nanosleep", libc::nanosleep as *const c_void),
        (c"clock_nanosleep", libc::clock_nanosleep as *const c_void),
        (c"getrandom", libc::getrandom as *const c_void),
        (c"getentropy", libc::getentropy as *const c_void),
        (c"syscall", libc::syscall as *const c_void),
        (c"pthread_create", libc::pthread_create as *const c_void),
        (c"pthread_mutex_lock", libc::pthread_mutex_lock as *const c_void),
        (c"pthread_cond_wait", libc::pthread_cond_wait as *const c_void),
        (c"pthread_rwlock_rdlock", libc::pthread_rwlock_rdlock as *const c_void),
        (c"pthread_rwlock_wrlock", libc::pthread_rwlock_wrlock as *const c_void),
        (c"pthread_join", libc::pthread_join as *const c_void),
        (c"sem_wait", libc::sem_wait as *const c_void),
        (c"sysconf", libc::sysconf as *const c_void),
        (c"sched_getaffinity", libc::sched_getaffinity as *const c_void),
        (c"gethostname", libc::gethostname as *const c_void),
        (c"fork", libc::fork as *const c_void),
        (c"posix_spawn", libc::posix_spawn as *const c_void),
        (c"posix_spawnp", libc::posix_spawnp as *const c_void),
        (c"execl", libc::execl as *const c_void),
        (c"execlp", libc::execlp as *const c_void),
        (c"execle", libc::execle as *const c_void),
        (c"execvp", libc::execvp as *const c_void),
        (c"system", libc::system as *const c_void),
        (c"popen", libc::popen as *const c_void),
    ];
    for (name, address) in linked {
        assert_eq!(object_of(address), here, "{name:?} is not the binary's");
    }
    // The crate `getrandom` looks it up too.
    // SAFETY: the argument is a C string.
    let found = unsafe { libc::dlsym(libc::RTLD_DEFAULT, c"getrandom".as_ptr()) };
    assert_eq!(object_of(found), here, "getrandom, looked up, is not the binary's");
}

/// The file that the code at an address was loaded from.
fn object_of(address: *const c_void) -> String {
    let mut info = std::mem::MaybeUninit::<libc::Dl_info>::zeroed();
    // SAFETY: the pointer has room for the result. A name in the result lives as long as its object
    // is loaded.
    unsafe {
        assert_ne!(libc::dladdr(address, info.as_mut_ptr()), 0);
        CStr::from_ptr(info.assume_init().dli_fname).to_string_lossy().into_owned()
    }
}
