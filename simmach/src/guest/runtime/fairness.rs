//! Disables the timed fairness of parking_lot, whose locks tokio's feature `full` uses.
//!
//! parking_lot usually lets threads contend for a lock. About every half a millisecond, it hands
//! the lock over to a waiting thread instead. It keeps the times of these handovers by the address
//! of the lock, in a table that outlives runs, so two runs of a seed would differ. Therefore
//! simmach makes parking_lot create the table before the first run, while the clock shows a time
//! that no run reaches. Afterwards, only `unlock_fair` hands a lock over.
//!
//! parking_lot replaces the table when there are more threads than the table was made for. In such
//! a process, the determinism check detects code that depends on the handovers.

use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use crate::interpose::system::stop_own_clock;

/// Number of threads that may exist at a time before parking_lot makes a new table.
const THREADS: usize = 128;
/// A time that no run reaches: 30,000 years.
const NEVER: Duration = Duration::from_secs(1_000_000_000_000);

/// Makes parking_lot create its table, by starting [`THREADS`] threads. Must be called outside
/// runs. The threads start and end one after another. So their allocations have the same addresses
/// in every process, unless the kernel randomizes addresses.
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
            // If the system refuses a thread, the table is made for fewer threads.
            let builder = thread::Builder::new().stack_size(64 << 10);
            let Ok(thread) = builder.spawn_scoped(scope, wait) else { break };
            let _: Result<(), _> = arrived.recv();
            threads.push((release, thread));
        }
        for (release, thread) in threads {
            drop(release);
            // The thread does not panic.
            let _ = thread.join();
        }
    });
}
