//! Tests what the system's functions return to code in a run, and which calls they refuse.
#![allow(
    clippy::disallowed_methods,
    reason = "what std and the C library answer is what is tested"
)]

use std::collections::BTreeSet;
use std::collections::hash_map::RandomState;
use std::ffi::CStr;
use std::hash::BuildHasher;
use std::sync::{Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use crate::ClockSkew;
use crate::engine::draws::overlay::Overlay;
use crate::engine::failure::verdict::{Failure, FailureKind, Verdict};
use crate::outcome::{Keep, Outcome};
use crate::prelude::*;
use crate::spec::{Spec, SpecBuilder};
use crate::time::sleep;

/// Keeps the folder for the disks of this process's runs: `Program` deletes the folder when no run
/// is in progress.
fn run_spec(spec: impl FnOnce() -> Spec + Send + 'static, seed: u64, overlay: Overlay) -> Outcome {
    let _folder = crate::program::folder().expect("a folder for the disks of runs");
    crate::run::run_spec(spec, seed, overlay, Keep::default(), Default::default())
}

pub(super) fn outcome(seed: u64, spec: impl FnOnce() -> Spec + Send + 'static) -> Outcome {
    run_spec(spec, seed, Overlay::default())
}

#[track_caller]
pub(super) fn pass(spec: impl FnOnce() -> Spec + Send + 'static) -> Outcome {
    let outcome = outcome(0, spec);
    assert_eq!(outcome.verdict, Verdict::Passed);
    outcome
}

#[track_caller]
pub(super) fn refused(spec: impl FnOnce() -> Spec + Send + 'static) -> Failure {
    match outcome(0, spec).verdict {
        Verdict::Failed(failure) if failure.kind == FailureKind::Refused => failure,
        other => panic!("expected a refusal: {other:?}"),
    }
}

fn since_1970() -> Duration {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap()
}

const EPOCH: Duration = Duration::from_secs(1_767_225_600);

#[test]
fn std_clocks_show_virtual_time() {
    pass(|| {
        SpecBuilder::new().time_limit(2.hours()).body(async |_| {
            let start = Instant::now();
            assert_eq!(since_1970(), EPOCH);
            sleep(90.mins()).await;
            assert_eq!((start.elapsed(), since_1970()), (90.mins(), EPOCH + 90.mins()));
        })
    });
}

#[test]
fn epoch_can_be_set() {
    pass(|| {
        let epoch = SystemTime::UNIX_EPOCH + Duration::from_secs(4_102_444_800);
        SpecBuilder::new().epoch(epoch).body(async move |_| {
            sleep(1.secs()).await;
            assert_eq!(SystemTime::now(), epoch + 1.secs());
        })
    });
    let before = SystemTime::UNIX_EPOCH - Duration::from_secs(1);
    let ran = outcome(0, move || SpecBuilder::new().epoch(before).body(async |_| {}));
    assert!(matches!(ran.verdict, Verdict::Broken(_)), "{:?}", ran.verdict);
}

/// Outside a run, on other threads and for CPU time, the system's values are returned.
#[test]
fn calls_outside_a_run_are_forwarded() {
    pass(|| {
        SpecBuilder::new().body(async |_| {
            let elsewhere = super::allow_threads(|| thread::spawn(since_1970).join().unwrap());
            assert!(elsewhere > EPOCH + 24.hours() || elsewhere < EPOCH);
            let mut cpu = libc::timespec { tv_sec: 0, tv_nsec: 0 };
            // SAFETY: the clock exists, and the pointer has room for its time.
            let result =
                unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut cpu) };
            assert_eq!(result, 0);
            assert!(cpu.tv_nsec > 0 && cpu.tv_sec < 10, "a fresh thread's: {}", cpu.tv_sec);
        })
    });
    assert!(since_1970() > EPOCH + 24.hours() || since_1970() < EPOCH);
}

