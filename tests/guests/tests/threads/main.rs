//! Threads of guests: std's, tokio's blocking pool, and what they wait for.

mod blocking_pool;
mod going_down;
mod std_threads;
