//! Small distributed programs with one planted bug each, whose smallest failing run is known.
//!
//! Each says what its minimum is and why nothing smaller can fail. They are run by `tests/planted.rs`, and measured by
//! `cargo bench --bench shrink`.

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

use simmach::program::{Program, Spec};

/// A program with a planted bug.
#[derive(Clone, Copy, Debug)]
pub struct Planted {
    /// Its name.
    pub name: &'static str,
    /// The key under which it fails, or the kinds of failure that are the same here.
    pub bugs: &'static [&'static str],
    /// The smallest failing run.
    pub minimum: Minimum,
    /// The cluster, what breaks it and what is done with it.
    pub spec: fn() -> Spec,
}

/// What the smallest failing run has, at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Minimum {
    /// Machines that something happens to.
    pub machines: u64,
    /// Strikes and faults of packets.
    pub faults: u64,
    /// Steps.
    pub steps: u64,
    /// Tasks that have to wait for others that are ready later.
    pub reorderings: u64,
}

/// All of them.
pub const ALL: &[Planted] = &[
    unflushed::PLANTED,
    retry::PLANTED,
    lease::PLANTED,
    order::PLANTED,
    race::PLANTED,
    three::PLANTED,
    two_parts::PLANTED,
    seven::PLANTED,
    no_timeout::PLANTED,
];

impl Planted {
    /// To be run.
    pub fn program(&self) -> Program {
        Program::new(self.spec)
    }
    /// Whether this is how it fails: the article has several bugs.
    pub fn fails_by(&self, key: Option<&str>) -> bool {
        key.is_some_and(|key| self.bugs.contains(&key))
    }
}