/// Every function that reads a clock.
#[test]
fn c_clocks_agree() {
    pass(|| {
        SpecBuilder::new().body(async |_| {
            sleep(1_500_000.micros()).await;
            let wall = EPOCH.as_secs() as i64 + 1;
            let mut now = libc::timeval { tv_sec: 0, tv_usec: 0 };
            let mut raw = libc::timespec { tv_sec: 0, tv_nsec: 0 };
            // SAFETY: each is given room for what it writes, or null where it may be.
            unsafe {
                assert_eq!(libc::time(std::ptr::null_mut()), wall);
                assert_eq!(libc::gettimeofday(&raw mut now, std::ptr::null_mut()), 0);
                let clock = libc::CLOCK_MONOTONIC as libc::c_long;
                assert_eq!(libc::syscall(libc::SYS_clock_gettime, clock, &raw mut raw), 0);
            }
            assert_eq!((now.tv_sec, now.tv_usec), (wall, 500_000));
            let up = 365 * 86_400;
            assert_eq!((raw.tv_sec, raw.tv_nsec), (up + 1, 500_000_000));
        })
    });
}

/// A number from each function that returns random bytes.
fn random(door: u32) -> u64 {
    let mut bytes = [0u8; 8];
    let (at, length) = (bytes.as_mut_ptr().cast::<libc::c_void>(), bytes.len());
    // SAFETY: each is given the eight bytes.
    let written = unsafe {
        match door {
            0 => libc::getrandom(at, length, 0) as i64,
            1 => libc::syscall(libc::SYS_getrandom, at, length, 0u32),
            _ => i64::from(libc::getentropy(at, length)) + 8,
        }
    };
    assert_eq!(written, 8);
    u64::from_ne_bytes(bytes)
}

/// The numbers that a run draws: three on each of two machines, and the keys of a `HashMap`.
fn drawn(seed: u64, overlay: Overlay) -> Vec<u64> {
    static DRAWN: Mutex<Vec<u64>> = Mutex::new(Vec::new());
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _one = ONE_AT_A_TIME.lock().unwrap_or_else(|broken| broken.into_inner());
    DRAWN.lock().unwrap().clear();
    let draw = || DRAWN.lock().unwrap().extend((0..3).map(random));
    let spec = move || {
        let machines = SpecBuilder::new().machine("a", move || async move { draw() });
        machines.machine("b", move || async move { draw() }).body(async move |_| {
            let mut drawn = DRAWN.lock().unwrap();
            drawn.push(RandomState::new().hash_one(7));
            drawn.push(fastrand::u64(..));
        })
    };
    let ran = run_spec(spec, seed, overlay);
    assert_eq!(ran.verdict, Verdict::Passed);
    let drawn = DRAWN.lock().unwrap().clone();
    assert_eq!(drawn.len(), 8);
    drawn
}

#[test]
fn system_randomness_depends_on_the_seed() {
    let first = drawn(0, Overlay::default());
    assert_eq!(first, drawn(0, Overlay::default()));
    let second = drawn(1, Overlay::default());
    assert!(first.iter().all(|number| !second.contains(number)));
    let unlike: BTreeSet<_> = first.iter().collect();
    assert_eq!(unlike.len(), first.len(), "no two are the same");
}

/// Calm randomness does not depend on the seed, and still makes identifiers unique.
#[test]
fn calm_randomness_is_the_same_for_all_seeds() {
    let sorted = |seed| {
        let mut drawn = drawn(seed, Overlay::calm());
        drawn.sort_unstable();
        drawn
    };
    assert_eq!(sorted(0), sorted(1));
    let unlike: BTreeSet<_> = sorted(0).into_iter().collect();
    assert_eq!(unlike.len(), 8);
}

/// A request for 0 bytes, made once per process, must not make the first run different from later ones.
#[test]
fn request_for_no_bytes_is_no_draw() {
    fn second_number(asks: bool) -> u64 {
        static FOUND: Mutex<u64> = Mutex::new(0);
        pass(move || {
            SpecBuilder::new().body(async move |_| {
                if asks {
                    // SAFETY: nothing is written.
                    assert_eq!(unsafe { libc::getrandom(std::ptr::dangling_mut(), 0, 0) }, 0);
                }
                *FOUND.lock().unwrap() = random(0);
            })
        });
        *FOUND.lock().unwrap()
    }
    assert_eq!(second_number(true), second_number(false));
}

#[test]
fn host_name_and_processors_are_the_machines() {
    pass(|| {
        SpecBuilder::new().client("mover.botnet").body(async |_| {
            let mut name = [1u8; 64];
            // SAFETY: it is given the 64 bytes, and their number.
            assert_eq!(unsafe { libc::gethostname(name.as_mut_ptr().cast(), name.len()) }, 0);
            assert_eq!(&name[..13], b"mover.botnet\0");
            // SAFETY: as above.
            let result = unsafe { libc::gethostname(name.as_mut_ptr().cast(), 5) };
            assert_eq!(result, -1, "no room");
            assert_eq!(thread::available_parallelism().unwrap().get(), 1);
            // SAFETY: the function takes a number and returns a number.
            assert_eq!(unsafe { libc::sysconf(libc::_SC_NPROCESSORS_ONLN) }, 1);
            // SAFETY: as above.
            assert_eq!(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }, page_size());
        })
    });
}

