use simmach::sim_test;

#[sim_test(time_limit = "0s")]
async fn test() {}

fn main() {}
