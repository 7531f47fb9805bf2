//! A replicated list on raft, and the bugs that can be planted in it.
//!
//! The program follows the paper (Ongaro and Ousterhout 2014): randomized elections, log
//! replication, a durable term, vote and log, and the commit rule of the paper's figure 8. A leader
//! begins its term with an entry that has no effect. Sessions keep a retry from taking effect
//! twice, and a majority confirms each read. Snapshots and changes of members are left out.
//! Servers and clients exchange datagrams. An append message has at most one entry.
//!
//! Clients append numbers to the list and read it. The oracle checks each election, each stored
//! entry, each applied entry, and each answer.
//!
//! A planted [`Bug`] changes one line of the correct program, in the place where the original bug
//! was found.

mod bug;
mod client;
mod disk;
mod election;
mod list;
mod log;
mod message;
mod node;
mod oracle;
mod replication;
mod requests;
mod server;

use simmach::prelude::*;
use simmach::program::{Program, Scenario, Spec};

pub use bug::Bug;

/// A limit for the longest run, in which all clients wait as long as they can.
const TIME_LIMIT: Duration = Duration::from_secs(120);

/// A program with this many servers under a plan, with or without a bug.
pub fn program<P: Plan>(
    bug: Option<Bug>,
    servers: u64,
    plan: impl Fn() -> P + Send + Sync + 'static,
) -> Program {
    Program::new(move || spec(bug, servers, true, Scenario::new().plan(plan()))).log(false)
}

/// As [`program`], but the servers do not say who leads.
pub fn program_without_roles<P: Plan>(
    bug: Option<Bug>,
    servers: u64,
    plan: impl Fn() -> P + Send + Sync + 'static,
) -> Program {
    Program::new(move || spec(bug, servers, false, Scenario::new().plan(plan()))).log(false)
}

fn spec(bug: Option<Bug>, servers: u64, says_role: bool, mut scenario: Scenario) -> Spec {
    for id in 1..=servers {
        let serve = move || server::serve(id, servers, bug, says_role);
        scenario = scenario.machine(&server::name(id), serve);
    }
    scenario.client("clients").time_limit(TIME_LIMIT).body(move |sim| client::body(sim, servers))
}
