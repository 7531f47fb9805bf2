//! Tasks as data: the table of tasks, the queue of ready tasks, their waits, and their names.
//!
//! This module does not poll tasks; the executor does.

pub(crate) mod identity;
pub(crate) mod numbering;
pub(crate) mod pauses;
pub(crate) mod ready_queue;
pub(crate) mod table;
pub(crate) mod wait;
pub(crate) mod waiter;
