//! What happens to packets between machines: links with their profiles, partitions, the test's own rules, and the capture.

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
