//! Tests the C library's locks, called as C code calls them.

use std::cell::UnsafeCell;
use std::ffi::c_int;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use libc::{
    clockid_t, pthread_cond_t, pthread_mutex_t, pthread_once_t, pthread_rwlock_t, sem_t, timespec,
};
use simmach::prelude::*;
use tokio::task::{JoinSet, spawn_blocking};

unsafe extern "C" {
    fn pthread_once(control: *mut pthread_once_t, initializer: extern "C" fn()) -> c_int;
    fn pthread_cond_clockwait(
        cond: *mut pthread_cond_t,
        mutex: *mut pthread_mutex_t,
        clock: clockid_t,
        until: *const timespec,
    ) -> c_int;
    fn sem_clockwait(semaphore: *mut sem_t, clock: clockid_t, until: *const timespec) -> c_int;
}

/// Objects of the C library, and the data that they protect.
struct Objects {
    mutex: UnsafeCell<pthread_mutex_t>,
    cond: UnsafeCell<pthread_cond_t>,
    lock: UnsafeCell<pthread_rwlock_t>,
    semaphore: UnsafeCell<sem_t>,
    value: AtomicI32,
    inside: AtomicU32,
}

// SAFETY: the library's functions may be called from any thread.
unsafe impl Sync for Objects {}
// SAFETY: as above; no thread holds an object when it is moved.
unsafe impl Send for Objects {}

/// Calls a function of the C library on some of the objects.
macro_rules! call {
    ($function:path, $($argument:expr),+) => {
        // SAFETY: the objects are initialized, and live as long as the call.
        unsafe { $function($($argument),+) }
    };
}

impl Objects {
    fn new() -> Arc<Self> {
        let objects = Self {
            mutex: UnsafeCell::new(libc::PTHREAD_MUTEX_INITIALIZER),
            cond: UnsafeCell::new(libc::PTHREAD_COND_INITIALIZER),
            lock: UnsafeCell::new(libc::PTHREAD_RWLOCK_INITIALIZER),
            // SAFETY: any bytes are a semaphore that is not initialized yet.
            semaphore: UnsafeCell::new(unsafe { std::mem::zeroed() }),
            value: AtomicI32::new(0),
            inside: AtomicU32::new(0),
        };
        let objects = Arc::new(objects);
        assert_eq!(call!(libc::sem_init, objects.semaphore.get(), 0, 0), 0);
        objects
    }

    fn lock(&self) {
        assert_eq!(call!(libc::pthread_mutex_lock, self.mutex.get()), 0);
    }

    fn unlock(&self) {
        assert_eq!(call!(libc::pthread_mutex_unlock, self.mutex.get()), 0);
    }

    fn wait(&self) {
        assert_eq!(call!(libc::pthread_cond_wait, self.cond.get(), self.mutex.get()), 0);
    }

    fn value(&self) -> i32 {
        self.value.load(Ordering::SeqCst)
    }

    fn set(&self, value: i32) {
        self.value.store(value, Ordering::SeqCst);
    }

    /// A part that only one thread may be in, which takes time.
    fn alone(&self) {
        assert_eq!(self.inside.fetch_add(1, Ordering::SeqCst), 0);
        thread::sleep(Duration::from_millis(1));
        assert_eq!(self.inside.fetch_sub(1, Ordering::SeqCst), 1);
    }
}

fn after(clock: clockid_t, time: Duration) -> timespec {
    let mut now = timespec { tv_sec: 0, tv_nsec: 0 };
    assert_eq!(call!(libc::clock_gettime, clock, &raw mut now), 0);
    let nanos = now.tv_nsec + i64::from(time.subsec_nanos());
    let seconds = now.tv_sec + time.as_secs().cast_signed() + nanos / 1_000_000_000;
    timespec { tv_sec: seconds, tv_nsec: nanos % 1_000_000_000 }
}

async fn join_all(mut threads: JoinSet<()>) {
    while let Some(ended) = threads.join_next().await {
        ended.expect("it returns");
    }
}

