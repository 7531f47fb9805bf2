//! The size of each case, the same for every program.

#![allow(dead_code, reason = "not every program has every case")]

/// a: round trips over one connection.
pub(crate) const ROUND_TRIPS: u64 = 100_000;
/// b, b2: simulated seconds.
pub(crate) const SECONDS: u64 = 60;
/// b2: machines, each of which sleeps 10 ms in a loop.
pub(crate) const SLEEPERS: u64 = 200;
/// c: clients, servers, and requests of each client, 10 ms apart.
pub(crate) const CLIENTS: u64 = 20;
pub(crate) const SERVERS: u64 = 3;
pub(crate) const REQUESTS: u64 = 200;
/// d: simulations of three machines, and requests in each.
pub(crate) const RUNS: u64 = 1_000;
pub(crate) const FEW: u64 = 10;
/// e, h: number of times that a message is passed on. e: machines in its ring.
pub(crate) const PASSES: u64 = 100_000;
pub(crate) const RING: u64 = 500;
/// g: bytes.
pub(crate) const BULK: u64 = 256 << 20;
