//! Workers that hold a lease, and continue to work when they cannot renew it. The bug: two workers
//! may work at once.
//!
//! Minimum: one partition between the lock and the worker that holds the lease. It lasts longer
//! than the lease. Without a partition, every renewal is in time. There are no steps.

use std::cell::{Cell, RefCell};

use simmach::prelude::*;
use simmach::program::{Scenario, Spec};
use simmach::time::{Instant, sleep};

use super::wire::{Words, ask, serve};
use super::{Minimum, Planted};

pub(super) const PLANTED: Planted = Planted {
    name: "two holders of a lease without fencing",
    bugs: &["two holders"],
    minimum: Minimum { machines: 2, faults: 1, steps: 0, reorderings: 0 },
    spec,
};

const RELEASE: u64 = 0;
const HOLD: u64 = 1;
const LEASE: Duration = Duration::from_secs(2);

/// The number of workers at work. The whole run shares it, as an oracle.
#[derive(Default)]
struct Working(Cell<u64>);

async fn lock() -> Result {
    let holder: RefCell<Option<(u64, Instant)>> = RefCell::default();
    serve(async |[what, worker]: Words| {
        let mut holder = holder.borrow_mut();
        let free = holder.is_none_or(|(other, until)| other == worker || until <= Instant::now());
        if free {
            *holder = (what == HOLD).then(|| (worker, Instant::now() + LEASE));
        }
        Ok([u64::from(free), worker])
    })
    .await
}

async fn worker(number: u64) {
    loop {
        if !matches!(ask("lock", [HOLD, number]).await, Ok([1, _])) {
            sleep(300.millis()).await;
            continue;
        }
        let sim = Sim::current();
        let working = sim.state::<Working>();
        working.0.set(working.0.get() + 1);
        if working.0.get() > 1 {
            sim.fail("two holders", format!("worker {number} holds the lease, and another does"));
        }
        for _ in 0..8 {
            sleep(500.millis()).await;
            // The bug: the worker ignores whether the lease was renewed.
            let _ = ask("lock", [HOLD, number]).await;
        }
        working.0.set(working.0.get() - 1);
        let _ = ask("lock", [RELEASE, number]).await;
        sleep(300.millis()).await;
    }
}

fn spec() -> Spec {
    Scenario::new()
        .machine("lock", lock)
        .machine("w1", || worker(1))
        .machine("w2", || worker(2))
        .plan(Partitions::new().every(2.secs()..6.secs()).lasting(1.secs()..5.secs()))
        .body(async |_: Sim| sleep(60.secs()).await)
}
