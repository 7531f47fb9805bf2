//! The fairness of parking_lot, whose locks tokio's feature `full` uses.
//!
//! parking_lot hands a lock over to a waiting thread, instead of letting the threads contend for it, when half a
//! millisecond or so has passed since it last did. It keeps these times by the address of the lock, in a table that outlives
//! runs: two runs of a seed would differ. So the table is made before the first run, while the clock shows a time that no
//! run reaches: then no lock is ever handed over but by `unlock_fair`.
//!
//! The table is replaced when more threads wait than it was made for. In a process with more threads than that, the
//! determinism check finds what depends on it.

use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use crate::interpose::system::stop_own_clock;

/// Number of threads that may exist at a time before parking_lot makes a new table.
const THREADS: usize = 128;
/// A time that no run reaches: 30,000 years.
const NEVER: Duration = Duration::from_secs(1_000_000_000_000);

/// Makes parking_lot's table. Outside every run. The threads start and end one after the other: what they allocate is at the
/// same addresses in every process, if the kernel does not change them.
pub(super) fn prepare() {
    thread::scope(|scope| {
        let mut threads = Vec::with_capacity(THREADS);
        for _ in 0..THREADS {
            let (send, arrived) = mpsc::channel();
            let (release, released) = mpsc::channel::<()>();
            let wait = move || {
                stop_own_clock(NEVER);
                Condvar::new().wait_for(&mut Mutex::new(()).lock(), Duration::ZERO);
                drop(send);
                // All of them must exist at the same time.
                let _ = released.recv();
            };
            // If the system refuses one, the table is made for fewer.
            let builder = thread::Builder::new().stack_size(64 << 10);
            let Ok(thread) = builder.spawn_scoped(scope, wait) else { break };
            let _: Result<(), _> = arrived.recv();
            threads.push((release, thread));
        }
        for (release, thread) in threads {
            drop(release);
            // It does not panic.
            let _ = thread.join();
        }
    });
}
