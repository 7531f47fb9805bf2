use simmach::prelude::*;

#[sim_test]
async fn test(sim: Sim, seed: u64, name: &str) {}

fn main() {}
