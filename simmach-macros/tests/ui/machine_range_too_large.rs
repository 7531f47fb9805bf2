use simmach::sim_test;

async fn service() {}

#[sim_test(machines("a{1..=1000000}" => service, "b{1..=500}.z{1..=500}" => service))]
async fn test() {}

fn main() {}
