use simmach::sim_test;

async fn service() {}

#[sim_test(machines("" => service, " " => service))]
async fn test() {}

fn main() {}
