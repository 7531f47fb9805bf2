use simmach::sim_test;

async fn service() {}

#[sim_test(seed = 1000)]
async fn one() {}

#[sim_test(tme_limit = "10m")]
async fn two() {}

#[sim_test(machine("a" => service))]
async fn three() {}

fn main() {}
