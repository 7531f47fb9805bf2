//! From an annotated function to a verdict: which seeds are run, by whom, and what is said of it.
//!
//! The two doors (`trials` under `harness = false`, `plain` under libtest) come down to one sweep. Runs are made by
//! worker processes, so that one that kills its process costs one seed.

mod addresses;
mod arguments;
mod capture;
mod check;
mod command;
mod config;
mod diagnosis;
pub(crate) mod disk;
mod dispatcher;
mod here;
mod interrupt;
mod job;
mod judge;
mod judgement;
mod launch;
mod leave;
mod linked;
mod output;
pub(crate) mod plain;
mod pool;
mod progress;
mod protocol;
mod queue;
mod registry;
mod regressions;
mod replay;
mod reporting;
mod sampling;
mod seeds;
mod session;
mod shrinking;
mod sweep;
#[cfg(test)]
mod testing;
mod trial;
pub(crate) mod trials;
mod watchdog;
mod worker;

use std::io;
use std::sync::Arc;

use crate::engine::context::Shared;
use crate::engine::overlay::Overlay;
use crate::outcome::{Keep, Outcome};
use crate::spec::SimTest;

/// What makes one run: `run::run`, and a stand-in in tests.
pub(crate) type Runner = fn(&SimTest, u64, &Overlay, Keep, Arc<Shared>) -> Outcome;

/// A thread of the harness's own. It has begun, and has the allocator's memory for it, when this returns: so that what a run
/// is given has the same addresses each time in a process that is loaded at fixed ones.
fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<()> {
    let thread = std::thread::Builder::new().name(format!("simmach-{name}"));
    let (begun, has_begun) = std::sync::mpsc::channel();
    thread.spawn(move || {
        let memory = std::hint::black_box(Box::new([0_u8; 64]));
        // Nobody can have gone.
        let _ = begun.send(memory);
        work();
    })?;
    let _ = has_begun.recv();
    Ok(())
}
