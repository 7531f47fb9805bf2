//! From an annotated function to a test result.
//!
//! A test is called by libtest (`doors/libtest.rs`) or by `simmach::main!` (`doors/main_macro.rs`). Either way it becomes
//! one sweep over its seeds. Worker processes execute the runs, so that a run that kills its process affects only its own
//! seed.

mod command;
mod config;
mod debugger;
pub(crate) mod doors;
mod evaluation;
mod progress;
mod registry;
mod seeds;
#[cfg(test)]
mod testing;
pub(crate) mod workers;

use std::io;
use std::sync::Arc;
use std::thread::Thread;

use crate::engine::context::RunStatus;
use crate::engine::draws::overlay::Overlay;
use crate::outcome::{Keep, Outcome};
use crate::spec::SimTest;

/// Function that executes one run: `run::run`, or a stand-in in tests.
pub(crate) type Runner = fn(&SimTest, u64, &Overlay, Keep, Arc<RunStatus>) -> Outcome;

/// Spawns a thread of the harness. It returns after the thread has started and has allocated once, because the allocator's
/// set-up for a new thread would otherwise move the addresses that runs get in a process without address randomization.
fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<Thread> {
    let thread = std::thread::Builder::new().name(format!("simmach-{name}"));
    let (started, has_started) = std::sync::mpsc::channel();
    let spawned = thread.spawn(move || {
        let memory = std::hint::black_box(Box::new([0_u8; 64]));
        // The receiver is still there: it waits for this.
        let _ = started.send(memory);
        work();
    })?;
    let _ = has_started.recv();
    Ok(spawned.thread().clone())
}
