use simmach::sim_test;

#[sim_test(seeds = 3)]
#[sim_test(base_seed = 3)]
async fn test() {}

fn main() {}
