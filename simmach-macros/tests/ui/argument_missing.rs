use simmach::sim_test;

#[sim_test("10m", seeds = 3, = 4)]
async fn test() {}

fn main() {}
