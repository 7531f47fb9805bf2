//! Three nodes of the service on simulated machines: the same [`kv::serve`] that `main` runs, with the same store, under kills,
//! power losses and partitions.

mod chaos;
mod cluster;
mod history;
mod planted;
mod workload;
