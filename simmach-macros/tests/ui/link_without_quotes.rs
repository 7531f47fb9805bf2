use simmach::prelude::*;

#[sim_test(links(a <-> "b" => NetworkProfile::lan()))]
async fn test() {}

fn main() {}
