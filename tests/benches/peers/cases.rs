//! The cases of the comparison: what each measures, which programs it runs on, and its goals.

use crate::programs::Of::{self, Floor, Madsim, Simmach, Turmoil};

/// One case of the comparison.
#[derive(Debug)]
pub(crate) struct Case {
    pub name: &'static str,
    /// Number of machines, if the case has several variants.
    pub number: u64,
    pub what: &'static str,
    /// The programs that the case is run on, in this order.
    pub of: &'static [Of],
    /// The maximum ratio of simmach's time to each program's time.
    pub goals: &'static [(Of, f64)],
}

const ALL_FOUR: &[Of] = &[Simmach, Madsim, Turmoil, Floor];
const BUT_TURMOIL: &[Of] = &[Simmach, Madsim, Floor];
const BOTH: &[Of] = &[Simmach, Madsim];

/// The cases of the first table. turmoil is left out of the cases for which it would need minutes;
/// 200 idle machines would take it nine minutes.
pub(crate) const ALL: &[Case] = &[
    Case {
        name: "a",
        number: 0,
        what: "100,000 round trips of 64 B, no latency",
        of: ALL_FOUR,
        goals: &[(Madsim, 0.4), (Floor, 8.0)],
    },
    Case {
        name: "a-latency",
        number: 0,
        what: "the same, with each program's default latency",
        of: ALL_FOUR,
        goals: &[(Madsim, 0.4), (Turmoil, 0.01)],
    },
    Case { name: "b", number: 10, what: "idle machines, 60 s", of: ALL_FOUR, goals: &[] },
    Case { name: "b", number: 50, what: "idle machines, 60 s", of: ALL_FOUR, goals: &[] },
    Case {
        name: "b",
        number: 200,
        what: "idle machines, 60 s",
        of: BUT_TURMOIL,
        goals: &[(Madsim, 1.0)],
    },
    Case {
        name: "b2",
        number: 0,
        what: "200 machines sleeping 10 ms by 10 ms, 60 s",
        of: BUT_TURMOIL,
        goals: &[(Madsim, 0.4)],
    },
    Case {
        name: "c",
        number: 0,
        what: "20 clients × 200 requests, 10 ms apart, 3 servers",
        of: ALL_FOUR,
        goals: &[(Madsim, 0.4)],
    },
    Case {
        name: "d",
        number: 0,
        what: "1,000 runs of 3 machines and 10 requests, a thread each",
        of: ALL_FOUR,
        goals: &[(Madsim, 0.8)],
    },
    Case {
        name: "d-latency",
        number: 0,
        what: "the same, with each program's default latency",
        of: ALL_FOUR,
        goals: &[(Madsim, 0.8), (Turmoil, 0.05)],
    },
    Case {
        name: "e",
        number: 0,
        what: "a ring of 500 machines, a message passed on 100,000 times",
        of: BUT_TURMOIL,
        goals: &[(Madsim, 0.4)],
    },
    Case {
        name: "a-guest",
        number: 0,
        what: "100,000 round trips of 64 B, no latency, on tokio in guests",
        of: BOTH,
        goals: &[(Madsim, 1.0)],
    },
    Case {
        name: "b-guest",
        number: 200,
        what: "idle machines, 60 s, each with a tokio runtime",
        of: BOTH,
        goals: &[],
    },
    Case {
        name: "b2-guest",
        number: 0,
        what: "200 machines sleeping 10 ms by 10 ms, 60 s, on tokio in guests",
        of: BOTH,
        goals: &[],
    },
    Case {
        name: "d-guest",
        number: 0,
        what: "1,000 runs of 3 guests and 10 requests, a thread each",
        of: BOTH,
        goals: &[(Madsim, 1.0)],
    },
    Case { name: "g", number: 0, what: "256 MiB over one connection", of: BUT_TURMOIL, goals: &[] },
];

/// Cases of the second table. They run in every round too, so that a burst of other work does not hit all of one case.
pub(crate) const MORE: &[Case] = &[
    Case { name: "f", number: 0, what: "", of: &[Simmach], goals: &[] },
    ring("h", 10),
    ring("h-empty", 10),
    ring("h", 100),
    ring("h-empty", 100),
    ring("h", 1_000),
    ring("h-empty", 1_000),
    ring("h", 10_000),
    ring("h-empty", 10_000),
];

const fn ring(name: &'static str, machines: u64) -> Case {
    Case { name, number: machines, what: "", of: BOTH, goals: &[] }
}
