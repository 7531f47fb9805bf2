use simmach::prelude::*;

async fn service() {}

#[sim_test(
    machines("x.a" => service, "y.b" => service),
    links(
        "a" <-> "b" => NetworkProfile::lan(),
        "b" -> "a" => NetworkProfile::lan(),
        "client" -> "a" => NetworkProfile::lan(),
        "a" -> "client" => NetworkProfile::lan(),
    )
)]
async fn test() {}

fn main() {}
