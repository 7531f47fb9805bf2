use simmach::sim_test;

#[sim_test(crate = 3)]
async fn one() {}

#[sim_test(crate = "not a path")]
async fn two() {}

#[sim_test(crate =)]
async fn three() {}

fn main() {}
