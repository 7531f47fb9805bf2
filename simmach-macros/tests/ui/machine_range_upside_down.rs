use simmach::sim_test;

async fn service() {}

#[sim_test(machines("api{3..=1}.public" => service, "cl{1..1}" => service))]
async fn test() {}

fn main() {}
