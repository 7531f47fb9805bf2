//! Runs that hang: where they do, and soon where it is certain that they never go on.

use std::time::{Duration, Instant};

use super::super::{assert_has, assert_has_not, line_of, run};
use crate::child::Ran;

const FILE: &str = "tests/tests/failures/hangs.rs";
const SOURCE: &str = include_str!("hangs.rs");

pub(super) mod zoo {
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::sync::{Arc, Barrier, Condvar, Mutex, Once, PoisonError, RwLock, mpsc};
    use std::thread;
    use std::time::Duration;

    use simmach::prelude::*;
    use simmach::time::sleep;

    fn locks_twice() {
        let mutex = Mutex::new(());
        let _first = mutex.lock();
        drop(mutex.lock()); // mutex
    }

    #[sim_test(seeds = 3, client = "client.zone")]
    #[ignore = "for the tests below"]
    async fn mutex() {
        sleep(2.secs()).await;
        locks_twice();
    }

    async fn serves() {
        let task = simmach::task::spawn(async {
            sleep(1.secs()).await;
            locks_twice();
        });
        let _ = task.await;
    }

    #[sim_test(seeds = 3, machines("server.zone" => serves))]
    #[ignore = "for the tests below"]
    async fn mutex_in_a_spawned_task() {
        sleep(2.secs()).await;
    }

    struct Locks;

    impl Drop for Locks {
        fn drop(&mut self) {
            locks_twice();
        }
    }

    async fn holds() {
        let _locks = Locks;
        std::future::pending::<()>().await;
    }

    #[sim_test(seeds = 3, machines("server.zone" => holds))]
    #[ignore = "for the tests below"]
    async fn mutex_in_a_destructor(sim: Sim) -> Result {
        sleep(1.secs()).await;
        sim.kill("server.zone")?;
        Ok(())
    }

    #[sim_test(seeds = 3)]
    #[ignore = "for the tests below"]
    async fn rwlock() {
        let lock = RwLock::new(());
        let _reader = lock.read();
        drop(lock.write()); // rwlock
    }

    #[sim_test(seeds = 3)]
    #[ignore = "for the tests below"]
    async fn channel() {
        let (_sender, receiver) = mpsc::channel::<()>();
        let _ = receiver.recv(); // channel
    }

    #[sim_test(seeds = 3)]
    #[ignore = "for the tests below"]
    async fn condvar() {
        let (mutex, condvar) = (Mutex::new(()), Condvar::new());
        let guard = mutex.lock().unwrap_or_else(PoisonError::into_inner);
        drop(condvar.wait(guard)); // condvar
    }

    #[sim_test(seeds = 3)]
    #[ignore = "for the tests below"]
    async fn barrier() {
        Barrier::new(2).wait(); // barrier
    }

    #[sim_test(seeds = 3)]
    #[ignore = "for the tests below"]
    async fn once() {
        static ONCE: Once = Once::new();
        ONCE.call_once(|| ONCE.call_once(|| ())); // once
    }

    #[sim_test(seeds = 3)]
    #[ignore = "for the tests below"]
    async fn park() {
        thread::park(); // park
    }

