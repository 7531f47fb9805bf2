//! What happens to packets between machines: links and their profiles, partitions, packet filters, captures.

pub(crate) mod address;
pub(crate) mod capture;
pub(crate) mod filter;
pub(crate) mod latency;
pub(crate) mod links;
pub(crate) mod order;
pub(crate) mod packet;
mod pairs;
pub(crate) mod profile;
pub(crate) mod wire;
