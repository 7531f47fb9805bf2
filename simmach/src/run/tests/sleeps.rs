//! Tests of functions of the C library that sleep, in guests that have threads.
#![cfg(all(feature = "tokio", target_os = "linux"))]
#![allow(clippy::disallowed_methods, reason = "std's sleep is what is tested")]

use std::ptr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::mpsc;
use std::thread;

use crate::run::tests::*;

/// Stops its thread and waits until it has ended, as storage engines do when they are dropped.
struct Worker {
    stop: Option<mpsc::Sender<()>>,
    has_ended: Arc<AtomicBool>,
}

impl Worker {
    fn start() -> Self {
        let (stop, stopped) = mpsc::channel::<()>();
        let has_ended = Arc::new(AtomicBool::new(false));
        let ended = Arc::clone(&has_ended);
        thread::spawn(move || {
            let _ = stopped.recv();
            ended.store(true, SeqCst);
        });
        Self { stop: Some(stop), has_ended }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.stop = None;
        while !self.has_ended.load(SeqCst) {
            thread::sleep(10.micros());
        }
    }
}

#[test]
fn short_sleep_lets_threads_of_the_guest_run() {
    pass(|| {
        SpecBuilder::new().body(async |_| {
            drop(Worker::start());
        })
    });
}

#[test]
fn short_sleep_in_a_destructor_of_a_dead_process_lets_its_threads_end() {
    pass(|| {
        let service = || async {
            let _worker = Worker::start();
            std::future::pending::<()>().await;
        };
        SpecBuilder::new().machine("db", service).body(async |sim| {
            sleep(1.secs()).await;
            sim.power_off("db")?;
            sim.start("db")?;
            sleep(1.secs()).await;
            sim.kill("db")
        })
    });
}

#[test]
fn long_sleep_on_the_runs_own_thread_is_refused() {
    let failure = fail(|| {
        SpecBuilder::new().body(async |_| {
            let _worker = Worker::start();
            thread::sleep(2.millis());
        })
    });
    assert!(failure.message.contains("sleep"), "{}", failure.message);
}

/// Runs `f` on a thread of a guest. Returns the virtual milliseconds that it took.
async fn on_a_thread(f: impl FnOnce() + Send + 'static) -> u64 {
    let before = Instant::now();
    let (done, ended) = futures::channel::oneshot::channel();
    thread::spawn(move || {
        f();
        done.send(()).expect("the body waits for the thread");
    });
    ended.await.expect("the thread ends");
    before.elapsed().as_millis() as u64
}

#[test]
fn sleeps_of_a_guests_thread_take_virtual_time() {
    pass(|| {
        SpecBuilder::new().body(async |_| {
            let usleep = || {
                // SAFETY: the function has no preconditions.
                assert_eq!(unsafe { libc::usleep(250_000) }, 0);
            };
            let sleep = || {
                // SAFETY: the function has no preconditions.
                assert_eq!(unsafe { libc::sleep(3) }, 0);
            };
            let select = || {
                let mut time = libc::timeval { tv_sec: 1, tv_usec: 500_000 };
                let none = ptr::null_mut();
                // SAFETY: the timeout is valid, and there are no descriptors.
                let ready = unsafe { libc::select(0, none, none, none, &raw mut time) };
                assert_eq!(ready, 0);
            };
            let until = || {
                // SAFETY: zeros are a valid time, and the pointers are valid.
                unsafe {
                    let mut time: libc::timespec = std::mem::zeroed();
                    libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut time);
                    time.tv_sec += 2;
                    let (clock, flags) = (libc::CLOCK_MONOTONIC, libc::TIMER_ABSTIME);
                    let rest = ptr::null_mut();
                    assert_eq!(libc::clock_nanosleep(clock, flags, &raw const time, rest), 0);
                }
            };
            assert_eq!(on_a_thread(usleep).await, 250);
            assert_eq!(on_a_thread(sleep).await, 3_000);
            assert_eq!(on_a_thread(select).await, 1_500);
            assert_eq!(on_a_thread(until).await, 2_000);
        })
    });
}
