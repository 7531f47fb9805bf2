use simmach::sim_test;

async fn service() {}

#[sim_test(machines("a", "b" =>, "c" => , "d" = service, "e"))]
async fn test() {}

fn main() {}
