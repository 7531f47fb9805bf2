use simmach::sim_test;

#[sim_test(epoch = "tomorrow")]
async fn tomorrow() {}

#[sim_test(epoch = "1969-12-31T00:00:00Z")]
async fn too_early() {}

#[sim_test(epoch = 5)]
async fn a_number() {}

#[sim_test(epoch = "2554-07-22T00:00:00Z")]
async fn too_late() {}

fn main() {}
