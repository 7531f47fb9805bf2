//! Roles of the code under test, such as the leader, so that plans can aim at them.
//!
//! A fault is often worst on one machine: the leader, the primary, the owner of a lease. The code
//! under test declares when its process enters and leaves such a role. In half of its runs,
//! [`Swarm`](crate::Swarm) aims at machines that have a role. Other plans aim at a role if they are
//! built with a method such as `PowerOffs::role`.
//!
//! Outside a run, these functions do nothing. Without the feature `sim`, they are empty. They need no
//! feature of the crate.
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
//! Several machines can have the same role at the same time, such as two servers that both believe
//! that they lead. A test that has better information than the servers uses `Sim::role`.

#[cfg(feature = "sim")]
use crate::engine;

/// Gives a role to this process. The role ends with the process, or when the process calls
/// [`leave`].
#[inline]
pub fn enter(role: &str) {
    #[cfg(feature = "sim")]
    engine::enter_role(role);
    let _ = role;
}

/// Takes a role from this process. It has no effect if the process does not have the role, or if the
/// test gave it to the machine.
#[inline]
pub fn leave(role: &str) {
    #[cfg(feature = "sim")]
    engine::leave_role(role);
    let _ = role;
}
