//! The sizes of the cases, which are the same for every program.

#![allow(dead_code, reason = "not every program has every case")]

/// Case a: round trips over one connection.
pub(crate) const ROUND_TRIPS: u64 = 100_000;
/// Cases b and b2: simulated seconds.
pub(crate) const SECONDS: u64 = 60;
/// Case b2: machines, each of which sleeps 10 ms in a loop.
pub(crate) const SLEEPERS: u64 = 200;
/// Case c: clients, servers, and requests of each client, which are 10 ms apart.
pub(crate) const CLIENTS: u64 = 20;
pub(crate) const SERVERS: u64 = 3;
pub(crate) const REQUESTS: u64 = 200;
/// Case d: simulations of three machines, and requests in each.
pub(crate) const RUNS: u64 = 1_000;
pub(crate) const FEW: u64 = 10;
/// Cases e and h: how often a message is passed on. Case e: machines in the ring.
pub(crate) const PASSES: u64 = 100_000;
pub(crate) const RING: u64 = 500;
/// Case g: bytes.
pub(crate) const BULK: u64 = 256 << 20;
