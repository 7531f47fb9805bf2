use simmach::prelude::*;

async fn service() {}

#[sim_test(machines("a" => service), links("" <-> "a" => NetworkProfile::lan()))]
async fn test() {}

fn main() {}
