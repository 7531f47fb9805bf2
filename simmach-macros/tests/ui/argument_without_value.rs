use simmach::sim_test;

#[sim_test(seeds)]
async fn one() {}

#[sim_test(seeds =)]
async fn two() {}

#[sim_test(time_limit, client =, poll_limit = 3)]
async fn three() {}

fn main() {}
