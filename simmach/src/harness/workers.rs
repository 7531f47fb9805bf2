//! Executes the runs in worker processes or in this process, and manages the folders for the runs'
//! disks.

pub(crate) mod disk;
mod dispatcher;
pub(crate) mod exit_now;
pub(crate) mod in_process;
pub(crate) mod job;
pub(crate) mod launch;
mod no_aslr;
pub(crate) mod output;
pub(crate) mod pool;
mod protocol;
pub(crate) mod queue;
mod sampling;
pub(crate) mod watchdog;
pub(crate) mod worker;