    /// A runtime inside the run blocks its thread.
    #[sim_test(seeds = 3)]
    #[ignore = "for the tests below"]
    async fn block_on() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("it is built");
        runtime.block_on(std::future::pending::<()>()); // block_on
    }

    #[sim_test(seeds = 3)]
    #[ignore = "for the tests below"]
    #[allow(clippy::disallowed_methods, reason = "it takes real time on purpose")]
    async fn allowed_thread() {
        let (sender, receiver) = mpsc::channel();
        let thread = simmach::interpose::allow_threads(|| {
            thread::spawn(move || {
                thread::sleep(Duration::from_millis(700));
                sender.send(7)
            })
        });
        assert_eq!(receiver.recv(), Ok(7));
        assert!(thread.join().is_ok());
    }

    /// The thread belongs to the process, as one of a pool does: later runs have not started it.
    #[sim_test(seeds = 3)]
    #[ignore = "for the tests below"]
    #[allow(clippy::disallowed_methods, reason = "it takes real time on purpose")]
    async fn thread_of_an_earlier_run() {
        static POOL: Mutex<Option<mpsc::Sender<mpsc::Sender<u8>>>> = Mutex::new(None);
        let mut pool = POOL.lock().unwrap_or_else(PoisonError::into_inner);
        let pool = pool.get_or_insert_with(|| {
            let (jobs, receiver) = mpsc::channel::<mpsc::Sender<u8>>();
            simmach::interpose::allow_threads(|| {
                thread::spawn(move || {
                    for job in receiver {
                        thread::sleep(Duration::from_millis(700));
                        let _ = job.send(7);
                    }
                })
            });
            jobs
        });
        let (sender, receiver) = mpsc::channel();
        pool.send(sender).expect("it runs");
        assert_eq!(receiver.recv(), Ok(7));
    }

    static HELD: Mutex<()> = Mutex::new(());
    static TURN: AtomicU32 = AtomicU32::new(0);

    /// Holds a lock for a moment each time it is asked to, from before `main` on.
    #[used]
    #[unsafe(link_section = ".init_array")]
    static CONSTRUCTOR: extern "C" fn() = {
        #[allow(clippy::disallowed_methods, reason = "it takes real time on purpose")]
        extern "C" fn constructor() {
            if std::env::var_os("FAILURES_HOLDER").is_none() {
                return;
            }
            thread::spawn(|| {
                loop {
                    while TURN.load(Ordering::SeqCst) != 1 {
                        thread::sleep(Duration::from_millis(1));
                    }
                    let _held = HELD.lock().unwrap_or_else(PoisonError::into_inner);
                    TURN.store(2, Ordering::SeqCst);
                    thread::sleep(Duration::from_millis(20));
                    TURN.store(0, Ordering::SeqCst);
                }
            });
        }
        constructor
    };

    /// Many, since what the watchdog makes of one takes a while.
    #[sim_test(seeds = 60)]
    #[ignore = "for the tests below"]
    async fn lock_that_another_thread_holds_for_a_moment() {
        TURN.store(1, Ordering::SeqCst);
        while TURN.load(Ordering::SeqCst) == 1 {
            std::hint::spin_loop();
        }
        drop(HELD.lock());
    }

    fn spins() {
        loop {
            std::hint::spin_loop(); // spin
        }
    }

    async fn serves_and_spins() {
        drop(simmach::task::spawn(async { spins() }));
        std::future::pending::<()>().await;
    }

    #[sim_test(seeds = 3, machines("server.zone" => serves_and_spins))]
    #[ignore = "for the tests below"]
    async fn endless_loop() {
        sleep(1.secs()).await;
    }

    #[sim_test(seeds = 3, client = "client.zone")]
    #[ignore = "for the tests below"]
    async fn endless_loop_that_allocates() {
        let mut numbers = Vec::new();
        loop {
            numbers.push(Box::new(numbers.len()));
            if numbers.len() > 1_000 {
                numbers = Vec::new();
            }
        }
    }

    /// The C library waits by itself: that is not seen before it takes too long.
    #[sim_test(seeds = 3, client = "client.zone")]
    #[ignore = "for the tests below"]
    async fn lock_of_the_c_library() {
        let mut mutex = libc::PTHREAD_MUTEX_INITIALIZER;
        // SAFETY: a mutex that nothing else has.
        unsafe {
            libc::pthread_mutex_lock(&raw mut mutex);
            libc::pthread_mutex_lock(&raw mut mutex); // pthread
        }
    }

    #[sim_test(seeds = 3)]
    #[ignore = "for the tests below"]
    #[allow(clippy::disallowed_methods, reason = "it takes real time on purpose")]
    async fn join_of_an_allowed_thread_without_end() {
        let stop = Arc::new(());
        let thread = simmach::interpose::allow_threads(|| {
            thread::spawn(move || {
                let _stop = stop;
                thread::sleep(Duration::from_secs(3_600));
            })
        });
        let _ = thread.join(); // join
    }
}

