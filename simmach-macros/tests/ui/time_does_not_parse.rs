use simmach::sim_test;

#[sim_test(time_limit = "ten minutes", stall_limit = "10 parsecs")]
async fn one() {}

#[sim_test(time_limit = "", stall_limit = "5s..10s")]
async fn two() {}

fn main() {}
