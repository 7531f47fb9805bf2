//! Roles that code under test says it has, so that plans can aim at them.
//!
//! The worst moment for a fault is often one at a certain machine: the leader, the primary, the owner of a lease. Production code
//! says when its process enters and leaves such a role. In a run, [`Swarm`](crate::Swarm) aims at the machines that have one
//! in some of the seeds, and other plans do if they are told to (see `Target::role`). Outside a run these functions do
//! nothing, and without the feature `sim` they are empty. They need no feature of the crate.
//!
//! ```
//! fn won_the_election() {
//!     simmach::role::enter("leader");
//! }
//!
//! fn saw_a_later_term() {
//!     simmach::role::leave("leader");
//! }
//! ```
//!
//! Several machines can have the same role at a time, as two servers that both take themselves for the leader. A test that
//! knows better than the servers uses `Sim::role`.

#[cfg(feature = "sim")]
use crate::engine;

/// Says that this process has the role from now on. The role ends with the process, or with [`leave`].
#[inline]
pub fn enter(role: &str) {
    #[cfg(feature = "sim")]
    engine::enter_role(role);
    let _ = role;
}

/// Says that this process no longer has the role. It has no effect if the process does not have it.
#[inline]
pub fn leave(role: &str) {
    #[cfg(feature = "sim")]
    engine::leave_role(role);
    let _ = role;
}
