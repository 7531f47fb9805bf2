use simmach::sim_test;

#[sim_test(step_limit = 0)]
async fn test() {}

fn main() {}
