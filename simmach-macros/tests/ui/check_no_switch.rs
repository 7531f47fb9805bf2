use simmach::sim_test;

#[sim_test(check = "often")]
async fn test() {}

fn main() {}
