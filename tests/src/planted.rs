//! Small distributed programs with one planted bug each. The smallest failing run of each program
//! is known.
//!
//! The documentation of each module describes this minimum, and why no smaller run can fail.
//! `tests/planted.rs` runs the programs, and `cargo bench --bench shrink` measures them.

mod lease;
mod no_timeout;
mod order;
mod race;
mod retry;
mod seven;
mod three;
mod two_parts;
mod unflushed;
mod wire;

use simmach::program::{Program, Scenario, Spec};

/// A program with a planted bug.
#[derive(Clone, Copy, Debug)]
pub struct Planted {
    /// Name in tables and golden traces.
    pub name: &'static str,
    /// The key of the bug's failure, or several keys for the same bug.
    pub bugs: &'static [&'static str],
    /// The size of the smallest failing run.
    pub minimum: Minimum,
    /// The cluster, its plans and the test's body.
    pub spec: fn() -> Spec,
}

/// The size of the smallest failing run, as an upper bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Minimum {
    /// Number of affected machines.
    pub machines: u64,
    /// Number of strikes and packet faults.
    pub faults: u64,
    /// Number of steps.
    pub steps: u64,
    /// Number of tasks that must run after tasks that became ready later.
    pub reorderings: u64,
}

/// A write is acknowledged before it is durable.
pub const UNFLUSHED: Planted = unflushed::PLANTED;
/// The program of [`UNFLUSHED`] under other plans.
pub fn unflushed(plans: Scenario) -> Spec {
    unflushed::with(plans)
}

/// A retry repeats a request.
pub const RETRY: Planted = retry::PLANTED;
/// Two workers hold a lease at once.
pub const LEASE: Planted = lease::PLANTED;
/// A protocol over UDP trusts the order of datagrams.
pub const ORDER: Planted = order::PLANTED;
/// Two tasks race.
pub const RACE: Planted = race::PLANTED;
/// Three particular steps among forty fail.
pub const THREE: Planted = three::PLANTED;
/// A crash falls between the two parts of an update.
pub const TWO_PARTS: Planted = two_parts::PLANTED;
/// One machine among seven has a bug.
pub const SEVEN: Planted = seven::PLANTED;
/// A client waits without a timeout.
pub const NO_TIMEOUT: Planted = no_timeout::PLANTED;

/// All programs with a planted bug, in the order of the golden traces.
pub const ALL: &[Planted] =
    &[UNFLUSHED, RETRY, LEASE, ORDER, RACE, THREE, TWO_PARTS, SEVEN, NO_TIMEOUT];

impl Planted {
    /// The program to run.
    pub fn program(&self) -> Program {
        Program::new(self.spec)
    }

    /// Whether a failure with this key is the planted bug. The inventory has several bugs.
    pub fn is_bug(&self, key: Option<&str>) -> bool {
        key.is_some_and(|key| self.bugs.contains(&key))
    }
}
