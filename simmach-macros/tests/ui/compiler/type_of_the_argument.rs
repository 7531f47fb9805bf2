use simmach::sim_test;

#[sim_test]
async fn test(_sim: u32) {}

fn main() {}
