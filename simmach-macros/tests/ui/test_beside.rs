use simmach::sim_test;

#[sim_test]
#[test]
async fn one() {}

#[sim_test]
#[tokio::test(start_paused = true)]
async fn two() {}

fn main() {}
