use simmach::prelude::*;

#[sim_test(links("a" -> => NetworkProfile::lan(), "b" <->, "c" -> d => NetworkProfile::lan()))]
async fn test() {}

fn main() {}
