use simmach::prelude::*;

#[sim_test(links("a" -> "b", "c" <-> "d" =>, "e" <-> "f" NetworkProfile::lan()))]
async fn test() {}

fn main() {}
