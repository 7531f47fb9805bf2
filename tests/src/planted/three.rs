//! A door that opens after three particular commands in order, regardless of the commands between
//! them. The bug: it opens.
//!
//! Minimum: these three of the forty commands. Each of the three is needed to reach the next state.

use std::cell::Cell;

use simmach::prelude::*;
use simmach::program::{Scenario, Spec};

use super::wire::{Words, ask, serve};
use super::{Minimum, Planted};

pub(super) const PLANTED: Planted = Planted {
    name: "three particular steps among forty",
    bugs: &["open door"],
    minimum: Minimum { machines: 0, faults: 0, steps: 3, reorderings: 0 },
    spec,
};

async fn door() -> Result {
    let state = Cell::new(0);
    serve(async |[command, _]: Words| {
        state.set(match (state.get(), command) {
            (0, 3) => 1,
            (1, 5) => 2,
            (2, 6) => {
                Sim::current().fail("open door", "it is open, and nobody opened it");
                3
            }
            (state, _) => state,
        });
        Ok([state.get(), 0])
    })
    .await
}

fn spec() -> Spec {
    Scenario::new().machine("door", door).body(body)
}

async fn body(sim: Sim) -> Result {
    for step in sim.steps(40) {
        ask("door", [step.random_range(0..8u64), 0]).await?;
    }
    Ok(())
}
