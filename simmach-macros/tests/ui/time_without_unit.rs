use simmach::sim_test;

#[sim_test(time_limit = 10, stall_limit = 1.5)]
async fn one() {}

#[sim_test(time_limit = "10")]
async fn two() {}

fn main() {}
