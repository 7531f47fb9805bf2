use simmach::sim_test;

struct Cluster;

impl Cluster {
    #[sim_test]
    async fn test(&self) {}
}

fn main() {}
