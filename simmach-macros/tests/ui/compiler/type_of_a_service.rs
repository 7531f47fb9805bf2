use simmach::sim_test;

struct Odd;

async fn odd() -> Odd {
    Odd
}

#[sim_test(machines("a" => odd))]
async fn test() {}

fn main() {}
