use simmach::sim_test;

/// Not a function.
#[sim_test]
pub struct Cluster;

#[sim_test(seeds = 0)]
mod cluster {}

fn main() {}