/// The watchdog alone would take two minutes.
fn deadlocks_at(name: &str, mark: &str) -> Vec<Ran> {
    ["1", "2"]
        .map(|jobs| {
            let began = now();
            let ran = run("hangs", name, &[("SIMMACH_JOBS", jobs), ("SIMMACH_HANG", "50s")]);
            let place = format!(" s, in {}:", line_of(FILE, SOURCE, mark));
            let frame = format!("at {}:", line_of(FILE, SOURCE, mark));
            let message = "deadlock: the run's thread waits for a lock or a wake-up";
            assert_has(&ran, &["failed with seed 0", message, &place, "Backtrace:\n", &frame]);
            assert_has_not(&ran, &["NOT REPRODUCIBLE", "not a function of its seed"]);
            assert!(began.elapsed() < Duration::from_secs(25), "{:?}", began.elapsed());
            ran
        })
        .into()
}

#[expect(clippy::disallowed_methods, reason = "real processes take real time")]
fn now() -> Instant {
    Instant::now()
}

#[test]
fn mutex_locked_twice_is_a_deadlock() {
    for ran in deadlocks_at("mutex", "mutex") {
        assert_has(&ran, &["on client.zone, at 2.000 s"]);
    }
    for ran in deadlocks_at("mutex_in_a_spawned_task", "mutex") {
        let task = "on server.zone, in the task of tests/tests/failures/hangs.rs:";
        assert_has(&ran, &[task, ", at 1.000 s"]);
    }
    for ran in deadlocks_at("mutex_in_a_destructor", "mutex") {
        assert_has(&ran, &["on server.zone", ", at 1.000 s"]);
    }
}

#[test]
fn other_waits_of_std_are_deadlocks() {
    for name in ["rwlock", "channel", "condvar", "barrier", "once", "park"] {
        deadlocks_at(name, name);
    }
}

#[test]
fn runtime_that_blocks_the_thread_is_a_deadlock() {
    for ran in deadlocks_at_least("block_on") {
        assert_has(&ran, &[&format!(", by {}:", line_of(FILE, SOURCE, "block_on"))]);
    }
}

fn deadlocks_at_least(name: &str) -> [Ran; 2] {
    ["1", "2"].map(|jobs| {
        let ran = run("hangs", name, &[("SIMMACH_JOBS", jobs), ("SIMMACH_HANG", "50s")]);
        assert_has(&ran, &["deadlock: the run's thread waits", "hung, on ", "Backtrace:\n"]);
        ran
    })
}

#[test]
fn wait_that_another_thread_ends_is_none() {
    for jobs in ["1", "2"] {
        for name in ["allowed_thread", "thread_of_an_earlier_run"] {
            let ran = run("hangs", name, &[("SIMMACH_JOBS", jobs)]);
            assert_eq!(ran.code, Some(0), "{}", ran.text);
        }
        let env = [("SIMMACH_JOBS", jobs), ("FAILURES_HOLDER", "1")];
        let ran = run("hangs", "lock_that_another_thread_holds_for_a_moment", &env);
        assert_eq!(ran.code, Some(0), "{}", ran.text);
    }
}

#[test]
fn hang_that_the_watchdog_finds_has_a_backtrace() {
    for jobs in ["1", "2"] {
        let hangs = |name: &str, frame: &str| {
            let ran = run("hangs", name, &[("SIMMACH_JOBS", jobs), ("SIMMACH_HANG", "500ms")]);
            let message = "a task did not yield for 500ms of real time";
            assert_has(&ran, &["failed with seed 0", message, "hung, on ", "Backtrace:\n", frame]);
            assert_has_not(&ran, &["NOT REPRODUCIBLE", "not a function of its seed"]);
            ran
        };
        let at = |mark| format!("at {}:", line_of(FILE, SOURCE, mark));
        let ran = hangs("endless_loop", &at("spin"));
        let task = "on server.zone, in the task of tests/tests/failures/hangs.rs:";
        assert_has(&ran, &[task]);
        hangs("endless_loop_that_allocates", &format!("at {FILE}:"));
        let place = format!(" s, in {}:", line_of(FILE, SOURCE, "pthread"));
        assert_has(&hangs("lock_of_the_c_library", &at("pthread")), &[&place, "on client.zone"]);
        hangs("join_of_an_allowed_thread_without_end", &at("join"));
    }
}