#[sim_test(seeds = 100, check = true)]
async fn mutex_excludes(sim: Sim) {
    let objects = Objects::new();
    let mut threads = JoinSet::new();
    for number in 0..5 {
        let objects = Arc::clone(&objects);
        threads.spawn_blocking(move || {
            for turn in 0..4 {
                match turn % 3 {
                    0 => objects.lock(),
                    1 => {
                        let until = after(libc::CLOCK_REALTIME, Duration::from_secs(100));
                        let timed = call!(
                            libc::pthread_mutex_timedlock,
                            objects.mutex.get(),
                            &raw const until
                        );
                        assert_eq!(timed, 0);
                    }
                    _ => {
                        while call!(libc::pthread_mutex_trylock, objects.mutex.get()) != 0 {
                            thread::sleep(Duration::from_millis(1));
                        }
                    }
                }
                objects.alone();
                objects.set(objects.value() * 3 % 1_000_007 + number);
                objects.unlock();
            }
        });
    }
    join_all(threads).await;
    sim.log(format!("{}", objects.value()));
}

#[sim_test(seeds = 50, check = true)]
async fn waits_with_time_outs_end_in_virtual_time() {
    let objects = Objects::new();
    let held = Arc::clone(&objects);
    let holder = spawn_blocking(move || {
        held.lock();
        thread::sleep(Duration::from_secs(5));
        held.unlock();
    });
    let waits = spawn_blocking(move || {
        thread::sleep(Duration::from_millis(1));
        let began = Instant::now();
        let until = after(libc::CLOCK_REALTIME, Duration::from_secs(2));
        let timed = call!(libc::pthread_mutex_timedlock, objects.mutex.get(), &raw const until);
        assert_eq!((timed, began.elapsed().as_secs()), (libc::ETIMEDOUT, 2));
        objects.lock();
        assert_eq!(began.elapsed().as_millis(), 4_999);

        for clock in [libc::CLOCK_REALTIME, libc::CLOCK_MONOTONIC] {
            let began = Instant::now();
            let until = after(clock, Duration::from_secs(3));
            let (cond, mutex) = (objects.cond.get(), objects.mutex.get());
            let timed = call!(pthread_cond_clockwait, cond, mutex, clock, &raw const until);
            assert_eq!((timed, began.elapsed().as_secs()), (libc::ETIMEDOUT, 3));
            // Which clock it uses is an attribute of the condition variable.
            let until = after(clock, Duration::from_secs(3));
            let timed = call!(libc::pthread_cond_timedwait, cond, mutex, &raw const until);
            assert_eq!((timed, began.elapsed().as_secs()), (libc::ETIMEDOUT, 6));
            let until = after(clock, Duration::from_secs(3));
            let timed = call!(sem_clockwait, objects.semaphore.get(), clock, &raw const until);
            assert_eq!((timed, began.elapsed().as_secs()), (-1, 9));
        }
        objects.unlock();
        let until = after(libc::CLOCK_REALTIME, Duration::from_secs(3));
        let began = Instant::now();
        let timed = call!(libc::sem_timedwait, objects.semaphore.get(), &raw const until);
        assert_eq!((timed, began.elapsed().as_secs()), (-1, 3));
        let error = std::io::Error::last_os_error().raw_os_error();
        assert_eq!(error, Some(libc::ETIMEDOUT));
    });
    holder.await.expect("it returns");
    waits.await.expect("it returns");
}

#[sim_test(seeds = 100, check = true)]
async fn condition_variable_wakes() {
    let objects = Objects::new();
    let mut threads = JoinSet::new();
    for number in 0..3 {
        let objects = Arc::clone(&objects);
        threads.spawn_blocking(move || {
            for _ in 0..4 {
                objects.lock();
                while objects.value() == 0 {
                    objects.wait();
                }
                objects.set(objects.value() - 1);
                objects.alone();
                objects.unlock();
                thread::sleep(Duration::from_millis(number));
            }
        });
    }
    threads.spawn_blocking(move || {
        for turn in 0..6 {
            thread::sleep(Duration::from_millis(2));
            objects.lock();
            objects.set(objects.value() + 2);
            if turn % 2 == 0 {
                assert_eq!(call!(libc::pthread_cond_broadcast, objects.cond.get()), 0);
            } else {
                assert_eq!(call!(libc::pthread_cond_signal, objects.cond.get()), 0);
                assert_eq!(call!(libc::pthread_cond_signal, objects.cond.get()), 0);
            }
            objects.unlock();
        }
    });
    join_all(threads).await;
}

