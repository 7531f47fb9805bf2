//! Tests three nodes of the service on simulated machines, under kills, power losses and
//! partitions. The nodes run the same [`kv::serve`] as `main`, with the same store.

mod chaos;
mod cluster;
mod history;
mod planted;
mod workload;
