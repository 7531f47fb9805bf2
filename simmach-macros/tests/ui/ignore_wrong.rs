use simmach::sim_test;

#[sim_test]
#[ignore("slow")]
async fn test() {}

fn main() {}
