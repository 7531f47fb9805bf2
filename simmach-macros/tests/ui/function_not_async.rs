use simmach::sim_test;

#[sim_test]
fn test() {}

fn main() {}
