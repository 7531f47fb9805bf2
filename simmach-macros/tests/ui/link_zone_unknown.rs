use simmach::prelude::*;

async fn service() {}

#[sim_test(
    machines("api.public" => service),
    links("botnet" <-> "publik" => NetworkProfile::lan(), "moon" <-> "public" => NetworkProfile::lan()),
    client = "mover.botnet",
)]
async fn test() {}

fn main() {}
