//! Tests the basics of a cluster, end to end: services start and stop, connections open and fail,
//! tasks end, and the example's inventory keeps its item.

mod cleanup;
mod connections;
mod inventory;
mod services;
mod tasks;

simmach::main!();
