use simmach::sim_test;

#[sim_test(poll_limit = 0)]
async fn test() {}

fn main() {}
