use simmach::sim_test;

#[sim_test(topology = 3)]
async fn one() {}

#[sim_test(seeds = "many".to_owned())]
async fn two() {}

#[sim_test(time_limit = 5_u64 + 1)]
async fn three() {}

fn main() {}
