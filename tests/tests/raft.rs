//! `Swarm` with default settings on a raft: the correct program passes, and planted bugs are found.

use simmach::Swarm;
use simmach_tests::raft;

/// Number of seeds of the correct program.
const SEEDS: u64 = if cfg!(debug_assertions) { 300 } else { 3_000 };

#[test]
fn correct_raft_passes() {
    for servers in [3, 5] {
        let failed = raft::program(None, servers, Swarm::new).find(0..SEEDS);
        assert_eq!(failed, None, "with {servers} servers");
    }
}