#[test]
fn uname_names_the_machine() {
    pass(|| {
        SpecBuilder::new().client("mover.botnet").body(async |_| {
            // SAFETY: zeros are valid for arrays of characters, and the pointer is valid.
            let names = unsafe {
                let mut names: libc::utsname = std::mem::zeroed();
                assert_eq!(libc::uname(&raw mut names), 0);
                names
            };
            // SAFETY: the call has succeeded, and each name ends with a NUL.
            let [node, system] = [&names.nodename, &names.sysname]
                .map(|name| unsafe { CStr::from_ptr(name.as_ptr()) });
            assert_eq!((node, system), (c"mover.botnet", c"Linux"));
        })
    });
}

/// The C library's functions, and not only the system calls.
#[test]
fn functions_for_descriptors_that_a_run_does_not_have_fail() {
    pass(|| {
        SpecBuilder::new().body(async |_| {
            // SAFETY: zeros are a valid set of signals, and the other functions have no preconditions.
            let results = unsafe {
                let signals: libc::sigset_t = std::mem::zeroed();
                [
                    libc::timerfd_create(libc::CLOCK_MONOTONIC, 0),
                    libc::signalfd(-1, &raw const signals, 0),
                    libc::inotify_init(),
                    libc::inotify_init1(libc::IN_CLOEXEC),
                    libc::fanotify_init(0, 0),
                ]
            };
            assert_eq!(results, [-1; 5]);
            assert_eq!(std::io::Error::last_os_error().raw_os_error(), Some(libc::ENOSYS));
            let allowed = super::allow_threads(|| {
                // SAFETY: the functions have no preconditions, and the descriptor is open.
                unsafe { libc::close(libc::timerfd_create(libc::CLOCK_MONOTONIC, 0)) }
            });
            assert_eq!(allowed, 0, "real descriptors exist where threads are allowed");
        })
    });
}

fn page_size() -> i64 {
    thread_outside(|| {
        // SAFETY: the function takes a number and returns a number.
        unsafe { libc::sysconf(libc::_SC_PAGESIZE) }
    })
}

fn thread_outside<R: Send + 'static>(f: impl FnOnce() -> R + Send + 'static) -> R {
    super::allow_threads(|| thread::spawn(f).join().unwrap())
}

#[test]
fn thread_is_refused() {
    let failure = refused(|| {
        SpecBuilder::new()
            .native()
            .machine("api", || async { drop(thread::spawn(|| ())) })
            .body(async |_| {})
    });
    assert!(failure.message.contains("simmach::task::spawn"), "{}", failure.message);
    assert_eq!(failure.machine.as_deref(), Some("api"));
    assert!(failure.task.is_some());
}

/// A refusal fails the run even if the machine tolerates crashes or the panic is caught.
#[test]
fn refusal_is_reported_before_its_consequences() {
    refused(|| {
        let topology = Topology::new()
            .machine("api", || async { drop(thread::spawn(|| ())) })
            .on_exit("api", OnExit::StayDown);
        SpecBuilder::new().native().topology(topology).body(async |_| sleep(1.secs()).await)
    });
    refused(|| {
        SpecBuilder::new().native().body(async |_| {
            let task = crate::task::spawn(async { drop(thread::spawn(|| ())) });
            assert!(task.await.is_err());
        })
    });
}

#[test]
fn real_sleep_is_refused() {
    let failure = refused(|| {
        SpecBuilder::new().body(async |_| {
            sleep(2.secs()).await;
            thread::sleep(1.hours());
            sleep(1.secs()).await;
        })
    });
    assert!(failure.message.contains("simmach::time::sleep"), "{}", failure.message);
    assert_eq!(failure.at, 2_000_000_000);
}

#[test]
fn thread_in_the_spec_is_refused() {
    let ran = outcome(0, || {
        drop(thread::spawn(|| ()));
        SpecBuilder::new().body(async |_| {})
    });
    match ran.verdict {
        Verdict::Broken(words) => assert!(words.contains("simmach::task::spawn"), "{words}"),
        other => panic!("expected a broken run: {other:?}"),
    }
}

