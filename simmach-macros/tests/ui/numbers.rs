use simmach::sim_test;

#[sim_test(seeds = -5)]
async fn negative() {}

#[sim_test(seeds = "1000")]
async fn text() {}

#[sim_test(base_seed = 1.5)]
async fn fraction() {}

#[sim_test(poll_limit = true)]
async fn truth() {}

#[sim_test(base_seed = 99_999_999_999_999_999_999)]
async fn huge() {}

fn main() {}
