//! The harness: takes an annotated function and returns a test result.
//!
//! Either libtest (`doors/libtest.rs`) or `simmach::main!` (`doors/main_macro.rs`) calls a test. In
//! both cases, the call becomes one sweep over the test's seeds. Worker processes execute the runs,
//! so that a run that kills its process affects only its own seed.

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

/// Spawns a thread of the harness. Returns after the thread has started and has allocated memory
/// once. Otherwise, the allocator's set-up for the new thread would change the addresses that runs
/// get in a process without address randomization.
fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<Thread> {
    let thread = std::thread::Builder::new().name(format!("simmach-{name}"));
    let (started, has_started) = std::sync::mpsc::channel();
    let spawned = thread.spawn(move || {
        let memory = std::hint::black_box(Box::new([0_u8; 64]));
        // The receiver still exists: it waits for this message.
        let _ = started.send(memory);
        work();
    })?;
    let _ = has_started.recv();
    Ok(spawned.thread().clone())
}
