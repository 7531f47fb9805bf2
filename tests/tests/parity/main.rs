//! The same code on the simulated network and on the kernel's own: every scenario is compiled twice, once against
//! `simmach::net` and once against `tokio::net`, and must see the same in both.
//!
//! In the simulation a scenario runs for a hundred seeds on one machine's loopback; on tokio once, on the real one. What
//! takes a kernel minutes (time-outs, TIME-WAIT) is not here but in the tests of the state machine.

#![allow(clippy::duplicate_mod, reason = "that is the point of it")]

#[cfg(target_os = "linux")]
mod real;
mod simulated;
