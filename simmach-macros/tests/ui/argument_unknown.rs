use simmach::sim_test;

#[sim_test(frobnicate = 3, zeal("much"))]
async fn test() {}

fn main() {}
