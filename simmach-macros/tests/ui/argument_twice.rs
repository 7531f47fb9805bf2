use simmach::sim_test;

#[sim_test(seeds = 1, base_seed = 7, seeds = 2)]
async fn test() {}

fn main() {}