#[test]
fn allowed_threads_work() {
    pass(|| {
        SpecBuilder::new().body(async |_| {
            let real = super::allow_threads(|| {
                thread::sleep(1.millis());
                thread::spawn(|| {
                    let start = Instant::now();
                    thread::sleep(1.millis());
                    start.elapsed()
                })
            });
            assert!(real.join().unwrap() >= 1.millis());
        })
    });
    let panicked = std::panic::catch_unwind(|| super::allow_threads(|| panic!("inside")));
    assert!(panicked.is_err());
}

/// Without other threads the wait's virtual time passes at once.
#[test]
fn wait_with_a_time_out_passes_in_virtual_time() {
    let start = Instant::now();
    pass(|| {
        SpecBuilder::new().body(async |_| {
            let start = Instant::now();
            thread::park_timeout(10.mins());
            assert_eq!(start.elapsed(), 10.mins());
            let (_sender, receiver) = mpsc::channel::<()>();
            assert!(receiver.recv_timeout(5.mins()).is_err());
            assert_eq!(start.elapsed(), 15.mins());
            thread::current().unpark();
            thread::park_timeout(10.mins());
            assert_eq!(start.elapsed(), 15.mins(), "what is there already is not waited for");
        })
    });
    assert!(start.elapsed() < 10.secs());
}

/// While a real thread is alive, waits are real.
#[test]
fn wait_is_ended_by_a_real_thread() {
    pass(|| {
        SpecBuilder::new().body(async |_| {
            let (sender, receiver) = mpsc::channel();
            let _thread = super::allow_threads(|| {
                thread::spawn(move || {
                    thread::sleep(20.millis());
                    sender.send(7)
                })
            });
            assert_eq!(receiver.recv_timeout(1.mins()), Ok(7));
            let start = Instant::now();
            thread::park_timeout(5.millis());
            assert!(start.elapsed() >= 5.millis());
        })
    });
}

/// An offset changes the wall clock, drift changes both clocks and waits; `settle` undoes both.
#[test]
fn clocks_read_are_the_machines() {
    let ran = pass(|| {
        SpecBuilder::new()
            .identical_hardware()
            .client("api")
            .machine("db", std::future::pending::<()>)
            .body(async |sim| {
                sim.set_clock("api", ClockSkew::exact().behind(3.secs()).drift_ppm(1_000_000))?;
                let (start, own, wall) = (sim.elapsed(), Instant::now(), since_1970());
                assert_eq!(wall, EPOCH - 3.secs());
                sleep(10.secs()).await;
                assert_eq!(
                    own.elapsed(),
                    10.secs(),
                    "by its own clock it was as long as it should be"
                );
                assert_eq!(since_1970() - wall, 10.secs());
                assert_eq!(
                    sim.elapsed() - start,
                    5.secs(),
                    "which is twice as fast as it should be"
                );
                let there = sim.run_on("db", async { since_1970() }).await.unwrap();
                assert_eq!(there, EPOCH + 5.secs(), "another machine's is not touched");
                sim.settle().await?;
                assert_eq!(since_1970(), EPOCH + sim.elapsed());
                Result::<()>::Ok(())
            })
    });
    use crate::engine::Effect;
    assert_eq!(ran.effects.count(Effect::ClockStep), 1);
    assert_eq!(ran.effects.count(Effect::ClockDrift), 1);
}

/// A thread-local destructor may run after the run's thread-locals were destroyed.
#[test]
fn thread_local_destructors_may_call() {
    struct Asks;
    impl Drop for Asks {
        fn drop(&mut self) {
            assert!(since_1970() > Duration::ZERO);
            assert_ne!(random(0), random(1));
            ASKED.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        }
    }
    static ASKED: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
    thread_local! { static LOCAL: Asks = const { Asks }; }
    pass(|| SpecBuilder::new().body(async |_| LOCAL.with(|_| ())));
    thread::spawn(|| LOCAL.with(|_| ())).join().unwrap();
    assert_eq!(ASKED.load(std::sync::atomic::Ordering::Relaxed), 2);
}

