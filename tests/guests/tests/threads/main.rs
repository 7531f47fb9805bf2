//! Tests the threads of guests: those of std and of tokio's blocking pool, and their waits.

mod blocking_pool;
mod c_locks;
mod going_down;
mod own_runtimes;
mod sqlite;
mod std_threads;
