//! Tests runs that hang. The report must show where, and a certain deadlock must be reported early.

use std::time::{Duration, Instant};

use super::super::{assert_has, assert_has_not, line_of, run, start};
use crate::child::{Ran, Running};

const FILE: &str = "tests/tests/failures/hangs.rs";
const SOURCE: &str = include_str!("hangs.rs");

pub(super) mod zoo {
    use std::io::Read as _;
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

    #[sim_test(seeds = 3, machines("server.zone" => serves), hardware = identical)]
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
    #[sim_test(seeds = 3, runtime = native)]
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

    /// The thread belongs to the process, like one of a pool, and was started by an earlier run.
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

    /// An allowed thread ends before the run's thread waits, or meanwhile.
    #[sim_test(seeds = 3)]
    #[ignore = "for the tests below"]
    #[allow(clippy::disallowed_methods, reason = "it starts a thread on purpose")]
    async fn mutex_after_a_thread() {
        let joined = simmach::interpose::allow_threads(|| thread::spawn(|| ()).join());
        assert!(joined.is_ok());
        let mutex = Mutex::new(());
        let _first = mutex.lock();
        drop(mutex.lock()); // after a thread
    }

    #[sim_test(seeds = 3)]
    #[ignore = "for the tests below"]
    #[allow(clippy::disallowed_methods, reason = "it takes real time on purpose")]
    async fn channel_of_a_thread_that_ends() {
        let (sender, receiver) = mpsc::channel::<()>();
        simmach::interpose::allow_threads(|| {
            drop(thread::spawn(|| thread::sleep(Duration::from_millis(300))));
        });
        let _ = receiver.recv(); // of a thread
        drop(sender);
    }

    /// A thread that the allowed thread started ends the wait.
    #[sim_test(seeds = 3)]
    #[ignore = "for the tests below"]
    #[allow(clippy::disallowed_methods, reason = "it takes real time on purpose")]
    async fn thread_of_an_allowed_thread() {
        let (sender, receiver) = mpsc::channel();
        simmach::interpose::allow_threads(|| {
            thread::spawn(move || {
                thread::spawn(move || {
                    super::wait_for_a_child("0.7");
                    sender.send(7)
                });
            });
        });
        assert_eq!(receiver.recv(), Ok(7));
    }

    static HELD: Mutex<()> = Mutex::new(());
    static TURN: AtomicU32 = AtomicU32::new(0);

    /// A thread, started before `main`, that holds a lock for a while whenever it is asked to.
    #[used]
    #[unsafe(link_section = ".init_array")]
    static CONSTRUCTOR: extern "C" fn() = {
        #[allow(clippy::disallowed_methods, reason = "it takes real time on purpose")]
        extern "C" fn constructor() {
            let Some(how) = std::env::var_os("FAILURES_HOLDER") else { return };
            thread::spawn(move || {
                loop {
                    while TURN.load(Ordering::SeqCst) != 1 {
                        thread::sleep(Duration::from_millis(1));
                    }
                    let _held = HELD.lock().unwrap_or_else(PoisonError::into_inner);
                    TURN.store(2, Ordering::SeqCst);
                    match how.as_encoded_bytes() {
                        b"moment" => thread::sleep(Duration::from_millis(20)),
                        b"child" => super::wait_for_a_child("0.1"),
                        b"sleep" => thread::sleep(Duration::from_millis(700)),
                        b"work" => {
                            let began = super::now();
                            while began.elapsed() < Duration::from_millis(700) {}
                        }
                        other => panic!("{other:?}"),
                    }
                    TURN.store(0, Ordering::SeqCst);
                }
            });
        }
        constructor
    };

    fn locks_what_another_thread_holds() {
        TURN.store(1, Ordering::SeqCst);
        while TURN.load(Ordering::SeqCst) == 1 {
            std::hint::spin_loop();
        }
        drop(HELD.lock());
    }

    /// Many waits, since the watchdog takes a while to look at one.
    #[sim_test(seeds = 60)]
    #[ignore = "for the tests below"]
    async fn lock_that_another_thread_holds_for_a_moment() {
        locks_what_another_thread_holds();
    }

