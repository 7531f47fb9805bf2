use simmach::sim_test;

async fn service() {}

#[sim_test(machines("a" => service, "b" => service, "a" => service))]
async fn one() {}

#[sim_test(machines("api{1..=3}.public" => service, "api2.public" => service))]
async fn two() {}

fn main() {}
