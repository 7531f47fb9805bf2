//! Who makes the runs: worker processes, or this process, and the disks they use.

pub(crate) mod addresses;
pub(crate) mod disk;
mod dispatcher;
pub(crate) mod here;
pub(crate) mod job;
pub(crate) mod launch;
pub(crate) mod leave;
pub(crate) mod output;
pub(crate) mod pool;
mod protocol;
pub(crate) mod queue;
mod sampling;
pub(crate) mod watchdog;
pub(crate) mod worker;