    #[sim_test(seeds = 3)]
    #[ignore = "for the tests below"]
    async fn lock_that_another_thread_holds() {
        locks_what_another_thread_holds();
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

    #[sim_test(seeds = 3, client = "client.zone")]
    #[ignore = "for the tests below"]
    async fn read_of_a_pipe() {
        // A real pipe: a run's own would refuse to wait.
        let pipe = simmach::interpose::allow_threads(std::io::pipe);
        let (mut reader, _writer) = pipe.expect("there are descriptors");
        let _ = reader.read(&mut [0]); // pipe
    }

    #[sim_test(seeds = 3, client = "client.zone")]
    #[ignore = "for the tests below"]
    async fn pthread_mutex() {
        let mut mutex = libc::PTHREAD_MUTEX_INITIALIZER;
        // SAFETY: nothing else uses the mutex.
        unsafe {
            libc::pthread_mutex_lock(&raw mut mutex);
            libc::pthread_mutex_lock(&raw mut mutex); // pthread_mutex
        }
    }

    #[sim_test(seeds = 3)]
    #[ignore = "for the tests below"]
    async fn pthread_rwlock_of_a_reader() {
        let mut lock = libc::PTHREAD_RWLOCK_INITIALIZER;
        // SAFETY: a lock that nothing else has.
        unsafe {
            libc::pthread_rwlock_rdlock(&raw mut lock);
            libc::pthread_rwlock_wrlock(&raw mut lock); // pthread_rwlock
        }
    }

    #[sim_test(seeds = 3)]
    #[ignore = "for the tests below"]
    async fn pthread_cond() {
        let mut mutex = libc::PTHREAD_MUTEX_INITIALIZER;
        let mut cond = libc::PTHREAD_COND_INITIALIZER;
        // SAFETY: nothing else uses them, and the mutex is locked.
        unsafe {
            libc::pthread_mutex_lock(&raw mut mutex);
            loop {
                libc::pthread_cond_wait(&raw mut cond, &raw mut mutex); // pthread_cond
            }
        }
    }

    #[sim_test(seeds = 3)]
    #[ignore = "for the tests below"]
    async fn semaphore() {
        // SAFETY: the semaphore is initialized before it is used.
        unsafe {
            let mut semaphore = std::mem::zeroed();
            libc::sem_init(&raw mut semaphore, 0, 1);
            libc::sem_wait(&raw mut semaphore);
            libc::sem_wait(&raw mut semaphore); // semaphore
        }
    }

    struct LocksOfC;

    impl Drop for LocksOfC {
        fn drop(&mut self) {
            let mut mutex = libc::PTHREAD_MUTEX_INITIALIZER;
            // SAFETY: nothing else uses the mutex.
            unsafe {
                libc::pthread_mutex_lock(&raw mut mutex);
                libc::pthread_mutex_lock(&raw mut mutex); // in a destructor
            }
        }
    }

    async fn holds_locks_of_c() {
        let _locks = LocksOfC;
        std::future::pending::<()>().await;
    }

    #[sim_test(seeds = 3, machines("server.zone" => holds_locks_of_c))]
    #[ignore = "for the tests below"]
    async fn pthread_mutex_in_a_destructor(sim: Sim) -> Result {
        sleep(1.secs()).await;
        sim.kill("server.zone")?;
        Ok(())
    }

    extern "C" fn works(lock: *mut libc::c_void) -> *mut libc::c_void {
        super::wait_for_a_child("0.7");
        // SAFETY: the starting thread passed a mutex with a static lifetime, which it has locked.
        unsafe { libc::pthread_mutex_unlock(lock.cast()) };
        std::ptr::null_mut()
    }

    /// A C thread ends a C wait; the run's thread also joins it.
    #[sim_test(seeds = 3)]
    #[ignore = "for the tests below"]
    async fn pthread_mutex_of_an_allowed_thread() {
        let mutex = Box::leak(Box::new(libc::PTHREAD_MUTEX_INITIALIZER));
        // SAFETY: a mutex with a static lifetime, and a function that takes it.
        unsafe {
            libc::pthread_mutex_lock(mutex);
            let mut thread = 0;
            let error = simmach::interpose::allow_threads(|| {
                let mutex = (&raw mut *mutex).cast();
                libc::pthread_create(&raw mut thread, std::ptr::null(), works, mutex)
            });
            assert_eq!(error, 0);
            assert_eq!(libc::pthread_mutex_lock(mutex), 0);
            assert_eq!(libc::pthread_join(thread, std::ptr::null_mut()), 0);
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

/// The deadlock is found early: by the watchdog alone it would take two minutes.
fn deadlocks_at(name: &str, mark: &str) -> Vec<Ran> {
    let began = now();
    with_one_job_and_two(name, &[("SIMMACH_HANG", "50s")])
        .map(|ran| {
            let place = format!(" s, in {}:", line_of(FILE, SOURCE, mark));
            let frame = format!("at {}:", line_of(FILE, SOURCE, mark));
            let message = "deadlock: the only thread of the run waits for a lock or a wake-up";
            assert_has(&ran, &["failed with seed 0", message, &place, "Backtrace:\n", &frame]);
            assert_has_not(&ran, &["NOT REPRODUCIBLE", "not deterministic"]);
            assert!(began.elapsed() < Duration::from_secs(25), "{:?}", began.elapsed());
            ran
        })
        .into()
}

/// Runs a test with one job and with two, side by side: hanging runs need no processor.
fn with_one_job_and_two(name: &str, env: &[(&str, &str)]) -> [Ran; 2] {
    let running = ["1", "2"].map(|jobs| {
        let env: Vec<_> = [("SIMMACH_JOBS", jobs)].iter().chain(env).copied().collect();
        start("hangs", name, &env)
    });
    running.map(Running::end)
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
        let task = "on server.zone, in the task spawned at tests/tests/failures/hangs.rs:";
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
    with_one_job_and_two(name, &[("SIMMACH_HANG", "50s")]).map(|ran| {
        assert_has(
            &ran,
            &["deadlock: the only thread of the run waits", "task hung, on ", "Backtrace:\n"],
        );
        ran
    })
}

#[test]
fn wait_after_allowed_threads_are_gone_is_a_deadlock() {
    deadlocks_at("mutex_after_a_thread", "after a thread");
    deadlocks_at("channel_of_a_thread_that_ends", "of a thread");
}

#[test]
fn waits_of_the_c_library_are_deadlocks() {
    for ran in deadlocks_at("pthread_mutex", "pthread_mutex") {
        assert_has(&ran, &["on client.zone"]);
    }
    deadlocks_at("pthread_rwlock_of_a_reader", "pthread_rwlock");
    deadlocks_at("pthread_cond", "pthread_cond");
    deadlocks_at("semaphore", "semaphore");
    for ran in deadlocks_at("pthread_mutex_in_a_destructor", "in a destructor") {
        assert_has(&ran, &["on server.zone", ", at 1.000 s"]);
    }
}

#[test]
fn wait_that_another_thread_ends_is_no_deadlock() {
    let moment: &[(&str, &str)] = &[("FAILURES_HOLDER", "moment")];
    let cases: [(&str, &[(&str, &str)]); 5] = [
        ("allowed_thread", &[]),
        ("thread_of_an_earlier_run", &[]),
        ("thread_of_an_allowed_thread", &[]),
        ("pthread_mutex_of_an_allowed_thread", &[]),
        ("lock_that_another_thread_holds_for_a_moment", moment),
    ];
    std::thread::scope(|scope| {
        for (name, env) in cases {
            scope.spawn(move || {
                for ran in with_one_job_and_two(name, env) {
                    assert_eq!(ran.code, Some(0), "{name}:\n{}", ran.text);
                }
            });
        }
    });
}

/// The other threads were not started by a run. One that waits for something outside has a quarter of a second to end the
/// wait; one that is certain to continue by itself has longer.
#[test]
fn wait_for_a_lock_that_another_thread_holds_is_no_deadlock() {
    for jobs in ["1", "2"] {
        for how in ["child", "sleep", "work"] {
            let env = [("SIMMACH_JOBS", jobs), ("FAILURES_HOLDER", how)];
            let ran = run("hangs", "lock_that_another_thread_holds", &env);
            assert_eq!(ran.code, Some(0), "{how}:\n{}", ran.text);
        }
    }
}

/// The other thread polls forever and might hold a lock, so the run waits longer for it, but not forever.
#[test]
fn mutex_locked_twice_beside_a_busy_thread_is_a_deadlock() {
    let began = now();
    let env = [("SIMMACH_JOBS", "1"), ("SIMMACH_HANG", "50s"), ("FAILURES_HOLDER", "moment")];
    let ran = run("hangs", "mutex", &env);
    assert_has(&ran, &["deadlock: the only thread of the run waits", "on client.zone, at 2.000 s"]);
    assert!(began.elapsed() < Duration::from_secs(25), "{:?}", began.elapsed());
}

fn wait_for_a_child(seconds: &str) {
    let output = std::process::Command::new("sleep").arg(seconds).output();
    assert!(output.is_ok_and(|output| output.status.success()));
}

#[test]
fn hang_that_the_watchdog_finds_has_a_backtrace() {
    let hangs = |name: &str, frame: &str, more: &[&str]| {
        for ran in with_one_job_and_two(name, &[("SIMMACH_HANG", "500ms")]) {
            let message = "a task did not yield for 500ms of real time";
            assert_has(
                &ran,
                &["failed with seed 0", message, "task hung, on ", "Backtrace:\n", frame],
            );
            assert_has(&ran, more);
            assert_has_not(&ran, &["NOT REPRODUCIBLE", "not deterministic"]);
        }
    };
    let at = |mark| format!("at {}:", line_of(FILE, SOURCE, mark));
    let task = "on server.zone, in the task spawned at tests/tests/failures/hangs.rs:";
    hangs("endless_loop", &at("spin"), &[task]);
    hangs("endless_loop_that_allocates", &format!("at {FILE}:"), &[]);
    let place = format!(" s, in {}:", line_of(FILE, SOURCE, "pipe"));
    hangs("read_of_a_pipe", &at("pipe"), &[&place, "on client.zone"]);
    hangs("join_of_an_allowed_thread_without_end", &at("join"), &[]);
}
