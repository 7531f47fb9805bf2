//! How much work each case is, for every program alike.

#![allow(dead_code, reason = "not every program has every case")]

/// a: round trips over one connection.
pub const ROUND_TRIPS: u64 = 100_000;
/// b, b2: simulated seconds.
pub const SECONDS: u64 = 60;
/// b2: machines, each a loop of sleeps of 10 ms.
pub const SLEEPERS: u64 = 200;
/// c: clients, servers, and requests of each client, 10 ms apart.
pub const CLIENTS: u64 = 20;
pub const SERVERS: u64 = 3;
pub const REQUESTS: u64 = 200;
/// d: simulations of three machines, and requests in each.
pub const RUNS: u64 = 1_000;
pub const FEW: u64 = 10;
/// e, h: how often a message is passed on. e: the machines of its ring.
pub const PASSES: u64 = 100_000;
pub const RING: u64 = 500;
/// g: bytes.
pub const BULK: u64 = 256 << 20;
