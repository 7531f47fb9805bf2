//! From an annotated function to a verdict: which seeds are run, by whom, and what is said of it.
//!
//! The two doors (`trials` under `harness = false`, `plain` under libtest) come down to one sweep. Runs are made by
//! worker processes, so that one that kills its process costs one seed.

mod command;
mod config;
mod debugger;
pub(crate) mod doors;
mod progress;
mod registry;
mod seeds;
#[cfg(test)]
mod testing;
mod verdict;
pub(crate) mod workers;

use std::io;
use std::sync::Arc;
use std::thread::Thread;

use crate::engine::context::RunStatus;
use crate::engine::draws::overlay::Overlay;
use crate::outcome::{Keep, Outcome};
use crate::spec::SimTest;

/// What makes one run: `run::run`, and a stand-in in tests.
pub(crate) type Runner = fn(&SimTest, u64, &Overlay, Keep, Arc<RunStatus>) -> Outcome;

/// A thread of the harness's own. It has begun, and has the allocator's memory for it, when this returns: so that what a run
/// is given has the same addresses each time in a process that is loaded at fixed ones.
fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<Thread> {
    let thread = std::thread::Builder::new().name(format!("simmach-{name}"));
    let (begun, has_begun) = std::sync::mpsc::channel();
    let spawned = thread.spawn(move || {
        let memory = std::hint::black_box(Box::new([0_u8; 64]));
        // Nobody can have gone.
        let _ = begun.send(memory);
        work();
    })?;
    let _ = has_begun.recv();
    Ok(spawned.thread().clone())
}