/// Return values of the C library's locks that need not wait or detect a deadlock.
fn answers_of_locks() -> [libc::c_int; 10] {
    // SAFETY: each object is initialized before it is used, is used by this thread only, and is not
    // used afterwards.
    unsafe {
        let mut answers = [0; 10];
        let kinds = [
            libc::PTHREAD_MUTEX_NORMAL,
            libc::PTHREAD_MUTEX_ERRORCHECK,
            libc::PTHREAD_MUTEX_RECURSIVE,
        ];
        for (nth, kind) in kinds.into_iter().enumerate() {
            let (mut attributes, mut mutex) = (std::mem::zeroed(), std::mem::zeroed());
            libc::pthread_mutexattr_init(&raw mut attributes);
            libc::pthread_mutexattr_settype(&raw mut attributes, kind);
            libc::pthread_mutex_init(&raw mut mutex, &raw const attributes);
            answers[2 * nth] = libc::pthread_mutex_lock(&raw mut mutex);
            if kind == libc::PTHREAD_MUTEX_NORMAL {
                libc::pthread_mutex_unlock(&raw mut mutex);
            }
            answers[2 * nth + 1] = libc::pthread_mutex_lock(&raw mut mutex);
        }
        let mut lock = libc::PTHREAD_RWLOCK_INITIALIZER;
        libc::pthread_rwlock_rdlock(&raw mut lock);
        answers[6] = libc::pthread_rwlock_rdlock(&raw mut lock);
        let mut lock = libc::PTHREAD_RWLOCK_INITIALIZER;
        libc::pthread_rwlock_wrlock(&raw mut lock);
        answers[7] = libc::pthread_rwlock_rdlock(&raw mut lock);
        let mut semaphore = std::mem::zeroed();
        libc::sem_init(&raw mut semaphore, 0, 1);
        answers[8] = libc::sem_wait(&raw mut semaphore);
        answers[9] = libc::pthread_join(libc::pthread_self(), std::ptr::null_mut());
        answers
    }
}

#[test]
fn c_locks_return_the_same_in_a_run() {
    let outside = answers_of_locks();
    assert_eq!(outside, [0, 0, 0, libc::EDEADLK, 0, 0, 0, libc::EDEADLK, 0, libc::EDEADLK]);
    pass(move || SpecBuilder::new().body(async move |_| assert_eq!(answers_of_locks(), outside)));
}

/// A wait that began while a real thread was alive passes in virtual time after that thread has ended.
#[test]
fn wait_passes_after_the_last_thread_ended() {
    let start = Instant::now();
    pass(|| {
        SpecBuilder::new().body(async |_| {
            let thread = super::allow_threads(|| thread::spawn(|| thread::sleep(50.millis())));
            let (_sender, receiver) = mpsc::channel::<()>();
            let start = Instant::now();
            assert!(receiver.recv_timeout(5.mins()).is_err());
            assert!(start.elapsed() >= 5.mins());
            thread.join().unwrap();
        })
    });
    assert!(start.elapsed() < 1.mins());
}

/// Returns the handler of a signal of this process. Called outside runs.
fn handler_of(signal: libc::c_int) -> libc::sighandler_t {
    // SAFETY: a structure of integers and an optional function, for which zeros are valid; it asks for the action only.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        assert_eq!(libc::sigaction(signal, std::ptr::null(), &raw mut action), 0);
        action.sa_sigaction
    }
}

/// A program that sets a handler in a run reads the same handler back, but the handler is not installed.
#[test]
fn signal_handlers_are_recorded_only() {
    extern "C" fn handle(_: libc::c_int) {}
    let own = handle as *const () as libc::sighandler_t;
    let set = move |signal| {
        // SAFETY: as above; the handler does nothing.
        unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            (action.sa_sigaction, action.sa_flags) = (own, libc::SA_RESTART);
            libc::sigaction(signal, &raw const action, std::ptr::null_mut())
        }
    };
    let before = [handler_of(libc::SIGUSR1), handler_of(libc::SIGUSR2)];
    pass(move || {
        SpecBuilder::new().native().body(async move |_| {
            assert_eq!(set(libc::SIGUSR1), 0);
            assert_eq!(handler_of(libc::SIGUSR1), own);
            // SAFETY: the handler does nothing.
            let replaced = unsafe { libc::signal(libc::SIGUSR2, own) };
            assert_eq!(replaced, libc::SIG_DFL);
            assert_eq!(handler_of(libc::SIGUSR2), own);
            assert_eq!(set(libc::SIGKILL), -1);
            assert_eq!(std::io::Error::last_os_error().raw_os_error(), Some(libc::EINVAL));
        })
    });
    assert_eq!([handler_of(libc::SIGUSR1), handler_of(libc::SIGUSR2)], before);
}
