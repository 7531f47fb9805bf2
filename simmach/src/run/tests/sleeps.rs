//! Tests of sleeps on the run's own thread, in guests that have threads.
#![cfg(feature = "tokio")]
#![allow(clippy::disallowed_methods, reason = "std's sleep is what is tested")]

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
