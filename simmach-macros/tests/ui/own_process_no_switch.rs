use simmach::sim_test;

#[sim_test(own_process = "always")]
async fn test() {}

fn main() {}
