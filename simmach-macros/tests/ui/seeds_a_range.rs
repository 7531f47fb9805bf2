use simmach::sim_test;

#[sim_test(seeds = 5..105)]
async fn test() {}

fn main() {}
