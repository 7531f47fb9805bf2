//! A consumer that yields twice, and a producer that yields once. The bug: the consumer relies on
//! the producer being done first.
//!
//! Minimum: one round in which the producer's second poll comes after the consumer's third poll,
//! that is, one reordered task. If tasks run in the order in which they are woken, the producer is
//! always in time.

use std::cell::Cell;
use std::rc::Rc;

use simmach::prelude::*;
use simmach::program::{Scenario, Spec};
use simmach::task::{spawn_local, yield_now};
use simmach::time::sleep;

use super::{Minimum, Planted};

pub(super) const PLANTED: Planted = Planted {
    name: "a race of two tasks",
    bugs: &["not ready"],
    minimum: Minimum { machines: 0, faults: 0, steps: 1, reorderings: 1 },
    spec,
};

fn spec() -> Spec {
    Scenario::new().body(body)
}

async fn body(sim: Sim) -> Result {
    for step in sim.steps(20) {
        let ready = Rc::new(Cell::new(false));
        let produced = Rc::clone(&ready);
        let producer = spawn_local(async move {
            yield_now().await;
            produced.set(true);
        });
        let consumer = spawn_local(async move {
            yield_now().await;
            yield_now().await;
            if !ready.get() {
                sim.fail("not ready", format!("in round {}", step.number()));
            }
        });
        producer.await?;
        consumer.await?;
        sleep(10.millis()).await;
    }
    Ok(())
}
