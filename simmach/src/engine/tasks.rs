//! Tasks as data: their table, the queue of those that are ready, what they wait for, and their names.
//!
//! Nothing here polls a task: that is the executor's work.

pub(crate) mod identity;
pub(crate) mod numbering;
pub(crate) mod pauses;
pub(crate) mod ready_queue;
pub(crate) mod table;
pub(crate) mod wait;
pub(crate) mod waiter;
