use simmach::sim_test;

#[sim_test(hardware = same)]
async fn test() {}

fn main() {}
