use simmach::sim_test;

struct Odd;

#[sim_test]
async fn test() -> Odd {
    Odd
}

fn main() {}