#[sim_test(seeds = 100, check = true)]
async fn read_write_lock_excludes_writers() {
    let objects = Objects::new();
    let mut threads = JoinSet::new();
    for number in 0..6 {
        let objects = Arc::clone(&objects);
        threads.spawn_blocking(move || {
            let lock = objects.lock.get();
            for _ in 0..3 {
                if number % 3 == 0 {
                    assert_eq!(call!(libc::pthread_rwlock_wrlock, lock), 0);
                    objects.alone();
                    objects.set(objects.value() + 1);
                } else {
                    assert_eq!(call!(libc::pthread_rwlock_rdlock, lock), 0);
                    let before = objects.value();
                    thread::sleep(Duration::from_millis(1));
                    assert_eq!(objects.value(), before);
                }
                assert_eq!(call!(libc::pthread_rwlock_unlock, lock), 0);
            }
        });
    }
    join_all(threads).await;
    assert_eq!(objects.value(), 6);
}

#[sim_test(seeds = 100, check = true)]
async fn semaphore_counts() {
    let objects = Objects::new();
    let mut threads = JoinSet::new();
    for _ in 0..4 {
        let objects = Arc::clone(&objects);
        threads.spawn_blocking(move || {
            for _ in 0..3 {
                assert_eq!(call!(libc::sem_wait, objects.semaphore.get()), 0);
                objects.value.fetch_add(1, Ordering::SeqCst);
            }
        });
    }
    let posts = Arc::clone(&objects);
    threads.spawn_blocking(move || {
        for turn in 1..=12 {
            thread::sleep(Duration::from_millis(1));
            assert_eq!(posts.value(), turn - 1);
            assert_eq!(call!(libc::sem_post, posts.semaphore.get()), 0);
        }
    });
    join_all(threads).await;
    assert_eq!(objects.value(), 12);
}

#[sim_test(seeds = 100, check = true)]
async fn initializer_runs_once() {
    struct Control(UnsafeCell<pthread_once_t>);
    // SAFETY: the library's function may be called from any thread.
    unsafe impl Sync for Control {}
    static CALLS: AtomicU32 = AtomicU32::new(0);
    extern "C" fn initialize() {
        thread::sleep(Duration::from_millis(5));
        CALLS.fetch_add(1, Ordering::SeqCst);
    }
    let control = Arc::new(Control(UnsafeCell::new(libc::PTHREAD_ONCE_INIT)));
    CALLS.store(0, Ordering::SeqCst);
    let mut threads = JoinSet::new();
    for number in 0..4 {
        let control = Arc::clone(&control);
        threads.spawn_blocking(move || {
            thread::sleep(Duration::from_millis(2 * number));
            assert_eq!(call!(pthread_once, control.0.get(), initialize), 0);
            assert_eq!(CALLS.load(Ordering::SeqCst), 1);
        });
    }
    join_all(threads).await;
}

/// An async function may wait for a lock whose holder can go on.
#[sim_test(seeds = 50, check = true)]
async fn async_function_waits_for_a_busy_thread() {
    let objects = Objects::new();
    let held = Arc::clone(&objects);
    let (sender, receiver) = std::sync::mpsc::channel();
    let holder = thread::spawn(move || {
        held.lock();
        receiver.recv().expect("it is sent");
        held.set(1);
        held.unlock();
        assert_eq!(call!(libc::sem_post, held.semaphore.get()), 0);
        held.lock();
        held.set(2);
        assert_eq!(call!(libc::pthread_cond_signal, held.cond.get()), 0);
        held.unlock();
    });
    tokio::time::sleep(Duration::from_millis(1)).await;
    sender.send(()).expect("it is received");
    objects.lock();
    while objects.value() < 2 {
        objects.wait();
    }
    objects.unlock();
    assert_eq!(call!(libc::sem_wait, objects.semaphore.get()), 0);
    holder.join().expect("it returns");
}

/// The holder's process ends, and so does the waiting one's.
#[sim_test(seeds = 50, check = true, machines("victim.zone" => waits_for_locks))]
async fn threads_that_wait_are_killed(sim: Sim) -> Result<(), simmach::ControlError> {
    for _ in 0..3 {
        tokio::time::sleep(Duration::from_millis(10)).await;
        sim.kill("victim.zone")?;
        sim.start("victim.zone")?;
    }
    Ok(())
}

async fn waits_for_locks() {
    let objects = Objects::new();
    for number in 0..3 {
        let objects = Arc::clone(&objects);
        thread::spawn(move || {
            for _ in 0..10 {
                objects.lock();
                thread::sleep(Duration::from_millis(number));
                objects.unlock();
            }
        });
    }
    std::future::pending::<()>().await;
}
