use simmach::sim_test;

#[sim_test(seeds = 0)]
async fn test() {}

fn main() {}
