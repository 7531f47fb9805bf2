use simmach::sim_test;

#[sim_test(client = 3)]
async fn one() {}

#[sim_test(client = "mover{1..=3}")]
async fn two() {}

#[sim_test(client = "mover*")]
async fn three() {}

#[sim_test(client = "mover/bot")]
async fn four() {}

#[sim_test(client = "")]
async fn five() {}

fn main() {}
