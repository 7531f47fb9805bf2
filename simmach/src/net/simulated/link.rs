//! What happens to packets between machines: links with their profiles, partitions, packet filters
//! and captures.

pub(crate) mod filter;
mod impairments;
pub(crate) mod latency;
pub(crate) mod links;
pub(crate) mod order;
pub(crate) mod packet;
pub(crate) mod packet_capture;
pub(crate) mod packet_draws;
mod pairs;
pub(crate) mod partitions;
pub(crate) mod profile;
mod profile_data;
pub(crate) mod wire;
