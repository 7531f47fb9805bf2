//! The fairness of parking_lot, whose locks tokio's feature `full` uses.
//!
//! parking_lot hands a lock over to a waiting thread, instead of letting the threads contend for it, when half a
//! millisecond or so has passed since it last did. It keeps these times by the address of the lock, in a table that outlives
//! runs: two runs of a seed would differ. So the table is made before the first run, while the clock shows a time that no
//! run reaches: then no lock is ever handed over but by `unlock_fair`.
//!
//! The table is replaced when more threads wait than it was made for. In a process with more threads than that, the
//! determinism check finds what depends on it.

use std::sync::{RwLock, mpsc};
use std::thread;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use crate::interpose::system::stop_own_clock;

/// Number of threads that may exist at a time before parking_lot makes a new table.
const THREADS: usize = 128;
/// A time that no run reaches: 30,000 years.
const NEVER: Duration = Duration::from_secs(1_000_000_000_000);

/// Makes parking_lot's table. Outside every run.
pub(super) fn prepare() {
    let gate = RwLock::new(());
    let (send, arrived) = mpsc::channel();
    thread::scope(|scope| {
        let closed = gate.write();
        let started = (0..THREADS).take_while(|_| {
            let (gate, send) = (&gate, send.clone());
            let wait = move || {
                stop_own_clock(NEVER);
                Condvar::new().wait_for(&mut Mutex::new(()).lock(), Duration::ZERO);
                let _ = send.send(());
                // All of them must exist at the same time.
                drop(gate.read());
            };
            // If there can't be so many, the table is made for fewer.
            thread::Builder::new().stack_size(64 << 10).spawn_scoped(scope, wait).is_ok()
        });
        arrived.iter().take(started.count()).for_each(drop);
        drop(closed);
    });
}
