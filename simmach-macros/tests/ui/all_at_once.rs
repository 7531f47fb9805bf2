use simmach::prelude::*;

async fn service() {}

#[sim_test(
    seed = 1,
    seeds = 0,
    machines("a" => service, "a" => service, "b{2..=1}" => service, "c"),
    links("a" -> => NetworkProfile::lan(), "b" <-> "c"),
    time_limit = "ten",
    stall_limit,
    chaos(service),
)]
fn test() {}

fn main() {}
