use simmach::sim_test;

async fn service() {}

#[sim_test(
    machines(
        "a{1-3}" => service,
        "b{}" => service,
        "c{1" => service,
        "d1}" => service,
        "e{one..=two}" => service,
        "f{1..=}" => service,
    )
)]
async fn test() {}

fn main() {}
