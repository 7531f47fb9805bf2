use simmach::prelude::*;

async fn service() {}

#[sim_test(
    machines("api.public" => service, "cl.internal" => service),
    links("public" <-> "internal" => NetworkProfile::lan()),
    client = "mover.botnet",
)]
async fn test() {}

fn main() {}
