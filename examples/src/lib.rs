//! An event-sourced inventory in a cluster.
