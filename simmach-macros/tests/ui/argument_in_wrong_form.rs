use simmach::sim_test;

async fn service() {}

#[sim_test(machines = service, topology(cluster()), seeds: 3, links => 4, chaos[1])]
async fn test() {}

fn main() {}
