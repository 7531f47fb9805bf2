use simmach::sim_test;

#[sim_test]
#[should_panic(expect = "text")]
async fn one() {}

#[sim_test]
#[should_panic = 3]
async fn two() {}

fn main() {}
