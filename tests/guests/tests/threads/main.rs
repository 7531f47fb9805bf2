//! Threads of guests: std's, tokio's blocking pool, and what they wait for.

mod blocking_pool;
mod c_locks;
mod going_down;
mod own_runtimes;
mod sqlite;
mod std_threads;
