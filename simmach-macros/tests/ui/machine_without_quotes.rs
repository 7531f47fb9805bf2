use simmach::sim_test;

async fn service() {}

#[sim_test(machines(api => service, 3 => service))]
async fn test() {}

fn main() {}
