use simmach::sim_test;

async fn service() {}

#[sim_test(seeds = 3 base_seed = 7)]
async fn one() {}

#[sim_test(machines("a" => service "b" => service))]
async fn two() {}

fn main() {}
