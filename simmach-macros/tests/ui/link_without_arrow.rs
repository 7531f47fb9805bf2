use simmach::prelude::*;

#[sim_test(links("a" => NetworkProfile::lan(), "b" <- "c" => NetworkProfile::lan(), "d" - "e", "f"))]
async fn test() {}

fn main() {}
