use simmach::prelude::*;

#[sim_test]
async fn one(sim: &Sim) {}

#[sim_test]
async fn two(sim: &mut Sim) {}

#[sim_test]
async fn three(sim: impl Copy) {}

fn main() {}
