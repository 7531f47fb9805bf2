use simmach::sim_test;

#[sim_test(seeds = 3 +)]
async fn one() {}

#[sim_test(seeds = 3 + , base_seed = / 4)]
async fn two() {}

fn main() {}
